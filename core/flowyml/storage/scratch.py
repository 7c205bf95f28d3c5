"""Room for temporary files: gone with its process, or swept by a later one where that was killed.

A process has one folder below the system's temporary one, and holds it by a lock that ends with
the process, whatever it dies of. Killed are also the workers of a `multiprocessing` pool that is
not closed and joined before its ``with`` block ends, and a fork that calls ``os._exit`` itself.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from attrs import define, field

from flowyml.storage.locks import locked

__all__ = ["scratch_home"]

PREFIX: Final = "flowyml-scratch-"

GRACE: Final = 3600.0
"""Seconds that a folder which nobody holds stays: its process may be about to take hold of it."""


def scratch_home() -> Path:
    """Return the folder that this process has for temporary files, as a ``dir`` for `tempfile`.

    Whoever needs it asks again each time: a cleaner of the machine may have removed it meanwhile.
    """
    return _HOMES.setdefault(os.getpid(), _Home()).path()


@define(eq=False)
class _Home:
    """The folder of one process."""

    _process: int = field(init=False, factory=os.getpid)
    _turn: threading.RLock = field(init=False, factory=threading.RLock)
    _hold: ExitStack = field(init=False, factory=ExitStack)
    _path: Path | None = field(init=False, default=None)

    def path(self) -> Path:
        """Return the folder, made where there is none yet, or none any more."""
        with self._turn:
            if self._path is None:
                _when_this_process_ends(self)
            if self._path is None or not self._path.is_dir():
                self._path = self._made()
            return self._path

    def leave(self) -> None:
        """Remove the folder; a fork leaves its parent's alone."""
        if self._path and os.getpid() == self._process:
            shutil.rmtree(self._path, ignore_errors=True)
            self._hold.close()

    def _made(self) -> Path:
        self._hold.close()
        # TMPDIR=. is where the process is now, and it may go elsewhere.
        home = Path(tempfile.mkdtemp(prefix=_prefix())).absolute()
        self._hold.enter_context(locked(str(home)))
        if _is_held(home):  # else locks mean nothing here, and a folder in use would look left
            _sweep(home.parent)
        return home


_HOMES: Final[dict[int, _Home]] = {}
"""By the number of the process: a fork is another one, and waits for no thread of its parent's."""


def _when_this_process_ends(home: _Home) -> None:
    """Have the folder removed then.

    A fork that `multiprocessing` made ends without `atexit`; what it calls itself, it calls at the
    end of every process that has imported it, below zero after those that it started.
    """
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is None:
        atexit.register(home.leave)
    else:
        multiprocessing.Finalize(None, home.leave, exitpriority=-1)


def _prefix() -> str:
    """Begin the name of what is this machine's: on a shared disk, others may not see its locks."""
    machine = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return f"{PREFIX}{machine}."


def _sweep(folder: Path) -> None:
    """Remove what killed processes of this user left."""
    for home in folder.glob(f"{_prefix()}*"):
        with suppress(OSError):  # another process is sweeping it, or still has it
            if _is_left(home.lstat()):
                with locked(str(home), wait=False):
                    shutil.rmtree(home, ignore_errors=True)


def _is_left(facts: os.stat_result) -> bool:
    """Say whether this is an old folder of this user's; anybody may have put anything there."""
    is_own = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
    return is_own and time.time() - facts.st_mtime > GRACE


def _is_held(home: Path) -> bool:
    try:
        with locked(str(home), wait=False):
            return False
    except BlockingIOError:
        return True
