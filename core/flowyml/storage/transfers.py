"""How far data files are on their way into a store or out of it, for whoever watches.

Nobody has to watch, and then nothing is kept. A store tells of every artifact that it writes, sends
or reads; a vendor's bucket tells of the parts of a large file with `moved`, as they arrive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from attrs import define, field

__all__ = [
    "Transfer",
    "TransferWatcher",
    "current_watcher",
    "moved",
    "moving",
    "transfer",
    "watching_transfers",
]


@define(eq=False)
class Transfer:
    """Data files of one artifact on their way.

    Attributes:
        what: What is done, for people: ``storing model``.
        total: Bytes in all; None while nobody knows.
        look: Tells how many bytes have arrived, where nobody counts them.
    """

    what: str
    total: int | None = None
    look: Callable[[], int] | None = None
    _count: int = field(default=0, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    @property
    def done(self) -> int:
        """Bytes that have arrived."""
        return self.look() if self.look else self._count

    def advance(self, count: int) -> None:
        """Count bytes that have arrived."""
        with self._lock:
            self._count += count

    def start_again(self, what: str, total: int) -> None:
        """Go over to what comes next with the same files."""
        with self._lock:
            self.what, self.total, self._count = what, total, 0


class TransferWatcher(Protocol):
    """Is told of transfers; threads that store and load call it, several at a time."""

    def transfer_began(self, transfer: Transfer) -> None:
        """A transfer begins; it counts by itself."""

    def transfer_ended(self, transfer: Transfer) -> None:
        """A transfer has ended, however it did."""


@define
class _File:
    """One file of a transfer, and how much of it has arrived."""

    whole: Transfer
    done: int = 0


_WATCHER: ContextVar[TransferWatcher | None] = ContextVar("flowyml_transfers", default=None)
_MOVING: ContextVar[_File | None] = ContextVar("flowyml_moving", default=None)


@contextmanager
def watching_transfers(watcher: TransferWatcher) -> Iterator[None]:
    """Let somebody watch every transfer that begins in the block."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def current_watcher() -> TransferWatcher | None:
    """Return who watches here; None where nobody does."""
    return _WATCHER.get()


@contextmanager
def transfer(
    what: str, total: int | None = None, look: Callable[[], int] | None = None
) -> Iterator[Transfer]:
    """Tell whoever watches that a transfer goes on as long as the block does."""
    made, watcher = Transfer(what, total, look), current_watcher()
    if watcher is None:
        yield made
        return
    watcher.transfer_began(made)
    try:
        yield made
    finally:
        watcher.transfer_ended(made)


@contextmanager
def moving(whole: Transfer, size: int) -> Iterator[None]:
    """Move one file of a transfer: what `moved` does not tell of has arrived at the block's end."""
    file = _File(whole)
    token = _MOVING.set(file)
    try:
        yield
    finally:
        _MOVING.reset(token)
    whole.advance(size - file.done)


def moved(count: int) -> None:
    """Tell that so many bytes of the file that this thread moves have arrived."""
    if file := _MOVING.get():
        file.done += count
        file.whole.advance(count)
