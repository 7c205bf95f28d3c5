"""The code of a step: its own source, and that of whatever of the project it uses.

What is installed or comes with Python counts as the same as long as its name is; the user's own
functions, classes and constants count by their content.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import logging
import sysconfig
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import attrs
from attrs import define, field

from flowyml.errors import SerializationError
from flowyml.pipelines.failures import OURS
from flowyml.pipelines.step import Step
from flowyml.serialization import encode

__all__ = ["UnknownSourceError", "code_digest"]

INSTALLED: Final = tuple(
    str(Path(sysconfig.get_path(name)).resolve())
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


class UnknownSourceError(Exception):
    """The result of a step depends on something whose content is not known."""


def code_digest(step: Step[..., Any]) -> str:
    """Return a digest of all the code that a step's result depends on.

    Comments and layout do not count.

    Raises:
        UnknownSourceError: It uses something that has neither source nor a form in JSON.
    """
    code = _Code()
    code.add(step.function)
    text = json.dumps(code.found, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@define
class _Code:
    """What is found on the way through functions that use each other."""

    found: dict[str, str] = field(factory=dict)

    def add(self, thing: Any) -> None:
        """Add a function or a class of the user's, with all that it uses."""
        place = f"{thing.__module__}:{thing.__qualname__}"
        if place in self.found:
            return
        self.found[place] = _source(thing)
        for function in _functions(thing):
            for name, value in _used(function):
                self.value(f"{place} {name}", name, value, function)

    def value(self, place: str, name: str, value: Any, user: FunctionType) -> None:
        """Add whatever a name stands for in a function."""
        value = value.function if isinstance(value, Step) else value
        if isinstance(value, ModuleType):
            self._module(value, user)
        elif isinstance(value, FunctionType | type):
            if _is_users(value):
                self.add(value)
        elif not _is_harmless(value):
            try:
                self.found[place] = json.dumps(encode(value), sort_keys=True)
            except SerializationError as cause:
                message = f"it uses {name!r}, a {type(value).__name__} whose content is not known"
                raise UnknownSourceError(message) from cause

    def _module(self, module: ModuleType, user: FunctionType) -> None:
        """Add what a function takes from a module of the user's."""
        if not _is_users_file(getattr(module, "__file__", None)):
            return
        for code in _codes(user.__code__):
            for name in code.co_names:
                if name in vars(module):
                    self.value(f"{module.__name__}.{name}", name, vars(module)[name], user)


def _source(thing: Any) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError) as cause:
        message = f"the source of {thing.__qualname__!r} is not to be found"
        raise UnknownSourceError(message) from cause
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:  # a lambda in the middle of a statement
        return text


def _functions(thing: Any) -> Iterator[FunctionType]:
    """Yield a function itself, or those of a class."""
    if isinstance(thing, FunctionType):
        yield thing
        return
    for value in vars(thing).values():
        inner = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if isinstance(inner, FunctionType):
            yield inner


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function and of the functions inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _used(function: FunctionType) -> Iterable[tuple[str, Any]]:
    """Return the names of a function that stand for something outside of it."""
    found = {
        name: function.__globals__[name]
        for code in _codes(function.__code__)
        for name in code.co_names
        if name in function.__globals__
    }
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        try:
            found[name] = cell.cell_contents
        except ValueError:  # it is assigned later
            continue
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return [*found.items(), *((f"default {i}", each) for i, each in enumerate(defaults))]


def _is_users(thing: Any) -> bool:
    try:
        return _is_users_file(inspect.getfile(inspect.unwrap(thing)))
    except (OSError, TypeError):  # it is built in
        return False


def _is_users_file(file: str | None) -> bool:
    if file is None:
        return False
    path = str(Path(file).resolve())
    return not path.startswith((*INSTALLED, OURS))


def _is_harmless(value: Any) -> bool:
    """Whether a value cannot change what a step returns, or comes from outside of the project."""
    if isinstance(value, logging.Logger) or value is attrs.NOTHING:
        return True
    return type(value).__module__ in {"builtins", "typing", "types"} and callable(value)
