"""From a table of mistakes to suites: one for each mistake, and one for the sound component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["suites"]


def suites(
    base: type, broken: Mapping[str, Callable[..., Any]], sound: Callable[..., Any]
) -> dict[str, type]:
    """Return test classes by their names: ``TestSound``, and ``Test_<name of the check>``."""
    made = {f"Test_{check}": _suite(base, f"Test_{check}", make) for check, make in broken.items()}
    return {"TestSound": _suite(base, "TestSound", sound), **made}


def _suite(base: type, name: str, make: Callable[..., Any]) -> type:
    return type(name, (base,), {"make": staticmethod(make)})
