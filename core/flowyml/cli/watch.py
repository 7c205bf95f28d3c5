"""What is seen of a run while it goes on: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from attrs import define, field

from flowyml.cli.columns import human_duration
from flowyml.cli.screen import complain, line
from flowyml.cli.transfer import PATIENCE, bar_of, is_looked_at
from flowyml.errors import FlowyMLError
from flowyml.metadata.rows import DeliveryRecord
from flowyml.pipelines.watching import RunObserver
from flowyml.records import DeliveryStatus, RunInfo, RunStatus, StepStatus, output_place
from flowyml.storage.transfers import Transfer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from flowyml.pipelines.result import RunResult

__all__ = ["LiveView", "PlainLines", "Times", "View", "observer"]

FRAMES_A_SECOND: Final = 8

STYLES: Final = {
    "pending": "dim",
    "running": "cyan",
    "stored": "yellow",
    "done": "green",
    "failed": "red",
    "skipped": "dim",
}


class View(RunObserver, Protocol):
    """Watches runs, and gives the terminal back."""

    @property
    def times(self) -> Times:
        """How long each run took."""

    def close(self) -> None:
        """Stop drawing, whatever happened."""


@define
class Times:
    """How long runs take from their first step on, without what is imported before that.

    Attributes:
        interrupted: Id of the run that was interrupted.
    """

    interrupted: str | None = field(default=None, init=False)
    _started: dict[str, float] = field(factory=dict, init=False)
    _taken: dict[str, float] = field(factory=dict, init=False)

    def start(self, run_id: str) -> None:
        """A run begins or goes on."""
        self._started[run_id] = time.monotonic()

    def stop(self, result: RunResult) -> None:
        """A run ended; the one around others ends last."""
        run_id = result.run_id
        if run_id in self._started:
            self._taken[run_id] = time.monotonic() - self._started[run_id]
        if result.status is RunStatus.INTERRUPTED:
            self.interrupted = run_id

    def of(self, run_id: str) -> float | None:
        """Return the seconds that a run took; None for one in which there was nothing to do."""
        return self._taken.get(run_id)


def observer(*, on_stderr: bool) -> View:
    """Return who watches a run for this terminal, pipe or file.

    Args:
        on_stderr: Whether the standard output is kept for JSON.
    """
    stream = sys.stderr if on_stderr else sys.stdout
    if is_looked_at(stream):
        return LiveView(on_stderr=on_stderr)
    return PlainLines(complain if on_stderr else line)


@define(eq=False)
class PlainLines:
    """Says in a line what happens when it happens.

    Attributes:
        say: Prints one line.
    """

    say: Callable[[str], None] = line
    times: Times = field(factory=Times, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _told: dict[str, str] = field(factory=dict, init=False, repr=False)

    def run_started(self, run: RunInfo, steps: Sequence[str]) -> None:
        """Name the run and its steps."""
        self.times.start(run.run_id)
        named = f", steps {', '.join(steps)}" if steps else ""
        self._tell(f"run {run.run_id}: {run.pipeline} on {run.stack}{named}")

    def step_started(self, step: str) -> None:
        """Say that a step begins."""
        self._tell(f"{step}: running")

    def step_finished(
        self, step: str, status: StepStatus, seconds: float, error: str | None
    ) -> None:
        """Say how a step ended; what it raised follows when the run has ended."""
        why = f": {_first_line(error)}" if error else ""
        self._tell(f"{step}: {status} after {human_duration(seconds)}{why}")

    def delivery(self, delivery: DeliveryRecord) -> None:
        """Say that a delivery failed; the end of the run tells of the others."""
        if delivery.status is DeliveryStatus.FAILED:
            why = _first_line(delivery.error)
            same = self._told.get(delivery.key) == why
            self._told[delivery.key] = why
            said = f"again (attempt {delivery.attempts})"
            said = said if same else f"(attempt {delivery.attempts}): {why}"
            place = output_place(delivery.step, delivery.output)
            self._tell(f"{place}: {delivery.hook} failed {said}")

    def run_finished(self, result: RunResult) -> None:
        """Leave the end to the summary."""
        self.times.stop(result)

    def close(self) -> None:
        """Do nothing."""

    def _tell(self, text: str) -> None:
        # A disk that is full of our lines is no reason to end somebody's run.
        with self._lock, contextlib.suppress(OSError, FlowyMLError):
            self.say(text)


@define
class _Row:
    """One step in the live table."""

    status: str = "pending"
    started: float = 0.0
    seconds: float | None = None
    remark: str = ""

    def time(self) -> str:
        if self.seconds is not None:
            return human_duration(self.seconds)
        return human_duration(time.monotonic() - self.started) if self.started else ""


@define(eq=False)
class LiveView:
    """Draws the steps of a run again and again while it goes on, and what they store and load.

    Attributes:
        on_stderr: Whether it is drawn on the standard error stream.
        patience: Seconds that a transfer may take before it has a bar.
    """

    on_stderr: bool = False
    patience: float = PATIENCE
    times: Times = field(factory=Times, init=False)
    _title: str = field(default="", init=False)
    _rows: dict[str, _Row] = field(factory=dict, init=False)
    _running: int = field(default=0, init=False)
    _transfers: dict[Transfer, float] = field(factory=dict, init=False, repr=False)
    _live: Live | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def run_started(self, run: RunInfo, steps: Sequence[str]) -> None:
        """Begin to draw."""
        self.times.start(run.run_id)
        with self._lock:
            self._running += 1
            if self._running > 1:  # a step runs a pipeline of its own
                return
            self._title = f"run {run.run_id}: {run.pipeline} on {run.stack}"
            self._rows = {step: _Row() for step in steps}
        self._draw()

    def _draw(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=Console(stderr=self.on_stderr),
            get_renderable=self._picture,
            refresh_per_second=FRAMES_A_SECOND,
        )
        self._live.start(refresh=True)

    def step_started(self, step: str) -> None:
        """Show a step as running."""
        with self._lock:
            row = self._rows.setdefault(step, _Row())
            row.status, row.started, row.seconds = "running", time.monotonic(), None

    def step_finished(
        self, step: str, status: StepStatus, seconds: float, error: str | None
    ) -> None:
        """Show how a step ended."""
        with self._lock:
            row = self._rows.setdefault(step, _Row())
            row.status, row.seconds = status.value, seconds
            row.remark = _first_line(error) or row.remark

    def delivery(self, delivery: DeliveryRecord) -> None:
        """Show what a step delivers last, or could not deliver."""
        with self._lock:
            row = self._rows.setdefault(delivery.step, _Row())
            failed = delivery.status is DeliveryStatus.FAILED
            row.remark = f"{delivery.hook} failed: {_first_line(delivery.error)}" if failed else ""

    def transfer_began(self, transfer: Transfer) -> None:
        """Remember since when files are on their way."""
        with self._lock:
            self._transfers[transfer] = time.monotonic()

    def transfer_ended(self, transfer: Transfer) -> None:
        """Take its bar away."""
        with self._lock:
            self._transfers.pop(transfer, None)

    def run_finished(self, result: RunResult) -> None:
        """Draw the end, which stays."""
        self.times.stop(result)
        with self._lock:
            self._running -= 1
            if self._running:
                return
        self.close()

    def close(self) -> None:
        """Stop drawing and show the cursor again."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=None, show_header=False, pad_edge=False)
        with self._lock:
            for step, row in self._rows.items():
                style = STYLES.get(row.status, "")
                drawn.add_row(
                    Text(f"  {step}"), Text(row.status, style=style), row.time(), Text(row.remark)
                )
            long = time.monotonic() - self.patience
            slow = [each for each, since in self._transfers.items() if since <= long]
        return Group(Text(self._title, style="bold"), drawn, *map(bar_of, slow))


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
