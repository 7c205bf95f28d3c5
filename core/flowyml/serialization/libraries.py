"""Single values of libraries inside JSON, such as the ``np.float64`` that a metric often is.

A library is imported when a value of it is there, or when one is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

__all__ = ["LibraryValues", "library_by_tag", "library_of"]


class LibraryValues(Protocol):
    """How the single values of one library are written."""

    @property
    def tag(self) -> str:
        """What stands under ``$type``."""

    def take(self, value: Any) -> dict[str, Any]:
        """Return what there is to keep, as values that are encoded in turn."""

    def make(self, kept: Mapping[str, Any]) -> object:
        """Return the value again."""


_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "numpy:generic": "numpy",
        "pandas:NAType": "pandas",
        "pandas:NaTType": "pandas",
        "pandas:Timedelta": "pandas",
        "pandas:Timestamp": "pandas",
    }
)


def library_of(cls: type) -> LibraryValues | None:
    """Return what writes values of this class, or None for a class that is not known here."""
    places = (f"{base.__module__.partition('.')[0]}:{base.__name__}" for base in cls.__mro__)
    return next((_values(_MODULES[place]) for place in places if place in _MODULES), None)


def library_by_tag(tag: object) -> LibraryValues | None:
    """Return what reads values with this tag."""
    return _values(str(tag)) if tag in _MODULES.values() else None


def _values(library: str) -> LibraryValues:
    found: LibraryValues = import_module(f"flowyml.serialization.{library}_values").VALUES
    return found
