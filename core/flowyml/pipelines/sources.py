"""The code that a step's result depends on: its own, and whatever of the project it uses.

Functions count by their instructions as they are loaded, for their file may have changed since;
classes by their source besides, which says what their fields are. What is installed or comes with
Python counts as the same as long as its name is.
"""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import inspect
import json
import logging
import textwrap
from collections.abc import Collection, Iterator
from functools import partial, singledispatchmethod
from importlib import import_module
from importlib.util import resolve_name
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import attrs
from attrs import define, field

from flowyml.errors import SerializationError
from flowyml.pipelines.origins import is_installed, is_project, is_users_file, is_users_module
from flowyml.pipelines.step import Step
from flowyml.serialization import encode

__all__ = ["UnknownSourceError", "code_digest"]

GENERATED: Final = ("<string>", "<attrs generated")
"""Files of methods that a class decorator wrote; the source of the class says all of them."""

WRAPPED: Final = ("__func__", "fget", "fset", "func")
"""Where what stands in a class keeps the function that it was made from."""

CACHED: Final = type(functools.lru_cache(len))


class UnknownSourceError(Exception):
    """The result of a step depends on something whose content is not known."""


def code_digest(step: Step[..., Any]) -> str:
    """Return a digest of all the code that a step's result depends on.

    Comments and layout do not count.

    Raises:
        UnknownSourceError: It uses something that has neither source nor a form in JSON.
    """
    code = _Code()
    code.add(step.function, step.name)
    return hashlib.sha256(json.dumps(code.found).encode()).hexdigest()


@define
class _Code:
    """What is found on the way through things that use each other, in the order of the way."""

    found: list[tuple[str, str]] = field(factory=list)
    _met: dict[int, int] = field(factory=dict)

    @singledispatchmethod
    def add(self, thing: Any, name: str) -> None:
        """Add what a name stands for: a value, or one of the things below with all that it uses."""
        cls = type(thing)
        if isinstance(thing, logging.Logger) or thing is attrs.NOTHING:
            return  # neither changes what a step returns
        if cls.__module__ in {"builtins", "typing", "types"} and callable(thing):
            self.found.append((name, repr(thing)))
            return
        try:
            self.found.append((name, json.dumps(encode(thing), sort_keys=True)))
        except SerializationError as cause:
            message = f"it uses {name!r}, a {cls.__name__} whose content is not known"
            raise UnknownSourceError(message) from cause
        if _is_of_users(thing):
            self.add(cls, cls.__name__)

    @add.register(Step)
    def _add_step(self, thing: Step[..., Any], name: str) -> None:
        self.add(thing.function, name)

    @add.register
    def _add_module(self, thing: ModuleType, name: str) -> None:
        self.found.append((name, thing.__name__))

    @add.register
    def _add_builtin(self, thing: BuiltinFunctionType, name: str) -> None:
        self.found.append((name, thing.__qualname__))
        self.add(thing.__self__, f"owner of {name}")

    @add.register
    def _add_method(self, thing: MethodType, name: str) -> None:
        self.add(thing.__self__, f"owner of {name}")
        self.add(thing.__func__, name)

    @add.register(partial)
    def _add_partial(self, thing: partial[Any], name: str) -> None:
        for inner in (thing.func, *thing.args, *thing.keywords.items()):
            self.add(inner, name)

    @add.register(CACHED)
    def _add_cached(self, thing: Any, name: str) -> None:
        self.add(thing.__wrapped__, name)

    @add.register
    def _add_function(self, thing: FunctionType, name: str) -> None:
        if not self._needs_no_more(thing, name):
            self.found.append((name, json.dumps(_instructions(thing.__code__))))
            for inner, used in _used(thing):
                self.add(used, inner)

    @add.register
    def _add_class(self, thing: type, name: str) -> None:
        if self._needs_no_more(thing, name):
            return
        self.found.append((name, _source(thing)))
        for base in (type(thing), *thing.__bases__):
            self.add(base, f"base of {name}")
        for inner, held in _held(thing):
            self.add(held, inner)

    def _needs_no_more(self, thing: Any, name: str) -> bool:
        """Add a function or a class that is installed, or was met before; tell whether it is."""
        if is_installed(thing):
            self.found.append((name, f"{thing.__module__}:{thing.__qualname__}"))
            return True
        if id(thing) in self._met:
            self.found.append((name, f"number {self._met[id(thing)]}"))
            return True
        self._met[id(thing)] = len(self.found)
        return False


