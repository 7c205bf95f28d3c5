"""What ``flowyml stack doctor`` is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flowyml.errors import FlowyMLError
from flowyml.records import Check

__all__ = ["looked_at"]

MISSING_ROLE: Final = frozenset({"Forbidden", "NotFound"})
"""What Google answers where the API is off, the project is another one, or a role is missing."""


def looked_at(name: str, look: Callable[[], str], *, fix: str | None = None) -> Check:
    """Return what a look at something found.

    Args:
        name: What is looked at.
        look: Looks, and says what it found; raises where it is not as it should be.
        fix: What to do where Google denies it, or where the error does not say it.
    """
    try:
        return Check(name, ok=True, message=look())
    except FlowyMLError as error:
        message, _, remedy = str(error).partition("; ")
        denied = not MISSING_ROLE.isdisjoint(cls.__name__ for cls in type(error.__cause__).__mro__)
        return Check(name, ok=False, message=message, fix=(fix if denied else remedy) or fix)
