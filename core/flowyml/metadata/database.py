"""The connection to the SQLite file: opening, locking, transactions, errors.

The journal is a write-ahead log and ``synchronous`` is NORMAL. Every commit is handed to the
operating system before it returns, so a process that is killed at any instant loses nothing that
was committed. Only a power cut, or a crash of the whole machine, may lose the last transactions
before it; the file stays whole even then.

Any number of processes of one machine may use one file at once. A transaction takes the only write
lock at its beginning, so it waits for its turn and then never has to give up half-way.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from attrs import define, field

from flowyml.errors import MetadataError
from flowyml.metadata.faults import PRIMARY, failure, unwritable
from flowyml.metadata.schema import MIGRATIONS, Migrations, upgrade

__all__ = ["PATIENCE", "Database", "Row", "usable"]

Row = tuple[Any, ...]

PATIENCE: Final = 60.0
"""Seconds that a writer waits for the others; each of them needs less than a millisecond."""

CHECKPOINT_PAGES: Final = 4000
"""Length of the log, in pages of 4 KiB, at which it is copied back into the file.

That is the only moment that waits for the disk, so it comes less often than SQLite's 1000 pages
would have it, and a page that was written many times is copied once.
"""


@define(eq=False)
class Database:
    """One connection that the threads of one process share.

    Attributes:
        path: The file.
    """

    path: Path
    _connection: sqlite3.Connection = field(repr=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False, repr=False)
    _process: int = field(factory=os.getpid, init=False, repr=False)
    _open: bool = field(default=False, init=False, repr=False)
    _broken: bool = field(default=False, init=False, repr=False)

    @classmethod
    def open(
        cls, path: Path, *, migrations: Migrations = MIGRATIONS, patience: float = PATIENCE
    ) -> Self:
        """Open the file, after making it and its folder where they are not there.

        Args:
            path: The file.
            migrations: The steps from one schema version to the next.
            patience: Seconds to wait for other processes.

        Raises:
            MetadataError: It is no SQLite file, belongs to another program, was written by a newer
                version, is damaged, or cannot be written.
        """
        if os.access(path, os.F_OK) and not os.access(path, os.W_OK):
            # SQLite would see that too late: the log it has made by then keeps the owner out.
            raise unwritable(path)
        connection = _connect(path, patience)
        with usable(path, connection.close):
            upgrade(connection, path, migrations)
            _configure(connection, patience)
        return cls(path, connection)

    def close(self) -> None:
        """Close the connection; the last one of all processes tidies the log away."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everything that is written in the block, or nothing.

        A block inside another joins it. When the inner one fails, the outer one keeps nothing
        either, even if the exception is caught in between.

        Raises:
            MetadataError: The write lock, or the commit, is not to be had.
        """
        with self._lock:
            if self._open:
                with self._joined():
                    yield
                return
            try:
                self._execute("BEGIN IMMEDIATE", (), None)
                self._open = True
                yield
                self._execute("COMMIT", (), "a transaction")
            except BaseException:
                if self._is_in_transaction():
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._open = self._broken = False

    @contextmanager
    def _joined(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._broken = True
            raise

    def write(self, sql: str, values: Sequence[object], *, about: str) -> sqlite3.Cursor:
        """Execute one statement that writes; outside a transaction it is one by itself.

        Args:
            sql: The statement, a constant, so that it is compiled once.
            values: Its parameters.
            about: What it records, for the message if it fails.

        Returns:
            The finished cursor, with ``rowcount`` and ``lastrowid``.
        """
        with self._lock:
            return self._execute(sql, values, about)

    def write_all(self, sql: str, rows: Iterable[Sequence[object]], *, about: str) -> None:
        """Execute one statement for each of several rows, all of them or none."""
        with self.transaction():
            for values in rows:
                self._execute(sql, values, about)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all the rows that a query finds."""
        with self._lock:
            cursor = self._execute(sql, values, None)
            try:
                return cursor.fetchall()
            except sqlite3.Error as cause:  # damage may only show on a later row
                raise failure(self.path, cause) from cause

    def row(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """Return the first row that a query finds, if there is one."""
        found = self.rows(sql, values)
        return found[0] if found else None

    def numbers(self, sql: str, values: Sequence[object] = ()) -> array[int]:
        """Return the numbers that a query finds; a million of them take 8 MB."""
        with self._lock:
            cursor = self._execute(sql, values, None)
            try:
                return array("q", (number for (number,) in cursor))
            except sqlite3.Error as cause:
                raise failure(self.path, cause) from cause

    def _execute(self, sql: str, values: Sequence[object], about: str | None) -> sqlite3.Cursor:
        if self._broken or not (self._open or self._process == os.getpid()):
            raise MetadataError(self._why_unusable())
        try:
            return self._connection.execute(sql, values)
        except (sqlite3.Error, UnicodeEncodeError) as cause:
            # A full disk makes SQLite roll back the whole transaction by itself. What the block
            # still writes after that must not be kept on its own.
            self._broken = self._open and not self._is_in_transaction()
            raise failure(self.path, cause, about) from cause

    def _is_in_transaction(self) -> bool:
        try:
            return self._connection.in_transaction
        except sqlite3.ProgrammingError:  # it was closed, and that took the transaction back
            return False

    def _why_unusable(self) -> str:
        if self._broken:
            return (
                f"a transaction on the metadata store {self.path} has failed, and nothing of it "
                "was kept; the first error in it says why"
            )
        return (
            f"the metadata store {self.path} was opened by the process {self._process}, and this "
            f"is its fork {os.getpid()}; open the store again in here"
        )


@contextmanager
def usable(path: Path, close: Callable[[], None]) -> Iterator[None]:
    """Close what turns out in the block to be of no use, and say why it is not."""
    try:
        yield
    except sqlite3.Error as cause:
        close()
        raise failure(path, cause) from cause
    except BaseException:
        close()
        raise


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        message = (
            f"the folder {path.parent} of the metadata store cannot be made: {cause.strerror}; "
            "choose a project folder that may be written"
        )
        raise MetadataError(message) from cause
    try:
        return sqlite3.connect(
            path, timeout=patience, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as cause:
        raise failure(path, cause) from cause


def _configure(connection: sqlite3.Connection, patience: float) -> None:
    mode = _use_log(connection, time.monotonic() + patience)
    # Some network drives have no shared memory, hence no log. The rollback journal they get
    # instead is only safe when every commit waits for the disk.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA foreign_keys = ON")


def _use_log(connection: sqlite3.Connection, deadline: float) -> str:
    """Switch to the write-ahead log; SQLite itself does not wait for others here."""
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & PRIMARY == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return mode
