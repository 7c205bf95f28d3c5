"""Whose code it is: the user's, ours, or somebody's that is installed."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import flowyml

__all__ = [
    "compiled_file",
    "installed_as",
    "is_installed",
    "is_ours",
    "is_users_file",
    "is_users_import",
    "is_users_module",
]

OURS: Final = str(Path(flowyml.__file__).parent) + os.sep
"""How the file of each module of our own source begins."""

MADE: Final = "types"
"""Module that a class is said to be of which a call like `make_dataclass` made."""

PACKAGES: Final = frozenset({"site-packages", "dist-packages"})
"""Folders of what is installed, also for the user alone or below another Python."""


def is_ours(file: str) -> bool:
    """Whether a file of code is of FlowyML's own source."""
    return file.startswith(OURS)


def is_users_import(name: str) -> bool:
    """Whether an import of this name, which has no dot, would give a module of the user's."""
    spec = find_spec(name)
    if spec is None:
        return False
    return _is_users(spec.origin if spec.has_location else None, spec.submodule_search_locations)


def is_installed(thing: Any) -> bool:
    """Whether a class is of an installed module, or a function what one has under its name."""
    module = sys.modules.get(thing.__module__)
    if module is None or is_users_module(module):
        return False
    if isinstance(thing, type) and thing.__module__ != MADE:
        return True
    try:
        return attrgetter(thing.__qualname__)(module) is thing
    except AttributeError:
        return False


def installed_as(thing: Any) -> str | None:
    """Return the name under which a library has something that it compiled, such as numpy.sin."""
    kind = sys.modules.get(type(thing).__module__)
    if kind is not None and is_users_module(kind):
        return None  # it may answer to any name
    name, module = getattr(thing, "__name__", None), getattr(thing, "__module__", None)
    for place in (module, type(thing).__module__.partition(".")[0]):
        found = sys.modules.get(place) if isinstance(place, str) else None
        if found is None or is_users_module(found) or not isinstance(name, str):
            continue
        if getattr(found, name, None) is thing:
            return f"{place}.{name}"
    return None


def is_users_module(module: ModuleType) -> bool:
    """Whether a module is the user's; what runs as a script always is."""
    file = getattr(module, "__file__", None)
    folders = () if file else getattr(module, "__path__", ())
    return module.__name__ == "__main__" or _is_users(file, folders)


def compiled_file(thing: Any) -> str | None:
    """Return the file of the user's module that is or has a thing, if it is no Python source."""
    is_module = isinstance(thing, ModuleType)
    module = thing if is_module else sys.modules.get(str(getattr(thing, "__module__", None)))
    file = getattr(module, "__file__", None)
    is_compiled = file is not None and file.endswith(tuple(EXTENSION_SUFFIXES))
    return file if is_compiled and is_users_file(file) else None


def _is_users(file: str | None, folders: Iterable[str] | None) -> bool:
    """Whether a module is the user's; one that is only a folder has no file."""
    return any(map(is_users_file, [file] if file else folders or ()))


@lru_cache(maxsize=4096)
def is_users_file(file: str | None) -> bool:
    """Whether a file of code is the user's; a notebook's cell has one that is not on the disk."""
    if file is None or file.startswith("<frozen"):
        return False
    path = Path(file).resolve()
    return PACKAGES.isdisjoint(path.parts) and not str(path).startswith((*_installed(), OURS))


@cache  # who only asks what is ours need not wait for it
def _installed() -> tuple[str, ...]:
    """Return how the file of each module begins that is Python's, or installed beside it."""
    places = map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple(str(Path(place).resolve()) + os.sep for place in places)
