"""SHA-256 of files, taken while they are written and before they are read.

A large buffer of a long file is written by a second thread while the first one hashes it: both
release the interpreter, so that the slower of the two decides. For a short file it takes longer to
start the thread than it saves.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["PIECE", "HashingWriter", "hash_file", "write_new", "write_whole"]

PIECE: Final = 2**20
"""Bytes that are read, hashed and written at once."""

_WORTH_A_THREAD = 2**18

_LONG = 2**23

_NO_FILE = -1

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def _nobody(count: int) -> None:
    """Take no notice."""


class HashingWriter(io.RawIOBase):
    """A new local file that is hashed as it grows.

    Formats that go back to fill in a header may do so; the file is then hashed again from the disk.
    It has no ``fileno``, so that no library writes past it. Wrap it in `io.BufferedWriter`.
    """

    def __init__(self, path: str, told: Callable[[int], None] = _nobody) -> None:
        """Make the file; it must not exist.

        Args:
            path: Where.
            told: Is told of every number of bytes that were written.
        """
        super().__init__()
        self._path = path
        self._told = told
        self._hash = hashlib.sha256()
        self._position = 0
        self._hashed = 0
        self._in_order = True
        self._thread: ThreadPoolExecutor | None = None
        self._file: int = _NO_FILE  # a writer that could not make its file is closed as well
        self._file = os.open(path, _NEW, 0o666)

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def write(self, buffer: ReadableBuffer, /) -> int:
        """Write and hash a whole buffer."""
        with memoryview(buffer).cast("B") as view:
            size = len(view)
            self._in_order = self._in_order and self._position == self._hashed
            if not self._in_order:
                self._put(view)
            elif size < _WORTH_A_THREAD or self._position + size < _LONG:
                self._put(view)
                self._hash.update(view)
                self._hashed += size
            else:
                self._put_while_hashing(view)
                self._hashed += size
        self._told(size)
        return size

    def _put(self, view: memoryview) -> None:
        write_whole(self._file, view)
        self._position += len(view)

    def _put_while_hashing(self, view: memoryview) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "flowyml-write")
        putting = self._thread.submit(self._put, view)
        self._hash.update(view)
        putting.result()  # the buffer is the caller's again when this returns

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to another place in the file."""
        self._position = os.lseek(self._file, offset, whence)
        return self._position

    def tell(self) -> int:
        """Return the place in the file."""
        return self._position

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the file off, or make it longer."""
        length = self._position if size is None else size
        os.ftruncate(self._file, length)
        self._in_order = False
        return length

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        if not self.closed:
            super().close()
            if self._thread is not None:
                self._thread.shutdown()
            if self._file != _NO_FILE:
                os.close(self._file)

    def digest(self) -> tuple[int, str]:
        """Return size and hexadecimal SHA-256 of the closed file."""
        if self._in_order:
            return self._hashed, self._hash.hexdigest()
        with Path(self._path).open("rb", buffering=0) as file:
            return hash_file(file)


def write_new(path: str, content: bytes | memoryview) -> None:
    """Make a file with these bytes; it must not exist."""
    file = os.open(path, _NEW, 0o666)
    try:
        write_whole(file, memoryview(content))
    finally:
        os.close(file)


def write_whole(file: int, view: memoryview) -> None:
    """Write all bytes to an open file; a single call may take less, as on a disk that gets full."""
    start = os.write(file, view)
    while start < len(view):
        start += os.write(file, view[start:])


def hash_file(
    file: io.RawIOBase | io.FileIO, told: Callable[[int], None] = _nobody
) -> tuple[int, str]:
    """Read an unbuffered file to its end, in pieces.

    Args:
        file: The file.
        told: Is told of every number of bytes that were read.

    Returns:
        Size in bytes, and hexadecimal SHA-256.
    """
    hashed = hashlib.sha256()
    buffer = bytearray(PIECE)
    size = 0
    with memoryview(buffer) as view:
        while count := file.readinto(buffer):
            hashed.update(view[:count])
            size += count
            told(count)
    return size, hashed.hexdigest()
