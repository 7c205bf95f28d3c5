"""Who looks on while a run goes on: the command line's live view, a notebook, a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import RunInfo, StepStatus

if TYPE_CHECKING:
    from flowyml.pipelines.result import RunResult

__all__ = ["RunObserver", "Silent", "current_observer", "watching"]


class RunObserver(Protocol):
    """Is told what happens in a run; threads that run steps call it, several at a time."""

    def run_started(self, run: RunInfo, steps: Sequence[str]) -> None:
        """A run begins or goes on; ``steps`` are all of its steps, in an order they can run in."""

    def step_started(self, step: str) -> None:
        """A step begins."""

    def step_finished(
        self, step: str, status: StepStatus, seconds: float, error: str | None
    ) -> None:
        """A step ended, was skipped, or was taken from an earlier run."""

    def delivery(self, delivery: DeliveryRecord) -> None:
        """A delivery was tried, or was decided to be skipped or to wait."""

    def run_finished(self, result: RunResult) -> None:
        """A run ended, also when it was interrupted."""


class Silent:
    """Looks on and says nothing."""

    def run_started(self, run: RunInfo, steps: Sequence[str]) -> None:
        """Say nothing."""

    def step_started(self, step: str) -> None:
        """Say nothing."""

    def step_finished(
        self, step: str, status: StepStatus, seconds: float, error: str | None
    ) -> None:
        """Say nothing."""

    def delivery(self, delivery: DeliveryRecord) -> None:
        """Say nothing."""

    def run_finished(self, result: RunResult) -> None:
        """Say nothing."""


_SILENT = Silent()

_OBSERVER: ContextVar[RunObserver] = ContextVar("flowyml_observer", default=_SILENT)


def current_observer() -> RunObserver:
    """Return who looks on here; where nobody does, one who says nothing."""
    return _OBSERVER.get()


@contextmanager
def watching(observer: RunObserver) -> Iterator[None]:
    """Let somebody look on at every run that starts in the block."""
    token = _OBSERVER.set(observer)
    try:
        yield
    finally:
        _OBSERVER.reset(token)
