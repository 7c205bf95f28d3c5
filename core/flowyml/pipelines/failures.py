"""How a failure in a user's function is told: where it happened in the user's own code."""

from __future__ import annotations

import traceback
from types import TracebackType

from flowyml.errors import StepError
from flowyml.pipelines.origins import is_ours
from flowyml.stacks.secrecy import text_of

__all__ = ["StepTimeoutError", "of_step", "step_failure", "trimmed", "users_part"]

GENERATED = "<attrs generated methods flowyml."


class StepTimeoutError(StepError):
    """A step took longer than its ``timeout``; its thread may still be running."""


def of_step(step: str, said: str) -> str:
    """Put the name of a step before what is said of it, unless that names it already.

    What UTF-8 cannot hold is escaped: a file name that is no valid text is in an error as it is.
    """
    said = said.encode(errors="backslashreplace").decode()
    return said if said.startswith(f"step {step!r}") else f"step {step!r}: {said}"


def step_failure(step: str, error: BaseException) -> StepError:
    """Return the error for a step whose function raised; chain it to what that raised.

    Its message ends with the traceback of the user's own code.
    """
    error.__traceback__ = users_part(error.__traceback__)
    text = "".join(_without_ours(traceback.TracebackException.from_exception(error)).format())
    message = f"step {step!r} raised {trimmed(error)}\n{text.rstrip()}"
    return StepError(message, step=step)


def _without_ours(
    told: traceback.TracebackException,
) -> traceback.TracebackException:
    """Leave out our frames, and those of what `attrs` generates for our classes.

    An error that our code raises is about what the user's code gave to it.
    """
    theirs = [
        frame
        for frame in told.stack
        if not (is_ours(frame.filename) or frame.filename.startswith(GENERATED))
    ]
    if theirs:
        told.stack = traceback.StackSummary.from_list(theirs)
    for other in (told.__cause__, told.__context__):
        if other is not None:
            _without_ours(other)
    return told


def trimmed(error: BaseException) -> str:
    """Return the class of an error and the first line of what it says."""
    said = text_of(error).strip().partition("\n")[0]
    name = type(error).__name__
    return f"{name}: {said}" if said else name


def users_part(found: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame that is not ours; all of it where each one is."""
    start = found
    while start is not None and is_ours(start.tb_frame.f_code.co_filename):
        start = start.tb_next
    return start or found
