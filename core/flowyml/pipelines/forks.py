"""A process that a step's own code forked: it ends where the step does; the run goes on once."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

__all__ = ["leave"]


def leave(error: BaseException | None = None) -> NoReturn:
    """End this process as Python ends one, but with nothing of the run that it is a copy of.

    Args:
        error: What the step raised in it, where it did not return.
    """
    code: object = 0
    if isinstance(error, SystemExit):
        code = error.code
    elif error is not None:
        with suppress(Exception):  # what the standard error stream is by now is the step's affair
            traceback.print_exception(error)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))
