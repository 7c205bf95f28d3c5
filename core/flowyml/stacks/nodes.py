"""The file as a tree in which every value knows its line and column."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from typing import ClassVar, TypeAlias

from attrs import evolve, field, frozen

from flowyml.errors import Location

__all__ = [
    "Entry",
    "ListNode",
    "MappingNode",
    "Node",
    "ScalarNode",
    "describe",
    "plain_value",
    "text_beside",
    "with_type",
]

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@frozen
class ScalarNode:
    """A single value, as it was written.

    Attributes:
        text: Its text, without quotes, before any variable is put in.
        quoted: Whether quotes, a block style or a tag make it text whatever it looks like.
        span: Where it begins and ends in the file, in characters.
    """

    text: str
    quoted: bool
    location: Location = field(eq=False)
    span: tuple[int, int] = field(eq=False)
    weight: int = field(default=1, eq=False)

    @property
    def says_nothing(self) -> bool:
        """Whether this is a null: the value of a key with nothing behind it."""
        return not self.quoted and plain_value(self.text) is None


@frozen
class Entry:
    """A key and its value."""

    key: ScalarNode
    value: Node


@frozen
class MappingNode:
    """Keys and values; the keys are texts, each there once."""

    entries: tuple[Entry, ...]
    location: Location = field(eq=False)
    span: tuple[int, int] = field(eq=False)
    weight: int = field(default=1, eq=False)
    flow: bool = field(default=False, eq=False)
    says_nothing: ClassVar[bool] = False

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in the order of the file."""
        return iter(self.entries)

    def get(self, key: str) -> Node | None:
        """Return the value of a key, or None."""
        entry = self.entry(key)
        return entry.value if entry else None

    def entry(self, key: str) -> Entry | None:
        """Return a key with its value, or None."""
        return next((entry for entry in self.entries if entry.key.text == key), None)

    def without(self, keys: Container[str]) -> MappingNode:
        """Return this mapping without some of its keys."""
        kept = tuple(entry for entry in self.entries if entry.key.text not in keys)
        return evolve(self, entries=kept)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in the order of the file."""
        return tuple(entry.key.text for entry in self.entries)


@frozen
class ListNode:
    """Values in their order."""

    items: tuple[Node, ...]
    location: Location = field(eq=False)
    span: tuple[int, int] = field(eq=False)
    weight: int = field(default=1, eq=False)
    says_nothing: ClassVar[bool] = False


Node: TypeAlias = ScalarNode | MappingNode | ListNode


def text_beside(text: str, other: Node) -> ScalarNode:
    """Return a text as if it stood where another node stands."""
    return ScalarNode(text, quoted=True, location=other.location, span=other.span)


def with_type(type_: Node) -> MappingNode:
    """Return ``{ type: ... }`` as if it stood where its type stands."""
    entry = Entry(text_beside("type", type_), type_)
    return MappingNode((entry,), type_.location, type_.span)


def plain_value(text: str) -> str | int | float | bool | None:
    """Return what an unquoted text means, by the core schema of YAML 1.2.

    Dates stay texts, and so do ``yes``, ``no``, ``on`` and ``off``.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _integer(text: str) -> int | str:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    try:
        return int(text, base)
    except ValueError:  # thousands of digits: Python refuses, and nobody means a number
        return text


def describe(value: object) -> str:
    """Name the kind of a value, never the value: it may be a secret."""
    kinds: Sequence[tuple[type | tuple[type, ...], str]] = (
        (type(None), "nothing"),
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "text"),
        (dict, "a mapping"),
        ((list, tuple), "a list"),
    )
    return next((name for cls, name in kinds if isinstance(value, cls)), type(value).__name__)
