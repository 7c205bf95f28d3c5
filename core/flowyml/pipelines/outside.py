"""What code uses from outside of it: globals, closures, defaults, members of modules, imports."""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import resolve_name
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from attrs import frozen

from flowyml.artifacts import Artifact
from flowyml.pipelines.origins import is_installed, is_project, is_users_file, is_users_module

__all__ = ["UnknownSourceError", "classes_in", "file_of", "source_of", "used_by"]

GLOBAL: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})

CONTAINERS: Final = (dict, list, tuple, set, frozenset)

DEPTH: Final = 5
"""How deep into a value its classes are looked for."""


class UnknownSourceError(Exception):
    """The result of a step depends on something whose content is not known."""


@frozen
class _Names:
    """The names that a piece of code has.

    Attributes:
        looked_up: Those that it looks up in its module.
        all: Those as well that it takes as an attribute of anything.
        imported: Modules that it imports when it runs, each with the members that it wants.
    """

    looked_up: Collection[str]
    all: Collection[str]
    imported: Collection[tuple[str, tuple[str, ...]]]


def used_by(thing: FunctionType | type) -> Iterator[tuple[str, Any]]:
    """Yield what a function or a class uses from outside of it, by name.

    Raises:
        UnknownSourceError: The source of a class is not to be found, or a module of the project
            that is imported when the code runs cannot be.
    """
    if isinstance(thing, FunctionType):
        yield from _of_function(thing)
    else:
        module = inspect.getmodule(thing)
        yield from _named(_names_of_class(thing), vars(module) if module else {})


def source_of(cls: type) -> str:
    """Return the source of a class, without comments and layout.

    Raises:
        UnknownSourceError: It is not to be found.
    """
    try:
        return "".join(map(ast.dump, _definitions(cls)))
    except RecursionError as cause:
        message = f"the source of {cls.__qualname__!r} is nested too deeply"
        raise UnknownSourceError(message) from cause


def _definitions(cls: type) -> Sequence[ast.AST]:
    """Return the nodes that define a class; there are several where an ``if`` decides."""
    try:
        file = inspect.getfile(cls)
        linecache.checkcache(file)
        found: Sequence[ast.AST] = [_parsed("".join(linecache.getlines(file)))]
    except (OSError, TypeError, SyntaxError):
        found = ()
    for part in cls.__qualname__.replace(".<locals>", "").split("."):
        below = (node for each in found for node in ast.walk(each) if node is not each)
        found = [node for node in below if getattr(node, "name", None) == part]
    if not found:
        message = f"the source of {cls.__qualname__!r} is not to be found"
        raise UnknownSourceError(message)
    return found


@lru_cache(maxsize=128)
def _parsed(text: str) -> ast.AST:
    return ast.parse(text)


def classes_in(values: Iterable[object]) -> list[type]:
    """Return the user's classes of values, of their elements and of what their objects hold."""
    found: dict[type, None] = {}
    level = list(values)
    for _ in range(DEPTH):
        kinds = dict.fromkeys(map(type, level))
        found |= dict.fromkeys(kind for kind in kinds if not is_installed(kind))
        deeper = {kind for kind in kinds if _has_parts(kind)}
        level = [part for value in level if type(value) in deeper for part in _parts(value)]
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))


def file_of(function: FunctionType) -> str:
    """Return the file that a function was compiled from."""
    return function.__code__.co_filename


def _has_parts(kind: type) -> bool:
    return issubclass(kind, (*CONTAINERS, Artifact)) or not is_installed(kind)


def _parts(value: Any) -> Iterator[object]:
    if isinstance(value, CONTAINERS):
        yield from value
    if isinstance(value, dict):
        yield from value.values()
    yield from getattr(value, "__dict__", {}).values()
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if not slot.startswith("__") and hasattr(value, slot):
                yield getattr(value, slot)


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    chosen = getattr(function, "registry", None)
    if isinstance(chosen, Mapping):  # functools.singledispatch
        yield from ((f"for {cls!r}", each) for cls, each in chosen.items())
        return
    if is_users_file(file_of(function)):
        yield from _named(_names_of_function(function), function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is assigned later
            continue
    for number, default in enumerate(function.__defaults__ or ()):
        yield f"default {number}", default
    yield from (function.__kwdefaults__ or {}).items()


def _named(names: _Names, module: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what stands behind names in a module, and in the modules among that."""
    package = module.get("__package__") or ""
    imported = (each for name, wanted in names.imported for each in _load(name, wanted, package))
    opened: set[str] = set()
    for name, thing in (
        *((name, module[name]) for name in names.looked_up if name in module),
        *imported,
    ):
        yield name, thing
        if isinstance(thing, ModuleType):
            yield from _taken(thing, names.all, opened)


def _taken(
    module: ModuleType, names: Collection[str], opened: set[str]
) -> Iterator[tuple[str, Any]]:
    """Yield what code that has these names may take out of a module of the project."""
    if module.__name__ in opened or not is_users_module(module):
        return
    opened.add(module.__name__)
    for name in names:
        if name in vars(module):
            thing = vars(module)[name]
            yield f"{module.__name__}.{name}", thing
            if isinstance(thing, ModuleType):
                yield from _taken(thing, names, opened)


def _names_of_function(function: FunctionType) -> _Names:
    looked_up: dict[str, None] = {}
    everything: dict[str, None] = {}
    imported: list[tuple[str, tuple[str, ...]]] = []
    for code in _codes(function.__code__):
        everything |= dict.fromkeys(code.co_names)
        steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
        looked_up |= dict.fromkeys(step.argval for step in steps if step.opname in GLOBAL)
        for level, members, step in zip(steps, steps[1:], steps[2:], strict=False):
            if step.opname == "IMPORT_NAME":
                imported.append((level.argval * "." + step.argval, members.argval or ()))
    return _Names(looked_up, everything, imported)


def _names_of_class(cls: type) -> _Names:
    """Read the names in the source: of bases and decorators, annotations, defaults and values."""
    nodes = [node for each in _definitions(cls) for node in ast.walk(each)]
    looked_up = dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name))
    attributes = dict.fromkeys(node.attr for node in nodes if isinstance(node, ast.Attribute))
    return _Names(looked_up, looked_up | attributes, ())


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function and of the functions inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _load(name: str, members: Collection[str], package: str) -> Iterator[tuple[str, Any]]:
    """Import a module if it is of the project, and yield it with what is wanted of it."""
    try:
        name = resolve_name(name, package)
        if is_project(name.partition(".")[0]):
            module = import_module(name)
            yield name, module
            for member in members:
                if not hasattr(module, member):
                    import_module(f"{name}.{member}")
                yield f"{name}.{member}", getattr(module, member)
    except KeyboardInterrupt:
        raise
    except BaseException as cause:  # a module may even call sys.exit()
        message = f"it imports {name!r}, which cannot be imported"
        raise UnknownSourceError(message) from cause
