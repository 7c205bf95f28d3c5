"""The user's code in values: the classes of the objects in them, and functions."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterable
from types import CodeType, FunctionType, ModuleType, NoneType
from typing import Any, Final

from flowyml.pipelines.origins import is_installed

__all__ = ["code_in"]

PLAIN: Final = frozenset({int, float, complex, bool, str, bytes, NoneType})
"""Classes of objects that hold nothing; a value may have millions of them."""

CLOSED: Final = (type, FunctionType, CodeType, ModuleType, logging.Logger)
"""Classes of objects from which a way leads to everything, or to what changes no result."""


def code_in(values: Iterable[object]) -> list[type | FunctionType]:
    """Return the user's classes and functions in values, however deep and in whosever objects."""
    found: dict[type | FunctionType, None] = {}
    met: dict[int, object] = {}
    level = list(values)
    while new := _not_yet_met(level, met):
        found |= dict.fromkeys(
            each if isinstance(each, type | FunctionType) else type(each) for each in new
        )
        level = _held([each for each in new if not issubclass(type(each), CLOSED)])
    users = [each for each in found if not is_installed(each)]
    return sorted(users, key=lambda each: (str(each.__module__), each.__qualname__))


def _not_yet_met(values: list[object], met: dict[int, object]) -> list[object]:
    """Return each of the objects once; keep them, so that no other can have its number."""
    if PLAIN.issuperset(map(type, values)):
        return []
    new = {id(each): each for each in values if type(each) not in PLAIN and id(each) not in met}
    met |= new
    return [*new.values()]


def _held(values: list[Any]) -> list[object]:
    """Return what objects hold: elements and attributes alike, as Python's collector sees them.

    It does not see into an array.
    """
    held = gc.get_referents(*values)
    if numpy := sys.modules.get("numpy"):
        arrays = (each for each in values if issubclass(type(each), numpy.ndarray))
        held += [part for each in arrays if each.dtype.hasobject for part in each.flat]
    return held
