"""Bounds of numbers that a stack's configuration gives."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["at_least_one", "positive"]


def positive(_component: object, field: Any, value: float) -> None:
    """Refuse what is no span of time: nothing, less than nothing, without an end, or no number.

    Raises:
        ValueError: It is none.
    """
    if not 0 < value < math.inf:
        message = f"{field.name} is a number above 0, not {value}"
        raise ValueError(message)


def at_least_one(_component: object, field: Any, value: int) -> None:
    """Refuse a number of things of which there is none.

    Raises:
        ValueError: It is one.
    """
    if value < 1:
        message = f"{field.name} is 1 or more, not {value}"
        raise ValueError(message)
