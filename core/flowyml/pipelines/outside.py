"""What code uses from outside of it: globals, closures, defaults, members of modules, imports."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Collection, Iterator, Mapping
from functools import singledispatch
from importlib import import_module
from importlib.util import resolve_name
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from attrs import frozen

from flowyml.pipelines.definitions import UnknownSourceError, definition_of
from flowyml.pipelines.origins import is_users_file, is_users_import, is_users_module

__all__ = ["file_of", "used_by"]

GLOBAL: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})

GENERIC: Final = singledispatch(len).__code__  # type: ignore[attr-defined]
"""The code that all generic functions of `functools` share: it calls what their registry has."""


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


NONE: Final = _Names((), (), ())


def used_by(thing: FunctionType | type) -> Iterator[tuple[str, Any]]:
    """Yield what a function or a class uses from outside of it, by name.

    That is also what it may take out of the project's modules among that.

    Raises:
        UnknownSourceError: The file of a class was saved since, or a module of the project that is
            imported when the code runs cannot be imported.
    """
    names = _names_of(thing)
    opened: set[str] = set()
    for name, used in _used(thing, names):
        yield name, used
        if isinstance(used, ModuleType):
            yield from _taken(used, names.all, opened)


def _names_of(thing: FunctionType | type) -> _Names:
    if isinstance(thing, FunctionType):
        return _names_of_function(thing) if is_users_file(file_of(thing)) else NONE
    written = definition_of(thing)
    if written is None:
        return NONE
    looked_up, attributes = written.looked_up, written.attributes
    return _Names(looked_up, dict.fromkeys((*looked_up, *attributes)), ())


def file_of(function: FunctionType) -> str:
    """Return the file that a function was compiled from."""
    return function.__code__.co_filename


def _used(thing: FunctionType | type, names: _Names) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, FunctionType):
        yield from _named(names, thing.__globals__)
        yield from _kept(thing)
    else:
        module = inspect.getmodule(thing)
        yield from _named(names, vars(module) if module else {})


def _named(names: _Names, module: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what stands behind names in a module, and what is imported."""
    for name in names.looked_up:
        if name in module:
            yield name, module[name]
    for name, wanted in names.imported:
        yield from _load(name, wanted, module.get("__package__") or "")


def _kept(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function itself keeps."""
    if function.__code__ is GENERIC:
        chosen = function.registry  # type: ignore[attr-defined]  # as each generic function has
        yield from ((f"for {cls!r}", each) for cls, each in chosen.items())
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is assigned later
            continue
    for number, default in enumerate(function.__defaults__ or ()):
        yield f"default {number}", default
    yield from (function.__kwdefaults__ or {}).items()
    if is_users_file(file_of(function)):
        yield from vars(function).copy().items()


def _taken(
    module: ModuleType, names: Collection[str], opened: set[str]
) -> Iterator[tuple[str, Any]]:
    """Yield what code that has these names may take out of a module of the project."""
    if module.__name__ in opened or not is_users_module(module):
        return
    opened.add(module.__name__)
    for name in names:
        for thing in _member(module, name):
            yield f"{module.__name__}.{name}", thing
            if isinstance(thing, ModuleType):
                yield from _taken(thing, names, opened)


def _member(module: ModuleType, name: str) -> Iterator[Any]:
    """Yield a member of a module if it has it, or makes it as soon as it is asked for it."""
    if name in vars(module):
        yield vars(module)[name]
    elif "__getattr__" in vars(module):
        try:
            made = getattr(module, name)
        except Exception:  # noqa: BLE001  # its answer to a name that is none of its own
            return
        yield made


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
        top = name.partition(".")[0]
        if is_users_import(top):
            module = import_module(name)
            yield name, module
            if not members and top != name:  # what the code gets is the package
                yield top, import_module(top)
            for member in members:
                if not hasattr(module, member):
                    import_module(f"{name}.{member}")
                yield f"{name}.{member}", getattr(module, member)
    except KeyboardInterrupt:
        raise
    except BaseException as cause:  # a module may even call sys.exit()
        message = f"it imports {name!r}, which cannot be imported"
        raise UnknownSourceError(message) from cause
