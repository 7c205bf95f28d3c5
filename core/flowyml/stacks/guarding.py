"""The border to the code of plugins: it never ends the program, and what it gives is looked at."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import pluggy
from attrs import frozen

from flowyml.errors import DeliveryError
from flowyml.stacks.secrecy import said

__all__ = ["GuardedCall", "answer", "answers"]

T = TypeVar("T")


@frozen
class GuardedCall:
    """The call of one hook.

    Attributes:
        caller: What pluggy calls.
        hook: Name of the hook.
        named: Who is called, for people.
    """

    caller: pluggy.HookCaller
    hook: str
    named: str

    def __call__(self, **arguments: object) -> Any:
        """Call the hook with its arguments.

        Raises:
            KeyboardInterrupt: The user wants no more of it.
            Exception: What the component, or an extension around it, raised.
            DeliveryError: It raised what is no `Exception`, which would have ended the program.
        """
        try:
            return self.caller(**arguments)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as cause:
            message = (
                f"{self.named}: {self.hook} raised {said(cause)}, which would have ended the whole "
                "program; what a hook cannot do, it says with an Exception"
            )
            raise DeliveryError(message) from cause


def answer(given: object, cls: type[T], hook: str, component: str) -> T:
    """Return what a hook gave, which has to be of a class.

    Raises:
        DeliveryError: It is not; None among it.
    """
    if given is None:
        message = f"{component} does not answer the hook {hook}; is its method marked @hookimpl?"
        raise DeliveryError(message)
    if isinstance(given, cls):
        return given
    message = f"{component} answers the hook {hook} with {_kind(given)}, not with a {cls.__name__}"
    if isinstance(given, Coroutine):
        given.close()
        message += "; nobody awaits a hook: write it without `async`"
    raise DeliveryError(message)


def answers(given: object, cls: type[T], hook: str, component: str) -> Iterable[T]:
    """Return what a hook listed, where None lists nothing.

    Raises:
        DeliveryError: It is no list of objects of a class; also later, for each.
    """
    if given is None:
        return ()
    if not isinstance(given, Iterable):
        message = f"{component} answers the hook {hook} with {_kind(given)}, and is to list"
        raise DeliveryError(message)
    return (answer(each, cls, hook, component) for each in given)


def _kind(given: object) -> str:
    return f"an object of the class {type(given).__name__}"
