"""Who holds a lease: a process on a machine, and whether it is still there."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

__all__ = ["is_dead", "is_living", "new_owner"]


def new_owner() -> str:
    """Name this process, as no other holder ever is."""
    return f"{_machine()} {os.getpid()} {secrets.token_hex(6)}"


def _machine() -> str:
    """Name where process ids are counted: the machine, or the container."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return f"{socket.gethostname()}{space}".replace(" ", "")


def is_dead(owner: str) -> bool:
    """Whether an owner is a process of this machine that has ended without giving its run back."""
    pid = _process_here(owner)
    return pid is not None and not _runs(pid)


def is_living(owner: str) -> bool:
    """Whether an owner is a process of this machine that has not ended; it may be stopped."""
    pid = _process_here(owner)
    return pid is not None and _runs(pid)


def _process_here(owner: str) -> str | None:
    """Return the process id of an owner on this machine; None where that cannot be looked up."""
    machine, _, rest = owner.partition(" ")
    pid = rest.partition(" ")[0]
    known = machine == _machine() and pid.isdecimal() and os.name == "posix"
    return pid if known else None


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not _has_ended(pid)


def _has_ended(pid: str) -> bool:
    """Whether a process that still has its number has ended, and its parent has not asked."""
    try:
        # The name in brackets may hold anything, brackets too; the state is the next field.
        stat = Path("/proc", pid, "stat").read_text(errors="replace")
    except OSError:
        return False
    fields = stat.rpartition(")")[2].split()
    state, threads = fields[0], int(fields[17])
    # A first thread that has ended shows Z while others may still be writing.
    return state in {"Z", "X"} and threads <= 1
