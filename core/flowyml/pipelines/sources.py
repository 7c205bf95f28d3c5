"""The code that a step's result depends on: its own, and whatever of the project it uses.

Functions count by their instructions as they are loaded, for their file may have changed since;
classes by their source besides, which says what their fields are, or by all that they have where a
call made them. What is installed or comes with Python counts as the same as long as its name is.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import re
from collections import deque
from collections.abc import Iterable
from datetime import tzinfo
from functools import partial, singledispatchmethod
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final, get_args, get_origin

import attrs
from attrs import define, field

from flowyml.pipelines.arguments import code_in
from flowyml.pipelines.contents import content_of, has_content
from flowyml.pipelines.definitions import definition_of, file_digest
from flowyml.pipelines.members import all_held, held_besides
from flowyml.pipelines.origins import compiled_file, installed_as, is_installed
from flowyml.pipelines.outside import used_by
from flowyml.pipelines.step import Step

__all__ = ["code_digest"]

ADDRESS: Final = re.compile(" at 0x[0-9a-fA-F]+")

CACHED: Final = type(functools.lru_cache(len))


def code_digest(step: Step[..., Any], arguments: Iterable[object] = ()) -> str:
    """Return a digest of all the code that a step's result depends on.

    Comments and layout do not count.

    Args:
        step: The step.
        arguments: What it is called with, whose code it may call.

    Raises:
        UnknownSourceError: It uses something that has no source, or a value whose content cannot
            be written down.
    """
    code = _Code()
    code.follow(step.function, step.name)
    for each in code_in(arguments):
        code.follow(each, each.__qualname__)
    return hashlib.sha256(json.dumps(code.found).encode()).hexdigest()


@define
class _Code:
    """What is found on the way through things that use each other, in the order of the way."""

    found: list[tuple[str, str]] = field(factory=list)
    _met: dict[int, tuple[int, object]] = field(factory=dict)
    _waiting: deque[tuple[Any, str]] = field(factory=deque)

    def follow(self, thing: Any, name: str) -> None:
        """Add what a name stands for, and all that it uses."""
        self._waiting.append((thing, name))
        while self._waiting:
            used, its_name = self._waiting.popleft()
            if file := compiled_file(used):
                self.found.append((its_name, file_digest(file)))
            self._add(used, its_name)

    @singledispatchmethod
    def _add(self, thing: Any, name: str) -> None:
        """Add a value that is none of the things below."""
        if isinstance(thing, logging.Logger) or thing is attrs.NOTHING:
            return  # neither changes what a step returns
        if place := installed_as(thing):
            self.found.append((name, place))
        elif get_origin(thing) is not None:
            self.found.append((name, type(thing).__name__))
            self._later((get_origin(thing), *get_args(thing)), name)
        elif type(thing).__module__ in {"builtins", "typing", "types"} and _is_named(thing):
            self.found.append((name, ADDRESS.sub("", repr(thing))))
        else:
            content, code = content_of(thing, name)
            self.found.append((name, content))
            self._later(code, name)

    @_add.register(Step)
    def _add_step(self, thing: Step[..., Any], name: str) -> None:
        self._later([thing.function], name)

    @_add.register
    def _add_module(self, thing: ModuleType, name: str) -> None:
        self.found.append((name, thing.__name__))

    @_add.register(re.Pattern)
    def _add_pattern(self, thing: re.Pattern[Any], name: str) -> None:
        self.found.append((name, repr((thing.pattern, thing.flags))))

    @_add.register
    def _add_zone(self, thing: tzinfo, name: str) -> None:
        self.found.append((name, repr(thing)))

    @_add.register
    def _add_builtin(self, thing: BuiltinFunctionType, name: str) -> None:
        self.found.append((name, thing.__qualname__))
        owner = thing.__self__
        if isinstance(owner, ModuleType) or not is_installed(type(owner)) or has_content(owner):
            self._later([owner], f"owner of {name}")

    @_add.register
    def _add_method(self, thing: MethodType, name: str) -> None:
        self._later([thing.__self__, thing.__func__], name)

    @_add.register(partial)
    def _add_partial(self, thing: partial[Any], name: str) -> None:
        self._later([thing.func, *thing.args, *thing.keywords.items()], name)

    @_add.register(CACHED)
    def _add_cached(self, thing: Any, name: str) -> None:
        self._later([thing.__wrapped__], name)

    @_add.register
    def _add_function(self, thing: FunctionType, name: str) -> None:
        if not self._needs_no_more(thing, name):
            self.found.append((name, json.dumps(_instructions(thing.__code__))))
            self._waiting += ((used, inner) for inner, used in used_by(thing))

    @_add.register
    def _add_class(self, thing: type, name: str) -> None:
        if not self._needs_no_more(thing, name) and compiled_file(thing) is None:
            self._later([type(thing), *thing.__bases__], f"base of {name}")
            written = definition_of(thing)
            if written is None:
                self.found.append((name, "is made by a call"))
                self._waiting += ((held, inner) for inner, held in all_held(thing))
            else:
                self.found.append((name, written.source))
                self._waiting += ((held, inner) for inner, held in held_besides(thing))
                self._waiting += ((used, inner) for inner, used in used_by(thing))

    def _later(self, things: Iterable[Any], name: str) -> None:
        self._waiting += ((thing, name) for thing in things)

    def _needs_no_more(self, thing: Any, name: str) -> bool:
        """Add a function or a class that is installed, or was met before; tell whether it is."""
        if is_installed(thing):
            self.found.append((name, f"{thing.__module__}:{thing.__qualname__}"))
            return True
        number, _ = self._met.setdefault(id(thing), (len(self.found), thing))
        if number < len(self.found):
            self.found.append((name, f"number {number}"))
            return True
        return False


def _is_named(thing: object) -> bool:
    """Whether what comes with Python is known by its name: its functions, types and constants."""
    return callable(thing) or type(thing).__module__ == "typing" or thing in (..., NotImplemented)


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
