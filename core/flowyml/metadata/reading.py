"""Opening the SQLite file to read it, also where it may not be written.

A mounted backup and another user's project are read without leaving a trace there. SQLite on its
own would make a log and its index beside the file, wherever the folder lets it. They would belong
to the reader, and the owner of the file could not write it any more.
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from attrs import define, field

from flowyml.errors import MetadataError
from flowyml.metadata.database import PATIENCE, Database, Row, usable
from flowyml.metadata.faults import PRIMARY, failure
from flowyml.metadata.schema import MIGRATIONS, Migrations, check, upgrade

try:
    import fcntl
except ImportError:  # Windows, where a file in use cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]

__all__ = ["read_database"]

UNWRITABLE: Final = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
)
"""What SQLite answers where it may not write the file, or make a log beside it."""

SHARED: Final = (510, 0x40000002)
"""Length and place of the bytes that SQLite locks in a file to read it; its format fixes them."""

State = tuple[int, int, int] | None
"""Inode, size and time of change of a file; None where it is not there any more."""


def read_database(
    path: Path, *, migrations: Migrations = MIGRATIONS, patience: float = PATIENCE
) -> Database:
    """Open the file to read from it; where there is none, nothing is made and nothing is known.

    Raises:
        MetadataError: As `Database.open` does; or reading would have to write: the file is of an
            older version, or a process that was killed left what readers cannot share.
    """
    if not path.exists():
        return _empty(path, migrations)
    if os.access(path, os.W_OK):
        try:
            return Database.open(path, migrations=migrations, patience=patience)
        except MetadataError as refusal:
            code = getattr(refusal.__cause__, "sqlite_errorcode", 0)
            if code & PRIMARY not in UNWRITABLE or not path.is_file():
                raise
    place = path.resolve()  # SQLite keeps its log beside the file that a link leads to
    held = _hold(path, place)
    if Path(f"{place}-wal").exists() and Path(f"{place}-shm").exists():
        return _logged(path, place, held, migrations, patience)
    held.close()
    return _unlocked(path, place, migrations, patience)


def _empty(path: Path, migrations: Migrations) -> Database:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with usable(path, connection.close):
        upgrade(connection, path, migrations)
    return Database(path, connection)


def _hold(path: Path, place: Path) -> BinaryIO:
    """Lock the file as SQLite does to read it; its owner then leaves the log where it is.

    Without that, the log could go after it was seen here, and SQLite would make one of ours.
    """
    try:
        held = place.open("rb")
    except OSError as cause:
        raise failure(path, cause) from cause
    if fcntl is not None:
        with suppress(OSError):  # a drive that has no locks can have no log either
            fcntl.lockf(held, fcntl.LOCK_SH, *SHARED)
    return held


def _logged(
    path: Path, place: Path, held: BinaryIO, migrations: Migrations, patience: float
) -> Database:
    """Read a file along with its log, whose index all readers share."""
    connection = _connect(path, place, "readonly_shm=1", patience)
    database = _Logged(path, connection, held=held)
    with usable(path, database.close):
        check(connection, path, migrations)
    return database


def _unlocked(path: Path, place: Path, migrations: Migrations, patience: float) -> Database:
    """Read a file that has everything in itself, with no lock: SQLite needs an index for those."""
    before = _state(path)
    _refuse_leftovers(path, place)
    connection = _connect(path, place, "immutable=1", patience)
    with _unwritten(path, before), usable(path, connection.close):
        check(connection, path, migrations)
    return _Unlocked(path, connection, state=before)


def _refuse_leftovers(path: Path, place: Path) -> None:
    log, journal = Path(f"{place}-wal"), Path(f"{place}-journal")
    if log.exists() and log.stat().st_size:
        left = f"the log {log.name} beside it has what is not in the file yet"
    elif journal.exists():
        left = f"the journal {journal.name} beside it has what a writer has not finished"
    else:
        return
    message = (
        f"the metadata store {path} may not be written, and {left}: "
        "run `flowyml runs list` once where both may be written, which brings them together"
    )
    raise MetadataError(message)


def _connect(path: Path, place: Path, how: str, patience: float) -> sqlite3.Connection:
    address = f"{place.as_uri()}?mode=ro&{how}"
    try:
        return sqlite3.connect(
            address, timeout=patience, isolation_level=None, check_same_thread=False, uri=True
        )
    except sqlite3.Error as cause:
        raise failure(path, cause) from cause


@define(eq=False)
class _Logged(Database):
    """A file that is read along with its log, and held so that the log stays."""

    _held: BinaryIO = field(kw_only=True, repr=False)

    def close(self) -> None:
        """Close the connection, and let go of the file."""
        super().close()
        self._held.close()


@define(eq=False)
class _Unlocked(Database):
    """A file that its owner may write while it is read, and that says so instead of guessing."""

    _state: State = field(kw_only=True, repr=False)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all the rows that a query finds."""
        with _unwritten(self.path, self._state):
            return super().rows(sql, values)

    def numbers(self, sql: str, values: Sequence[object] = ()) -> array[int]:
        """Return the numbers that a query finds."""
        with _unwritten(self.path, self._state):
            return super().numbers(sql, values)


@contextmanager
def _unwritten(path: Path, before: State) -> Iterator[None]:
    """Refuse what was read, and what went wrong, where the file was written in the meantime."""
    wrong = None
    try:
        yield
    except MetadataError as error:
        wrong = error
    if _state(path) != before:
        message = f"the metadata store {path} was written while it was read; run it again"
        raise MetadataError(message) from wrong
    if wrong:
        raise wrong


def _state(path: Path) -> State:
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_ino, now.st_size, now.st_mtime_ns
