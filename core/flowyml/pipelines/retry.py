"""How often a step that raised is tried again, and after which pauses."""

from __future__ import annotations

import math
from typing import Final, cast

from attrs import Attribute, field, frozen

from flowyml.errors import PipelineError

__all__ = ["NEVER", "Retry"]


def _as_tuple(on: object) -> tuple[object, ...]:
    return tuple(on) if isinstance(on, list | tuple | set | frozenset) else (on,)


@frozen
class Retry:
    """How a step that raised is tried again.

    Attributes:
        times: How often it is tried again after the first time.
        delay: Seconds before the second try.
        backoff: By what the delay grows from one try to the next.
        on: The exceptions that are worth another try.

    Raises:
        PipelineError: One of them is nothing of the kind.
    """

    times: int = field(default=1)
    delay: float = field(default=0.0, kw_only=True)
    backoff: float = field(default=2.0, kw_only=True)
    on: tuple[type[Exception], ...] = field(default=(Exception,), kw_only=True, converter=_as_tuple)

    @times.validator
    def _check_times(self, _field: object, times: object) -> None:
        if not isinstance(times, int) or isinstance(times, bool) or times < 0:
            message = f"retry is how often a step is tried again, 0 or more; got {times!r}"
            raise PipelineError(message)

    @delay.validator
    @backoff.validator
    def _check_number(self, field: Attribute[float], number: object) -> None:
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not 0 <= cast("float", number) < math.inf:
            message = f"the {field.name} of a retry is a number, 0 or more; got {number!r}"
            raise PipelineError(message)

    @on.validator
    def _check_exceptions(self, _field: object, on: tuple[object, ...]) -> None:
        for each in on:
            if not (isinstance(each, type) and issubclass(each, Exception)):
                message = (
                    "the exceptions that are worth another try are classes, "
                    f"on=(ConnectionError,); got {each!r}"
                )
                raise PipelineError(message)

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after this many failures."""
        return self.delay * self.backoff ** (failures - 1)


NEVER: Final = Retry(0)
"""The first failure is the last."""
