"""A bar for a transfer that takes more than a second, drawn in a terminal and nowhere else."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from attrs import define, field

from flowyml.cli.columns import human_size
from flowyml.stacks.text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

    from flowyml.storage.transfers import Transfer

__all__ = ["PATIENCE", "bar_of", "is_looked_at", "transfer"]

PATIENCE: Final = 1.0
"""Seconds that a transfer may take before somebody wants to know how it goes."""

WIDTH: Final = 30
"""Characters of a bar among the lines of a run."""


@contextmanager
def transfer(
    what: str, total: int, *, on_stderr: bool = False, patience: float = PATIENCE
) -> Iterator[Callable[[int], None]]:
    """Show how a transfer goes, if it takes long.

    Args:
        what: Stands before the bar.
        total: Bytes in all.
        on_stderr: Whether the standard output is kept for JSON.
        patience: Seconds until the bar appears.

    Yields:
        What is to be told of every further number of bytes.
    """
    stream = sys.stderr if on_stderr else sys.stdout
    if not is_looked_at(stream):
        yield lambda _: None
        return
    bar = _Bar(what, total, on_stderr)
    timer = threading.Timer(patience, bar.show)
    timer.daemon = True
    if patience:
        timer.start()
    else:
        bar.show()
    try:
        yield bar.advance
    finally:
        timer.cancel()
        if patience:
            timer.join()
        bar.close()


def is_looked_at(stream: TextIO) -> bool:
    """Whether somebody looks at a stream: a terminal, unless a server for tests has made it one."""
    return stream.isatty() and os.environ.get("CI", "").lower() not in {"1", "true"}


def bar_of(transfer: Transfer) -> RenderableType:
    """Return one line with the bar of a transfer, as it stands now."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    done, total = transfer.done, transfer.total
    drawn = Table.grid(padding=(0, 1))
    size = human_size(done) + (f" of {human_size(total)}" if total is not None else "")
    bar = ProgressBar(total, done, width=WIDTH, pulse=total is None)
    drawn.add_row(Text(f"  {printable(transfer.what)}"), bar, Text(size))
    return drawn


@define
class _Bar:
    """A bar that is drawn once it is asked for; until then it only counts."""

    what: str
    total: int
    on_stderr: bool
    _done: int = field(default=0, init=False)
    _drawn: tuple[Progress, TaskID] | None = field(default=None, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def show(self) -> None:
        """Begin to draw; only now is it worth the import."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TransferSpeedColumn,
        )

        drawn = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=self.on_stderr),
            transient=True,
        )
        with self._lock:
            task = drawn.add_task(printable(self.what), total=self.total, completed=self._done)
            self._drawn = (drawn, task)
        drawn.start()

    def advance(self, count: int) -> None:
        """Count bytes that were transferred."""
        with self._lock:
            self._done += count
            if self._drawn is not None:
                drawn, task = self._drawn
                drawn.update(task, completed=self._done)

    def close(self) -> None:
        """Take the bar away and give the terminal back."""
        if self._drawn is not None:
            self._drawn[0].stop()
