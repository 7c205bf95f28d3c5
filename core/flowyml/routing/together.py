"""Doing several things at once that only wait for other machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Final

__all__ = ["MOST", "do_together"]

MOST: Final = 8
"""Threads at most: a step that returns a thousand models opens no thousand connections."""


def do_together(tasks: Sequence[Callable[[], None]]) -> None:
    """Do all of them, each in the context of the caller; one alone needs no thread.

    Raises:
        Exception: What the first one raised, in their order; those that have not begun then never
            begin.
    """
    if len(tasks) < 2:  # noqa: PLR2004  # there is nobody to wait together with
        for task in tasks:
            task()
        return
    # Only a step with several outputs for distant stores pays for this import.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    with ThreadPoolExecutor(min(len(tasks), MOST), "flowyml-together") as pool:
        doing = [pool.submit(copy_context().run, task) for task in tasks]
        try:
            for done in doing:
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
