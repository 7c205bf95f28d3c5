"""The gate before a deployment: whether metrics meet their thresholds.

It fails closed: what is missing, or is no plain finite number, meets nothing.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

__all__ = ["Decision", "decide", "worst"]

MISSING = object()


@frozen
class Decision:
    """Whether a gate opens.

    Attributes:
        met: Whether every threshold is met.
        reasons: For each threshold that is not, why.
    """

    met: bool
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it on one line."""
        return "every threshold is met" if self.met else "; ".join(self.reasons)


def decide(thresholds: Mapping[str, float], metrics: object) -> Decision:
    """Compare metrics with thresholds; at the threshold is met.

    Args:
        thresholds: The least value of each metric.
        metrics: Whatever stands where metrics are expected; anything but a mapping has none.
    """
    known = metrics if isinstance(metrics, Mapping) else {}
    failings = (_failing(name, bound, known) for name, bound in thresholds.items())
    reasons = tuple(failing for failing in failings if failing)
    return Decision(not reasons, reasons)


def worst(values: Iterable[object]) -> object:
    """Return the one of several values of a metric that is the hardest to pass with."""
    known = list(values)
    unfit = [value for value in known if _number(value) is None]
    return unfit[0] if unfit else min(known, key=lambda value: _number(value) or 0.0)


def _failing(name: str, bound: float, metrics: Mapping[Any, Any]) -> str | None:
    value = metrics.get(name, MISSING)
    if value is MISSING:
        return f"{name} is missing (it has to be at least {bound:g})"
    least, number = _number(bound), _number(value)
    if least is None:
        return f"{name} has the threshold {bound!r}, which is no finite number"
    if number is None:
        return f"{name} is {value!r}, which is no finite number (it has to be at least {bound:g})"
    if number >= least:
        return None
    found, wanted = f"{number:g}", f"{bound:g}"
    if found == wanted:  # they differ further behind
        found, wanted = repr(number), repr(least)
    return f"{name} is {found}, below {wanted}"


def _number(value: object) -> float | None:
    """Return a plain finite number for a number; a NumPy scalar is one, a bool is not."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
