"""Processes that outlive their starter, told apart from later ones with the same number."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from attrs import frozen

__all__ = ["Process"]

PROC = Path("/proc")


@frozen
class Process:
    """One process, for good: a number that is given out again does not mean it.

    Attributes:
        pid: Its number.
        started: When it was started, as the operating system counts, with the boot it was in.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the process that has this number now; None when there is none, or it has ended."""
        started = _started(pid)
        return None if started is None else cls(pid, started)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended; a child that ended is taken off the table on the way."""
        with suppress(ChildProcessError):  # it is somebody else's child: init takes it off
            os.waitpid(self.pid, os.WNOHANG)
        return _started(self.pid) == self.started

    def end(self, patience: float) -> None:
        """Ask it to end, then make it end.

        Args:
            patience: Seconds for it to finish what it is doing.
        """
        for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, patience)):
            if not self.is_running:
                return
            with suppress(ProcessLookupError):
                os.kill(self.pid, sign)
            self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.is_running and time.monotonic() < deadline:
            time.sleep(0.01)


def _started(pid: int) -> str | None:
    """Return what nobody who gets the same number later has in common with this process."""
    return _from_proc(pid) if PROC.joinpath("self").exists() else _from_ps(pid)


def _from_proc(pid: int) -> str | None:
    try:
        # The name in brackets may hold anything, brackets too; state is the third field.
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, threads, start = fields[0], int(fields[17]), fields[19]
    # A first thread that has ended shows Z while the others still hold what the process had open.
    has_ended = state in "ZX" and threads <= 1
    return None if has_ended else f"{boot}:{start}"


def _from_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return None if not said or said[0].startswith("Z") else " ".join(said[1:])
