"""Warnings that FlowyML itself gives, as one line each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

import flowyml
from flowyml.pipelines.origins import is_ours

__all__ = ["plain_warnings"]

NAMED: Final = (f"{flowyml.__name__}.", f"{flowyml.__name__}_")
"""How the module is called that defines a warning of ours, or of a backend's package."""


@contextmanager
def plain_warnings(tell: Callable[[str], None]) -> Iterator[None]:
    """Show a warning of ours in one line: its place in our source helps nobody.

    One that comes from the user's code, or from a library, keeps its place.

    Args:
        tell: Is given each line.
    """
    with warnings.catch_warnings():
        elsewhere = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if is_ours(filename) or category.__module__.startswith(NAMED):
                tell(f"Warning: {message}")
            else:
                elsewhere(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield
