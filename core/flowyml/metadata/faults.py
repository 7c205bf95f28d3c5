"""What SQLite complains about, in words that name the file and say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from flowyml.errors import MetadataError

__all__ = ["PRIMARY", "failure", "unwritable"]

PRIMARY: Final = 0xFF
"""The part of an extended result code that is the plain one."""

START_AFRESH: Final = (
    "restore it from a backup, or move it away and a new one is started; "
    "the artifacts in their stores are not touched"
)

ADVICE: Final = {
    sqlite3.SQLITE_BUSY: (
        "is held by another process that does not let go; "
        "end that process, or wait for it, and try again"
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened; make sure that it is a file and that its folder may be written"
    ),
    sqlite3.SQLITE_CORRUPT: f"is damaged; {START_AFRESH}",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full; free some space and try again",
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written, the disk reports an error; "
        "check its free space, its quota and its health, and try again"
    ),
    sqlite3.SQLITE_NOTADB: f"is not a metadata store, it is no SQLite file at all; {START_AFRESH}",
    sqlite3.SQLITE_PERM: "may not be written; change its permissions and try again",
    sqlite3.SQLITE_READONLY: (
        "may not be written; change the permissions of the file and its folder and try again"
    ),
    sqlite3.SQLITE_READONLY_RECOVERY: (
        "is just being opened by a process that may write it; run it again"
    ),
}


def failure(path: Path, cause: Exception, about: str | None = None) -> MetadataError:
    """Return the error to raise for one that came out of `sqlite3`.

    Args:
        path: The database.
        cause: What `sqlite3` raised.
        about: What was to be recorded, where something was; it is not.
    """
    lost = f"{about} was not recorded: " if about else ""
    return MetadataError(f"{lost}the metadata store {path} {_reason(cause)}")


def unwritable(path: Path) -> MetadataError:
    """Return the error to raise for a file that is not even tried, as it may not be written."""
    return MetadataError(f"the metadata store {path} {ADVICE[sqlite3.SQLITE_READONLY]}")


def _reason(cause: Exception) -> str:
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return "does not know the run or the artifact that it belongs to; record that one first"
    advice = ADVICE.get(code) or ADVICE.get(code & PRIMARY)
    if advice:
        return f"{advice} (SQLite says: {cause})"
    return f"refuses: {cause}"
