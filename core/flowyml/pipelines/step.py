"""The step: a function, what it takes and what it gives, and how often it may be tried."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Generic, ParamSpec, TypeVar, overload

from attrs import define, frozen

from flowyml.errors import PipelineError
from flowyml.pipelines.annotations import Hints, resolve_hints, yields
from flowyml.pipelines.retry import NEVER, Retry
from flowyml.spelling import spelled

__all__ = ["YIELDED", "Output", "Parameter", "Step", "step"]

YIELDED = "yielded"
"""Name of what a generator yields, below the name of its step."""

P = ParamSpec("P")
R = TypeVar("R")


@frozen
class Parameter:
    """A parameter of a step's function.

    Attributes:
        annotation: What it declares; Any where it says nothing.
        default: Its default, or `inspect.Parameter.empty`.
        positional: Whether it cannot be given by name.
    """

    name: str
    annotation: object
    default: object
    positional: bool = False

    @property
    def has_default(self) -> bool:
        """Whether the function can do without it."""
        return self.default is not inspect.Parameter.empty


@frozen
class Output:
    """An output of a step.

    Attributes:
        annotation: What the step promises for it; Any where it says nothing.
    """

    name: str
    annotation: object


@define(slots=False, eq=False, repr=False)
class Step(Generic[P, R]):
    """A function that is a step of pipelines; called, it is the function it was.

    Attributes:
        function: The function.
        name: Name of the step, unique in a pipeline.
        inputs: The outputs and context values that it asks for, where it says so.
        output_names: The names that it gives its outputs.
        retry: Whether and how it is tried again.
        timeout: Seconds that one try may take.
        cache: Whether an earlier result may stand for it; None leaves it to the stack.
    """

    function: Callable[P, R]
    name: str
    inputs: tuple[str, ...] | None = None
    output_names: tuple[str, ...] = ()
    retry: Retry = NEVER
    timeout: float | None = None
    cache: bool | None = None

    def __attrs_post_init__(self) -> None:
        functools.update_wrapper(self, self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, without any pipeline around it."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<step {self.name!r}>"

    def __reduce__(self) -> str:
        """Pickle by name, as functions are."""
        return self.function.__qualname__

    @cached_property
    def is_generator(self) -> bool:
        """Whether what it yields is delivered while it runs."""
        return inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(
            self.function
        )

    @cached_property
    def hints(self) -> Hints:
        """The annotations, evaluated as far as that is possible."""
        return resolve_hints(self.function)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that have to be given something, in their order."""
        variadic = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        return tuple(
            Parameter(
                parameter.name,
                self.hints.parameters.get(parameter.name, Any),
                parameter.default,
                parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
            )
            for parameter in self._declared
            if parameter.kind not in variadic
        )

    @cached_property
    def takes_any_name(self) -> bool:
        """Whether the function has a ``**parameter``."""
        return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in self._declared)

    @cached_property
    def _declared(self) -> tuple[inspect.Parameter, ...]:
        try:
            return tuple(inspect.signature(self.function).parameters.values())
        except (TypeError, ValueError) as cause:
            message = (
                f"step {self.name!r}: the parameters of {self.function!r} are not known; "
                "call it from a function of your own"
            )
            raise PipelineError(message) from cause

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        """Its outputs, each with what the function's annotation promises for it.

        Raises:
            PipelineError: The annotation is a tuple of another length.
        """
        promised = self.hints.result(generator=self.is_generator)
        if len(self.output_names) == 1:
            return (Output(self.output_names[0], promised),)
        parts = self.hints.parts(promised, len(self.output_names))
        if parts is None:
            count = len(self.output_names)
            message = (
                f"step {self.name!r} has {count} outputs ({', '.join(self.output_names)}) but is "
                f"annotated to return {spelled(promised)}; give it {count} parts, or as many "
                "outputs"
            )
            raise PipelineError(message)
        return tuple(
            Output(name, part) for name, part in zip(self.output_names, parts, strict=True)
        )

    @cached_property
    def yielded(self) -> object:
        """What the annotation promises for each yielded value."""
        return yields(self.hints.returned)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    name: str | None = None,
    retry: int | Retry = 0,
    timeout: float | None = None,
    cache: bool | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    name: str | None = None,
    retry: int | Retry = 0,
    timeout: float | None = None,
    cache: bool | None = None,
) -> Any:
    """Make a function a step of pipelines.

    A parameter is given the output of its name, else the context value of its name, else, where it
    is annotated with an artifact type, the only output of that type, else its default.

    Args:
        function: The function, when the decorator is written bare.
        inputs: Outputs or context values that the step takes. One that is no parameter's name goes
            to the first parameter that nothing else fills.
        outputs: Names for what it returns; several for a tuple. Without it the one output has the
            name of the step.
        name: Name of the step; the function's name where it is not given.
        retry: How often it is tried again when it raises, or a `Retry` with delay and backoff.
        timeout: Seconds that one try may take. A try that takes longer fails the step, whatever
            ``retry`` says: its code may still be running, and a second try beside it would do twice
            what the first one is about to do.
        cache: Whether an earlier run's outputs may be used in place of running it, as long as its
            code, its inputs and its context values are the same; None leaves it to the stack.

    Raises:
        PipelineError: An argument is none that a step can have.

    Example:
        ::

            @step(inputs=["training_data"], outputs=["model"])
            def train(training_data: Dataset) -> Model: ...
    """

    def decorate(function: Callable[..., Any]) -> Step[..., Any]:
        own = str(name or getattr(function, "__name__", ""))
        _check_function(function, own)
        taken = None if inputs is None else _names(inputs, own, "inputs")
        given = (own,) if outputs is None else _names(outputs, own, "outputs")
        tries = retry if isinstance(retry, Retry) else Retry(retry)
        return Step(function, own, taken, given, tries, _seconds(timeout, own), cache)

    return decorate if function is None else decorate(function)


def _check_function(function: object, name: str) -> None:
    if isinstance(function, Step):
        message = f"step {name!r} is a step already; use its .function to make another one of it"
        raise PipelineError(message)
    if isinstance(function, type) or not callable(function):
        message = f"@step is for functions, not for {function!r}; write it above a `def`"
        raise PipelineError(message)
    if not name:
        message = f"{function!r} has no name; give the step one with @step(name=...)"
        raise PipelineError(message)


def _names(names: Sequence[str], step: str, what: str) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        message = f"step {step!r}: {what} is a list of names, {what}=['data']; got {names!r}"
        raise PipelineError(message)
    if dotted := [name for name in names if "." in name and what == "outputs"]:
        message = (
            f"step {step!r}: the output name {dotted[0]!r} has a dot, which parts the elements of "
            f"an output; write {dotted[0].replace('.', '_')!r}"
        )
        raise PipelineError(message)
    if twins := sorted({name for name in names if list(names).count(name) > 1}):
        message = f"step {step!r}: {what} names {twins[0]!r} twice; give each a name of its own"
        raise PipelineError(message)
    return tuple(names)


def _seconds(timeout: object, step: str) -> float | None:
    if timeout is None:
        return None
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout > 0:
        message = f"step {step!r}: timeout is a number of seconds above 0; got {timeout!r}"
        raise PipelineError(message)
    return float(timeout)
