"""Trying a delivery again: what may pass by itself, how often, and with which pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from attrs import frozen

__all__ = ["Retries"]

Result = TypeVar("Result")


@frozen
class Retries:
    """How often one delivery is tried, and the pauses between.

    A pause is drawn between nothing and a bound that doubles every time, so that many runs that a
    backend turned away together do not come back together.

    Attributes:
        attempts: How often in all.
        first: The first bound, in seconds.
        longest: No bound is longer, in seconds.
        sleep: Waits for so many seconds.
    """

    attempts: int = 4
    first: float = 1.0
    longest: float = 20.0
    sleep: Callable[[float], None] = time.sleep

    def call(
        self,
        attempt: Callable[[], Result],
        *,
        may_pass: Callable[[Exception], bool],
        failed: Callable[[Exception], None],
    ) -> Result:
        """Return what an attempt returns.

        Args:
            attempt: Makes one attempt.
            may_pass: Whether what an attempt raised may pass by itself.
            failed: Told of every attempt that failed, before the pause.

        Raises:
            Exception: What the last attempt raised.
        """
        try:
            return attempt()
        except Exception as error:
            failed(error)
            if self.attempts < 2 or not may_pass(error):  # noqa: PLR2004  # no second one
                raise
            return self._again(error, attempt, may_pass, failed)

    def _again(
        self,
        error: Exception,
        attempt: Callable[[], Result],
        may_pass: Callable[[Exception], bool],
        failed: Callable[[Exception], None],
    ) -> Result:
        # Most deliveries succeed at once and never pay for this import.
        import tenacity  # noqa: PLC0415

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda raised: _passes(raised, may_pass)),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=tenacity.wait_random_exponential(multiplier=self.first, max=self.longest),
            sleep=self.sleep,
            reraise=True,
        )
        first = [error]

        def rest() -> Result:
            """Replay the first failure, so that the library counts it, then go on."""
            if first:
                raise first.pop()
            try:
                return attempt()
            except Exception as another:
                failed(another)
                raise

        return retrying(rest)


def _passes(raised: BaseException, may_pass: Callable[[Exception], bool]) -> bool:
    return isinstance(raised, Exception) and may_pass(raised)
