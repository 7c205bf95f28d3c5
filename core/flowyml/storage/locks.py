"""Locks on folders that end with the process that holds them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # Windows cannot lock a folder: what guards there is age, and unique names
    fcntl = None  # type: ignore[assignment]

__all__ = ["locked"]

_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.EBADF})


@contextmanager
def locked(folder: str, *, wait: bool = True) -> Iterator[None]:
    """Hold a folder for oneself among all processes of this machine.

    Args:
        folder: The folder.
        wait: Whether to wait for another holder.

    Raises:
        BlockingIOError: Another one holds it, and ``wait`` is False.
    """
    if fcntl is None:
        yield
        return
    # To open what is no folder may take for ever: a pipe waits for someone who writes.
    file = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        yield
    finally:
        os.close(file)
