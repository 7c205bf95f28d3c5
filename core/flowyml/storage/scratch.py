"""Room for temporary files: gone with its process, or swept by a later one where that was killed.

A process has one folder below the system's temporary one, and holds it by a lock that ends with
the process, whatever it dies of.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Final

from flowyml.storage.locks import locked

__all__ = ["scratch_home"]

PREFIX: Final = "flowyml-"
SUFFIX: Final = ".scratch"

GRACE: Final = 3600.0
"""Seconds that a folder which nobody holds stays: its process may be about to take hold of it."""


def scratch_home() -> Path:
    """Return the folder that this process has for temporary files, as a ``dir`` for `tempfile`."""
    return _home_of(os.getpid())


@cache
def _home_of(process: int) -> Path:
    """Make the folder of a process; a fork is another one."""
    home = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX))
    hold = ExitStack()
    hold.enter_context(locked(str(home)))
    atexit.register(_leave, home, hold, process)
    if _is_held(home):  # else locks mean nothing here, and a folder in use would look left
        _sweep(home.parent)
    return home


def _leave(home: Path, hold: ExitStack, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(home, ignore_errors=True)
        hold.close()


def _sweep(folder: Path) -> None:
    """Remove what killed processes left."""
    for home in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):  # another user's, or another process is sweeping it
            if time.time() - home.stat().st_mtime > GRACE:
                with locked(str(home), wait=False):
                    shutil.rmtree(home, ignore_errors=True)


def _is_held(home: Path) -> bool:
    try:
        with locked(str(home), wait=False):
            return False
    except BlockingIOError:
        return True
