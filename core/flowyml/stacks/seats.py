"""The plugin manager of one stack: a seat for every component, every hook checked."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

import pluggy
from attrs import define, frozen

from flowyml.errors import PluginError
from flowyml.plugins.components import Component
from flowyml.plugins.deprecations import DeprecatingManager, warn_of_use
from flowyml.plugins.discovery import Provider
from flowyml.plugins.hookspecs import Faults, Lifecycle
from flowyml.plugins.markers import PROJECT
from flowyml.plugins.roles import Role
from flowyml.spelling import hint
from flowyml.stacks.secrecy import component_secrets

__all__ = ["Member", "Seat", "seat_members"]

Spec = type | ModuleType

EVERYBODYS: Final[tuple[Spec, ...]] = (Faults, Lifecycle)
"""What holds the hooks that every component may have, whatever its role."""


@frozen
class Member:
    """A component on its way into a stack.

    Attributes:
        name: Its name in the stack.
        provider: The distribution that brought it.
    """

    name: str
    component: Component
    provider: Provider


@define(eq=False, slots=False)
class Seat:
    """Stands for a component in the plugin manager.

    pluggy compares plugins by value and keeps them in sets. Two components that are configured
    alike are equal and still two, and attrs leaves them without a hash.

    Attributes:
        name: Name of the component.
        secrets: The texts that it keeps to itself.
    """

    name: str
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.name}>"


def seat_members(
    members: Iterable[Member], roles: Iterable[Role]
) -> tuple[pluggy.PluginManager, Mapping[str, Seat]]:
    """Register the hooks of all members, and hold them against the specifications.

    Args:
        members: Where wrappers meet, the member that comes first is the outermost.
        roles: The roles whose hooks may be implemented.

    Raises:
        PluginError: A member has a hook that no role has, one with other arguments, or one that is
            not marked.
    """
    manager = DeprecatingManager(PROJECT)
    specs = {role.name: role.spec for role in roles}
    for spec in (*specs.values(), *EVERYBODYS):
        manager.add_hookspecs(spec)
    seats: dict[str, Seat] = {}
    for member in reversed(list(members)):
        own = specs.get(member.provider.role)
        _check_marks(member, [own] if own else specs.values())
        seats[member.name] = _register(manager, member)
    return manager, seats


def _check_marks(member: Member, specs: Iterable[Spec]) -> None:
    """Refuse a method that is called like a hook of its role and that pluggy would not see.

    Args:
        member: An extension may have the hooks of every role.
        specs: What holds the hooks that it may have besides those that everybody may have.
    """
    kind = type(member.component)
    marked = {name for name, _ in _hooks_of(member.component)}
    for spec in (*specs, *EVERYBODYS):
        for name in sorted(set(dir(spec)) - marked):
            is_hook = hasattr(getattr(spec, name), f"{PROJECT}_spec")
            if is_hook and inspect.isroutine(inspect.getattr_static(kind, name, None)):
                message = (
                    f"the {_told(member)} has a method {name!r} that is not marked as the hook of "
                    f"that name, and would never be called; write `@flowyml.hookimpl` above it in "
                    f"{kind.__qualname__}"
                )
                raise PluginError(message)


def _register(manager: DeprecatingManager, member: Member) -> Seat:
    seat = Seat(member.name, component_secrets([member.component]))
    for name, hook in _hooks_of(member.component):
        setattr(seat, name, hook)
    try:
        manager.register(seat, member.name)
        manager.check_pending()
    except pluggy.PluginValidationError as cause:
        message = f"the {_told(member)} {_fault(manager, seat, cause)}"
        raise PluginError(message) from cause
    warn_of_use(_told(member), type(member.component), manager.used(seat))
    return seat


def _hooks_of(component: Component) -> Iterator[tuple[str, Any]]:
    """Yield what is marked ``@hookimpl``, without running any property of the component."""
    for name in dir(type(component)):
        static = inspect.getattr_static(type(component), name)
        function = getattr(static, "__func__", static)
        if hasattr(function, f"{PROJECT}_impl"):
            yield name, getattr(component, name)


def _fault(manager: pluggy.PluginManager, seat: Seat, cause: pluggy.PluginValidationError) -> str:
    callers = manager.get_hookcallers(seat) or ()
    unknown = [caller.name for caller in callers if not caller.has_spec()]
    if not unknown:
        return f"has a hook that does not fit: {' '.join(str(cause).split())}"
    known = [name for name, caller in vars(manager.hook).items() if caller.has_spec()]
    meant = hint(unknown[0], known)
    return f"implements the hook {unknown[0]!r}, which no role of the stack has{meant}"


def _told(member: Member) -> str:
    return f"{member.provider.role} {member.provider.type!r} of {member.provider}"
