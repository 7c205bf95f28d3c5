"""What ``flowyml stack doctor`` is told."""

from __future__ import annotations

from collections.abc import Callable

from flowyml.errors import FlowyMLError
from flowyml.records import Check

__all__ = ["looked_at"]


def looked_at(name: str, look: Callable[[], str], *, fix: str | None = None) -> Check:
    """Return what a look at something found.

    Args:
        name: What is looked at.
        look: Looks, and says what it found; raises where it is not as it should be.
        fix: What to do then, where the error does not say it.
    """
    try:
        return Check(name, ok=True, message=look())
    except FlowyMLError as error:
        message, _, remedy = str(error).partition("; ")
        return Check(name, ok=False, message=message, fix=remedy or fix)
