"""Names of classes that outlive the process: ``module:qualname``, and the way back.

A name that was read from a file never causes an import unless the file is trusted: importing a
module runs it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from flowyml.errors import SerializationError

__all__ = ["importable_name", "is_importable", "place_of", "resolve"]

MAIN = "__main__"


def importable_name(file: Path) -> str:
    """Return the name that a file is imported under: its stem, behind the packages it lies in."""
    file = file.resolve()
    stem = file.stem.replace(".", "_")
    names = [] if stem == "__init__" else [stem]
    for folder in file.parents:
        if not (folder.name.isidentifier() and (folder / "__init__.py").is_file()):
            break
        names.insert(0, folder.name)
    return ".".join(names) or stem


def place_of(cls: type) -> str:
    """Return the name of a class; one of a script that runs as ``__main__`` gets the file's name.

    So it is found again when the same file is imported under its own name.
    """
    module = cls.__module__
    return f"{_script_name() or MAIN if module == MAIN else module}:{cls.__qualname__}"


def is_importable(cls: type) -> bool:
    """Whether the class is found under its own name, so that a reference to it is enough.

    A class that was made inside a function is not, nor is one that lives in ``__main__`` without a
    file (a notebook, an interactive session).
    """
    if cls.__module__ == MAIN and _script_name() is None:
        return False
    module = sys.modules.get(cls.__module__)
    return module is not None and _lookup(module, cls.__qualname__) is cls


def resolve(place: str, *, trusted: bool) -> type:
    """Return the class of a name.

    Args:
        place: ``module:qualname``.
        trusted: Whether its module may be imported for it.

    Raises:
        SerializationError: There is no such class, or its module would have to be imported for it.
    """
    module_name, _, qualname = place.partition(":")
    found = _lookup(_module(module_name, place, trusted=trusted), qualname)
    if not isinstance(found, type):
        message = f"the module {module_name!r} has no class {qualname!r} any more; restore it"
        raise SerializationError(message)
    return found


def _module(name: str, place: str, *, trusted: bool) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    if name in {MAIN, _script_name()}:
        return sys.modules[MAIN]
    if not trusted:
        message = (
            f"the stored value is a {place}, whose module is not imported here; "
            f"import {name} first, or let the stack say `trust: pickle`"
        )
        raise SerializationError(message)
    try:
        return import_module(name)
    except ImportError as cause:
        message = f"the stored value is a {place}, but {name} cannot be imported: {cause}"
        raise SerializationError(message) from cause


def _lookup(module: ModuleType, qualname: str) -> object:
    found: object = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _script_name() -> str | None:
    main = sys.modules.get(MAIN)
    file = getattr(main, "__file__", None)
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return str(spec.name)
    return importable_name(Path(file)) if file else None
