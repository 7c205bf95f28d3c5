"""A mapping of the file becomes an attrs object, or problems at their lines and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import define, field, frozen
from cattrs import (
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
)

from flowyml.errors import FlowyMLError, Location, Problem
from flowyml.spelling import meant
from flowyml.stacks.interpolation import resolve
from flowyml.stacks.nodes import ListNode, MappingNode, Node, ScalarNode
from flowyml.stacks.secrecy import HIDDEN, SHORTEST, said
from flowyml.stacks.shapes import UNFIT, WrongValueError, make_converter

__all__ = ["Structurer"]

T = TypeVar("T")
Keys = tuple[str | int, ...]

FOREIGN = (
    "`flowyml plugin show TYPE` tells what it takes; where the values here are right, the fault is "
    "in the plugin"
)
"""What to do about an exception that says of no value that it is wrong."""


@frozen
class _Fault:
    path: Keys
    message: str
    hint: str | None = None
    at_key: bool = False


@define
class Structurer:
    """Structures the nodes of one file.

    Attributes:
        folder: What relative paths are relative to.
        environ: Where variables are looked up.
        problems: What is wrong so far.
    """

    folder: Path
    environ: Mapping[str, str]
    problems: list[Problem] = field(factory=list)
    _converter: Converter = field(init=False)

    @_converter.default
    def _strict(self) -> Converter:
        return make_converter(self.folder)

    def note(self, message: str, node: Node, hint: str | None = None) -> None:
        """Add a problem at the place of a node."""
        self.problems.append(Problem(message, node.location, hint))

    def structure(
        self, cls: type[T], node: Node, what: str, without: str | None = None
    ) -> T | None:
        """Return the object that a node describes; None, and problems, where it is none.

        Args:
            cls: Its type; an attrs class, or anything that annotations can say.
            node: The node.
            what: What it is, for people (``artifact_store 'gcs'``).
            without: A key of the node that is not part of it (``type``).
        """
        before = len(self.problems)
        value = resolve(node, self.environ, self.problems)
        if len(self.problems) > before:
            return None
        if without and isinstance(value, dict):
            value.pop(without, None)
        made, faults = self._attempt(cls, value)
        texts = (text for text in _secrets(cls, node, value) if len(text) >= SHORTEST)
        hidden = sorted(texts, key=len, reverse=True)
        for fault in faults:
            place = _locate(node, fault.path, at_key=fault.at_key)
            where = ".".join(str(key) for key in fault.path)
            shown = f"{what}: {where}: " if where and not fault.at_key else f"{what}: "
            self.problems.append(Problem(shown + _scrub(fault.message, hidden), place, fault.hint))
        return made

    def _attempt(self, cls: type[T], value: Any) -> tuple[T | None, list[_Fault]]:
        """Keep what went wrong as faults: the exceptions hold values that may be secrets."""
        try:
            made = self._converter.structure(value, cls)
            return self._with_absolute_paths(made), []
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # a component may even call sys.exit()
            return None, list(_faults(error, (), value))

    def _with_absolute_paths(self, made: Any) -> Any:
        """Take the paths that a class has as defaults relative to the file, like those in it."""
        if not attrs.has(type(made)):
            return made
        paths = {
            a.alias: self.folder / getattr(made, a.name).expanduser()
            for a in attrs.fields(type(made))
            if a.init and isinstance(getattr(made, a.name), Path)
        }
        given = {a.alias: getattr(made, a.name) for a in attrs.fields(type(made)) if a.init}
        moved = any(paths[name] != given[name] for name in paths)
        return attrs.evolve(made, **paths) if moved else made


def _faults(error: BaseException, path: Keys, value: Any) -> Iterator[_Fault]:
    """Yield what a tree of cattrs errors says, with the keys that lead to each."""
    if isinstance(error, ClassValidationError):
        noted, bare = error.group_exceptions()
        for inner, note in noted:
            yield from _below(inner, path, _alias(error.cl, note.name), note.type, value)
        for inner in bare:
            yield from _faults(inner, path, value)
    elif isinstance(error, IterableValidationError):
        for inner, index in error.group_exceptions()[0]:
            yield from _below(inner, path, index.index, index.type, value)
    elif isinstance(error, ForbiddenExtraKeysError):
        yield from _unknown_keys(error, path)
    elif isinstance(error, WrongValueError):
        yield _Fault(path, str(error), error.hint)
    elif isinstance(error, UNFIT) and error.args:
        yield _Fault(path, str(error.args[0]))
    elif isinstance(error, FlowyMLError):
        yield _Fault(path, str(error))
    else:
        yield _Fault(path, f"it could not be made: {said(error)}", FOREIGN)


def _below(
    error: BaseException, path: Keys, key: str | int, cls: Any, value: Any
) -> Iterator[_Fault]:
    there = isinstance(value, list) or (isinstance(value, dict) and key in value)
    if there:
        yield from _faults(error, (*path, key), value[key])
    else:
        hint = f"add `{key}: <{getattr(cls, '__name__', cls)}>`"
        yield _Fault(path, f"the key {key!r} is missing", hint, at_key=True)


def _unknown_keys(error: ForbiddenExtraKeysError, path: Keys) -> Iterator[_Fault]:
    known = [a.alias for a in attrs.fields(error.cl) if a.init]
    for key in sorted(error.extra_fields):
        listed = f"known keys: {', '.join(known)}" if known else "it takes no keys"
        hint = meant(key, known) or listed
        yield _Fault((*path, key), f"unknown key {key!r}", hint, at_key=True)


def _alias(cls: Any, name: str) -> str:
    if not attrs.has(cls):
        return name
    return next((a.alias for a in attrs.fields(cls) if a.name == name), name)


def _locate(node: Node, path: Keys, *, at_key: bool) -> Location:
    """Return the place of the value that keys lead to, or that of the last key."""
    place = node.location
    for position, key in enumerate(path):
        if isinstance(node, MappingNode):
            entry = node.entry(str(key))
            if entry is None:
                return place
            last = position == len(path) - 1
            node = entry.value
            place = entry.key.location if at_key and last else node.location
        elif isinstance(node, ListNode) and isinstance(key, int):
            node = node.items[key]
            place = node.location
    return place


def _secrets(cls: Any, node: Node, value: Any) -> Iterator[str]:
    """Yield the texts that no message may show: secret fields, and all that variables held."""
    if isinstance(node, ScalarNode):
        if "${" in node.text and value:
            yield str(value)
    elif isinstance(node, ListNode):
        for item, below in zip(node.items, value, strict=True):
            yield from _secrets(None, item, below)
    else:
        declared = {a.alias: a for a in attrs.fields(cls)} if attrs.has(cls) else {}
        for entry in node:
            below = value.get(entry.key.text)
            known = declared.get(entry.key.text)
            if known is not None and known.repr is False:
                yield from _texts(below)
            yield from _secrets(known.type if known else None, entry.value, below)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif value is not None and value != "":
        yield str(value)


def _scrub(message: str, hidden: list[str]) -> str:
    for secret in hidden:
        message = message.replace(secret, HIDDEN)
    return message
