"""Names of classes that outlive the process: ``module:qualname``, and the way back.

A name that was read from a file never causes an import unless the file is trusted: importing a
module runs it.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from flowyml.errors import SerializationError

__all__ = [
    "importable_name",
    "is_importable",
    "is_stand_in",
    "packaged_name",
    "packages_of",
    "place_of",
    "plain_name",
    "resolve",
    "stand_in_name",
]

MAIN = "__main__"

STAND_IN = "_pipeline"


def importable_name(file: Path) -> str:
    """Return the name that a file is imported under: its stem, as a script beside it would say it.

    A file with relative imports can only be imported below its packages, and is named so.
    """
    file = file.resolve()
    if packages_of(file) and _imports_relatively(file):
        return packaged_name(file)
    return plain_name(file)


def plain_name(file: Path) -> str:
    """Return the name of a file whose folder is searched for modules."""
    return file.stem.replace(".", "_")  # a dot would mean a package


def stand_in_name(name: str) -> str:
    """Return the name of a module whose file has the name of another one, such as calendar.py."""
    return f"{name}{STAND_IN}"


def is_stand_in(module: ModuleType) -> bool:
    """Whether a module has a name of that kind, under which no other process finds it."""
    name, file = module.__name__, getattr(module, "__file__", None)
    if not name.endswith(STAND_IN) or file is None:
        return False
    return name == stand_in_name(plain_name(Path(file)))


def packaged_name(file: Path) -> str:
    """Return the name of a file below all packages that it lies in; its stem where there is none.

    Args:
        file: The file, `__init__.py` for its package.
    """
    packages = packages_of(file)
    own = () if packages and file.stem == "__init__" else (plain_name(file),)
    return ".".join((*packages, *own))


def packages_of(file: Path) -> tuple[str, ...]:
    """Return the packages that a file lies in, the outermost first: folders with `__init__.py`."""
    names: list[str] = []
    for folder in file.resolve().parents:
        if not (folder.name.isidentifier() and (folder / "__init__.py").is_file()):
            break
        names.insert(0, folder.name)
    return tuple(names)


def _imports_relatively(file: Path) -> bool:
    """Whether a file needs its package; `try: from .rows import Row` knows what to do without."""
    try:
        statements = ast.parse(file.read_bytes()).body
    except (OSError, RecursionError, SyntaxError, ValueError):  # told when it is loaded
        return False
    return any(
        isinstance(node, ast.ImportFrom) and node.level > 0
        for statement in statements
        if not isinstance(statement, ast.If | ast.Try)
        for node in ast.walk(statement)
    )


def place_of(cls: type) -> str:
    """Return the name of a class; one of a script that runs as ``__main__`` gets the file's name.

    So it is found again when the same file is imported under its own name.
    """
    module = cls.__module__
    return f"{_script_name() or MAIN if module == MAIN else module}:{cls.__qualname__}"


def is_importable(cls: type) -> bool:
    """Whether the class is found under its own name, so that a reference to it is enough.

    A class that was made inside a function is not, nor is one that lives in ``__main__`` without a
    file (a notebook, an interactive session) or in a file that has the name of another module.
    """
    if cls.__module__ == MAIN and _script_name() is None:
        return False
    module = sys.modules.get(cls.__module__)
    if module is None or is_stand_in(module):
        return False
    return _lookup(module, cls.__qualname__) is cls


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
        message = (
            f"the stored value is a {place}, but {name} cannot be imported: {cause}; install it, "
            f"or let PYTHONPATH name the folder with {name.partition('.')[0]!r} in it"
        )
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
    return _name_of_script(file) if file else None


@cache
def _name_of_script(file: str) -> str | None:
    """Return what a script is imported by; what came by a pipe, or is no `.py`, never is."""
    path = Path(file)
    return importable_name(path) if path.suffix == ".py" and path.is_file() else None