def _instructions(code: CodeType) -> list[Any]:
    """Return all of compiled code but its place in a file."""
    constants = [
        _instructions(each) if isinstance(each, CodeType) else _constant(each)
        for each in code.co_consts
    ]
    bare = (code.co_code.hex(), code.co_exceptiontable.hex(), code.co_flags, code.co_argcount)
    return [*bare, code.co_names, code.co_varnames, code.co_freevars, constants]


def _constant(value: object) -> str:
    """Write a constant; a set has another order in every process."""
    if isinstance(value, frozenset):
        return f"set {sorted(map(_constant, value))}"
    if isinstance(value, tuple):
        return f"tuple {[_constant(each) for each in value]}"
    return f"{type(value).__name__} {value!r}"


def _source(cls: type) -> str:
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(cls))))
    except (OSError, TypeError, SyntaxError) as cause:
        message = f"the source of {cls.__qualname__!r} is not to be found"
        raise UnknownSourceError(message) from cause


def _held(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield what stands in a class: functions, those of properties as well, classes and values.

    The source has the expression of what a library made, such as a pattern.
    """
    for name, value in vars(cls).items():
        made_from = (value, *(getattr(value, way, None) for way in WRAPPED))
        functions = [inner for inner in made_from if isinstance(inner, FunctionType)]
        for function in functions:
            if not _file_of(function).startswith(GENERATED):
                yield name, function
        is_pythons = name.startswith("_") and name.endswith(("_", "_impl"))
        if not (functions or is_pythons) and (_is_of_users(value) or _has_content(value)):
            yield name, value


def _is_of_users(value: object) -> bool:
    return not is_installed(value if isinstance(value, type) else type(value))


def _has_content(value: object) -> bool:
    try:
        encode(value)
    except SerializationError:
        return False
    return True


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function and of the functions inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _used(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function uses from outside of it, by name."""
    names = dict.fromkeys(name for code in _codes(function.__code__) for name in code.co_names)
    for name, thing in _outside(function, names):
        yield name, thing
        if isinstance(thing, ModuleType):
            yield from _taken(thing, names, {thing.__name__})


def _outside(function: FunctionType, names: Collection[str]) -> Iterator[tuple[str, Any]]:
    if is_users_file(_file_of(function)):
        for name in names:
            if name in function.__globals__:
                yield name, function.__globals__[name]
        for module in _imported(function):
            yield module.__name__, module
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is assigned later
            continue
    for number, default in enumerate(function.__defaults__ or ()):
        yield f"default {number}", default
    yield from (function.__kwdefaults__ or {}).items()


def _taken(
    module: ModuleType, names: Collection[str], opened: set[str]
) -> Iterator[tuple[str, Any]]:
    """Yield what code that has these names may take out of a module of the project."""
    if not is_users_module(module):
        return
    for name in names:
        if name not in vars(module):
            continue
        thing = vars(module)[name]
        yield f"{module.__name__}.{name}", thing
        if isinstance(thing, ModuleType) and thing.__name__ not in opened:
            yield from _taken(thing, names, opened | {thing.__name__})


def _imported(function: FunctionType) -> Iterator[ModuleType]:
    """Yield the modules of the project that a function imports when it is called.

    Raises:
        UnknownSourceError: One of them cannot be imported.
    """
    package = function.__globals__.get("__package__") or ""
    for code in _codes(function.__code__):
        steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
        for level, members, step in zip(steps, steps[1:], steps[2:], strict=False):
            if step.opname == "IMPORT_NAME":
                yield from _load(level.argval * "." + step.argval, members.argval or (), package)


def _load(name: str, members: Collection[str], package: str) -> Iterator[ModuleType]:
    try:
        name = resolve_name(name, package)
        if is_project(name.partition(".")[0]):
            module = import_module(name)
            yield module
            for member in members:
                if not hasattr(module, member):
                    yield import_module(f"{name}.{member}")
    except KeyboardInterrupt:
        raise
    except BaseException as cause:  # a module may even call sys.exit()
        message = f"it imports {name!r}, which cannot be imported"
        raise UnknownSourceError(message) from cause


def _file_of(function: FunctionType) -> str:
    return function.__code__.co_filename
