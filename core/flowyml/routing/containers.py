"""Containers with artifacts in them: which there are, what is routed of one, and its way back.

A ``tuple``, ``list``, ``dict``, named tuple, dataclass or attrs object that holds an artifact is
routed element by element, each under a stable child name (``models.0``, ``scores.train``). The
container itself is routed under the output's name, and what is stored of it is its `Shape`, so that
the whole comes back equal. A container without any artifact in it is a plain value.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.serialization.classes import is_importable, resolve
from flowyml.serialization.objects import FAMILIES, Family
from flowyml.stacks.rules import Route
from flowyml.stacks.templates import safe_segment

__all__ = [
    "BUILTINS",
    "Leaf",
    "Shape",
    "check_container",
    "child_name",
    "elements_of",
    "join",
    "kind_of",
    "nameless",
]

Key = str | int | bool | None

_RECORDS = ("record", "namedtuple")

BUILTINS = {list: "list", tuple: "tuple", dict: "dict"}
"""Their kind says their class as well, so that a shape need not name it."""


@frozen
class Leaf:
    """One value that is routed on its own.

    Attributes:
        output: Name of the output, and below it the element.
        value: The value.
        route: What the annotation of just this element says, if anything.
        shape: For a container whose elements are leaves of their own: what is stored of it.
        recalled: What an earlier run stored of it, where the step cache recalls it.
    """

    output: str
    value: object
    route: Route | None = None
    shape: Shape | None = None
    recalled: ArtifactRecord | None = None


@frozen
class Shape:
    """How the elements of a container belong together.

    Attributes:
        kind: ``leaf``, ``list``, ``tuple``, ``dict``, ``namedtuple`` or ``record``.
        output: For a leaf: the name it is routed under.
        keys: For a dict or a record: its keys or fields, one for each item.
        items: The shapes of its elements.
        cls: For any container but list, tuple and dict: its class as ``module:qualname``.
    """

    kind: str
    output: str | None = None
    keys: tuple[Key, ...] = ()
    items: tuple[Shape, ...] = ()
    cls: str | None = None


def join(shape: Shape, load: Callable[[str], object], *, trusted: bool = True) -> object:
    """Put a container together again; no ``__init__`` of the user's runs for it.

    Args:
        shape: Its shape.
        load: Returns the value of a leaf, by the name that it was routed under.
        trusted: Whether the module of its class may be imported.

    Raises:
        SerializationError: Its class is not to be found.
    """
    if shape.kind == "leaf":
        return load(shape.output or "")
    items = [join(item, load, trusted=trusted) for item in shape.items]
    cls = resolve(shape.cls, trusted=trusted) if shape.cls else None
    return _MAKERS[shape.kind](cls, shape.keys, items)


def child_name(output: str, key: object) -> str:
    """Name an element; dots in its key are escaped, because they separate the levels."""
    return f"{output}.{safe_segment(str(key)).replace('.', '~2e')}"


def kind_of(cls: type) -> str | None:
    """Return how objects of a class are taken apart; None where they cannot be."""
    if cls in BUILTINS:
        return BUILTINS[cls]
    if cls is OrderedDict:
        return "dict"
    kinds = (tag for tag in _RECORDS if _FAMILIES[tag].makes(cls))
    return next(kinds, None) if is_importable(cls) else None


def elements_of(value: Any, kind: str) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the keys of a container and its items."""
    if kind in {"record", "namedtuple"}:
        kept = _FAMILIES[kind].take(value)
        fields = (
            kept["fields"] if kind == "record" else dict(zip(value._fields, value, strict=True))
        )
        return list(fields), list(fields.values())
    return (list(value), list(value.values())) if kind == "dict" else (range(len(value)), value)


def check_container(cls: type) -> None:
    """Refuse a class of records that could not be taken apart, before there is any of them.

    Raises:
        SerializationError: It is made inside of a function, or lives in a notebook.
    """
    if any(_FAMILIES[tag].makes(cls) for tag in _RECORDS) and kind_of(cls) is None:
        raise SerializationError(nameless(cls))


def nameless(cls: type) -> str:
    """Say that the elements of a class's objects could not be found again, and what to do."""
    return (
        f"a {cls.__qualname__} gives artifacts no stable names; use a list, tuple, dict, or a "
        "dataclass or attrs class of a module"
    )


def _made_record(cls: Any, keys: Sequence[Key], items: list[object]) -> object:
    fields = dict(zip(keys, items, strict=True))
    return _FAMILIES["record"].make(cls, {"fields": fields})


_FAMILIES: Mapping[str, Family] = {family.tag: family for family in FAMILIES}

_MAKERS: Mapping[str, Callable[[Any, Sequence[Key], list[object]], object]] = {
    "list": lambda _cls, _keys, items: items,
    "tuple": lambda _cls, _keys, items: tuple(items),
    "namedtuple": lambda cls, _keys, items: _FAMILIES["namedtuple"].make(cls, {"items": items}),
    "dict": lambda cls, keys, items: (cls or dict)(zip(keys, items, strict=True)),
    "record": _made_record,
}
