"""Every error FlowyML raises.

The tree, each class with the exit code of a command that it ends::

    FlowyMLError                  1
    ├── ConfigurationError        2   flowyml.yaml, the command line, a component's fields
    ├── PluginError               2   a plugin that is missing, broken or provided twice
    ├── PipelineError             2   a pipeline that cannot be wired or found
    ├── NotFoundError             2   a run, artifact, model or endpoint that does not exist
    ├── StepError                 1   a step raised, timed out or broke its annotation
    ├── SerializationError        1   a value has no format that holds it exactly
    ├── IntegrityError            1   what is read is not what was written
    │   └── TrustError            1   reading it could run code that nobody vouched for
    ├── DeliveryError             1   a backend refused, or could not be reached
    ├── MetadataError             1   the metadata store cannot be used
    └── IncompleteRunError        3   a run that ended with debts

A message says what happened, to which named thing, and what to do next.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

__all__ = [
    "ConfigurationError",
    "DeliveryError",
    "FlowyMLError",
    "IncompleteRunError",
    "IntegrityError",
    "Location",
    "MetadataError",
    "NotFoundError",
    "PipelineError",
    "PluginError",
    "Problem",
    "SerializationError",
    "StepError",
    "TrustError",
]


@frozen
class Location:
    """A place in a file.

    Attributes:
        file: Path as the user would write it.
        line: Counted from 1; 0 when only the file is known.
        column: Counted from 1; 0 when only the line is known.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Render as ``file:line:column``, the form that editors make clickable."""
        known = [str(number) for number in (self.line, self.column) if number]
        return ":".join([self.file, *known])


@frozen
class Problem:
    """One thing that is wrong, where it stands and what to do about it."""

    message: str
    location: Location | None = None
    hint: str | None = None

    @property
    def position(self) -> tuple[int, int]:
        """Line and column, to sort by; zeros where it stands nowhere."""
        return (self.location.line, self.location.column) if self.location else (0, 0)

    def __str__(self) -> str:
        """Render on one line, with the hint on a line of its own."""
        place = f"{self.location}: " if self.location else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{place}{self.message}{hint}"


class FlowyMLError(Exception):
    """Base of all errors that FlowyML raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(FlowyMLError, ValueError):
    """The configuration is wrong; every problem found is in ``problems``."""

    exit_code = 2

    def __init__(self, *problems: Problem | str) -> None:
        """Collect the problems; a bare string is a problem without a place."""
        self.problems: tuple[Problem, ...] = tuple(
            Problem(problem) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(FlowyMLError, ImportError):
    """A plugin that was asked for is missing, broken, or provided twice."""

    exit_code = 2


class PipelineError(FlowyMLError, ValueError):
    """A pipeline cannot be found, or cannot be wired; nothing has run."""

    exit_code = 2


class NotFoundError(FlowyMLError, LookupError):
    """The named run, artifact, model or endpoint does not exist."""

    exit_code = 2


class StepError(FlowyMLError, RuntimeError):
    """A step raised, timed out, or returned something its annotation does not allow."""

    def __init__(self, message: str, *, step: str) -> None:
        """Name the step that failed."""
        super().__init__(message)
        self.step = step

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the step, so that it survives the way back from a worker process."""
        return (_restore_step_error, (type(self), str(self), self.step))


def _restore_step_error(cls: type[StepError], message: str, step: str) -> StepError:
    return cls(message, step=step)


class SerializationError(FlowyMLError, TypeError):
    """No format holds this value exactly, or a stored value cannot be read back."""


class IntegrityError(FlowyMLError, ValueError):
    """What is read is not what was written."""


class TrustError(IntegrityError):
    """Reading this artifact could run code, and nothing in the project vouches for it."""


class DeliveryError(FlowyMLError, OSError):
    """A backend refused a delivery, or could not be reached.

    Components raise it to say what the user must do, and whether trying again can help;
    an exception of any other class is classified by the component's ``is_transient`` hook.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        """Say whether the same call may go through later."""
        super().__init__(message)
        self.transient = transient


class MetadataError(FlowyMLError, OSError):
    """The metadata store cannot be opened, read or written."""


class IncompleteRunError(FlowyMLError, RuntimeError):
    """A run ended with deliveries still owed; ``flowyml resume`` pays them."""

    exit_code = 3
