"""The stream that a command's answer goes to; with ``-o json``, nothing else gets into it.

A pipeline's file, a plugin or a step may print whatever it likes, and so may a library that is no
Python and a program that one of them starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from io import UnsupportedOperation
from typing import Final, TextIO

__all__ = ["kept_apart", "stream"]

APART: Final[ContextVar[TextIO | None]] = ContextVar("APART", default=None)


def stream() -> TextIO:
    """Return the stream for the answer: the standard output, wherever that is led by now."""
    return APART.get() or sys.stdout


@contextmanager
def kept_apart() -> Iterator[None]:
    """Lead what others print to the standard error stream."""
    with ExitStack() as block:
        token = APART.set(_own_descriptor(block) or stream())
        block.callback(APART.reset, token)
        block.enter_context(redirect_stdout(sys.stderr))
        yield


def _own_descriptor(block: ExitStack) -> TextIO | None:
    """Give the answer a descriptor of its own; None where the standard output has none.

    The usual one becomes another for the standard error stream as long as the block is open.
    """
    usual = sys.stdout
    try:
        number, errors = usual.fileno(), sys.stderr.fileno()
    except (AttributeError, UnsupportedOperation):  # there is none, or something stands for it
        return None
    usual.flush()
    answer = os.fdopen(os.dup(number), "w", encoding=usual.encoding, errors=usual.errors)
    block.callback(_close, answer)
    os.dup2(errors, number)
    block.callback(os.dup2, answer.fileno(), number)
    block.callback(_flush, usual)
    return answer


def _flush(usual: TextIO) -> None:
    """Write what waits in a buffer while its descriptor leads to the standard error stream."""
    with suppress(OSError):
        usual.flush()
    with suppress(ImportError, OSError, AttributeError, TypeError):  # there is no such C library
        from ctypes import CDLL  # most commands print no JSON

        CDLL(None).fflush(None)


def _close(answer: TextIO) -> None:
    with suppress(OSError):  # it was told when it was written
        answer.close()
