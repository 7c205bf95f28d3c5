"""The version of the hook contract, and the ranges of it that plugins are built for.

The first number counts up when a plugin that follows the contract could break: a hook, a parameter
or a record's field that goes, or means something else. The second counts up when something is
added. A plugin states its range in ``Component.flowyml_api``; what pip checks is the range of
versions of ``flowyml`` that its distribution requires.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["API_VERSION", "fits"]

API_VERSION: Final = "1.0"

_COMPARISONS: Final[Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND: Final = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*([0-9]+(?:\.[0-9]+)*)\s*")
_LONGEST: Final = 8


def fits(version: str, range_: str) -> bool:
    """Whether a version is within a range.

    Args:
        version: Numbers with dots.
        range_: Bounds with commas between them (``>=1,<2``); all versions are in an empty one.

    Raises:
        ValueError: The range is not written so.
    """
    bounds = [_BOUND.fullmatch(part) for part in range_.split(",") if part.strip()]
    if None in bounds:
        message = f"{range_!r} is no range of versions; write one like '>=1,<2'"
        raise ValueError(message)
    return all(
        _COMPARISONS[bound[1]](_numbers(version), _numbers(bound[2])) for bound in bounds if bound
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Return a version's numbers, with zeros behind them: 1 is the same version as 1.0."""
    numbers = tuple(int(number) for number in re.findall(r"[0-9]+", version)[:_LONGEST])
    return numbers + (0,) * (_LONGEST - len(numbers))
