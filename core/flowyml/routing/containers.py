"""Artifacts inside containers: taken apart for routing, put together again for who reads them.

A ``tuple``, ``list``, ``dict``, named tuple, dataclass or attrs object that holds an artifact is
routed element by element, each under a stable child name (``models.0``, ``scores.train``). The
container itself is routed under the output's name, and what is stored of it is its `Shape`, so that
the whole comes back equal. A container without any artifact in it is a plain value.

The annotation is a contract: where it says ``Metrics``, a dict becomes ``Metrics``, and where it
says ``Model``, anything else is an error.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn

from attrs import frozen

from flowyml.artifacts import Artifact, Metrics, Parameters
from flowyml.errors import SerializationError, StepError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.routing.annotations import (
    SAYS_NOTHING,
    alternatives,
    element_annotation,
    is_instance,
    promises_artifacts,
    shown,
    unwrap,
)
from flowyml.serialization.classes import is_importable, place_of, resolve
from flowyml.serialization.objects import FAMILIES, Family
from flowyml.stacks.rules import Route
from flowyml.stacks.templates import safe_segment

__all__ = ["Leaf", "Shape", "check_container", "child_name", "join", "split", "take_apart"]

DEEPEST = 32

NAMELESS = (
    "gives artifacts no stable names; use a list, tuple, dict, or a dataclass or attrs class of a "
    "module"
)
"""What is wrong with a container whose elements could not be found again, and what to do."""

Key = str | int | bool | None

_RECORDS = ("record", "namedtuple")

_BUILTINS = {list: "list", tuple: "tuple", dict: "dict"}

_ATOMS = frozenset({bool, bytes, complex, float, int, str, type(None)})


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


def take_apart(value: object, annotation: object, *, step: str, output: str) -> tuple[Leaf, ...]:
    """Return all that is routed of one output: the container, if it is one, and its elements.

    Args:
        value: What the step returned for the output.
        annotation: What the step declared for it; `inspect.Parameter.empty` or Any for nothing.
        step: Name of the step.
        output: Name of the output.

    Raises:
        StepError: The value is not what the annotation promises.
    """
    shape, leaves = split(value, annotation, step=step, output=output)
    if shape.kind == "leaf":
        return leaves
    _, route = unwrap(annotation, value)
    return (Leaf(output, value, route, shape), *leaves)


def split(
    value: object, annotation: object, *, step: str, output: str
) -> tuple[Shape, tuple[Leaf, ...]]:
    """Return the shape of an output and its leaves, in a stable order.

    Raises:
        StepError: The value is not what the annotation promises.
    """
    leaves: list[Leaf] = []
    shape = _Splitter(step, leaves).split(value, annotation, output, None, 0)
    return shape, tuple(leaves)


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


def check_container(cls: type) -> None:
    """Refuse a class of records that could not be taken apart, before there is any of them.

    Raises:
        SerializationError: It is made inside of a function, or lives in a notebook.
    """
    if any(_FAMILIES[tag].makes(cls) for tag in _RECORDS) and _kind(cls) is None:
        message = f"a {cls.__qualname__} {NAMELESS}"
        raise SerializationError(message)


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


@frozen
class _Splitter:
    step: str
    leaves: list[Leaf]

    def split(
        self, value: object, annotation: object, output: str, route: Route | None, depth: int
    ) -> Shape:
        annotation, inner = unwrap(annotation, value)
        route = inner or route
        value = self._conform(value, annotation, output)
        if not self._is_container(value, annotation):
            self.leaves.append(Leaf(output, value, route))
            return Shape("leaf", output)
        if depth > DEEPEST:
            self._fail(output, f"is nested more than {DEEPEST} deep; does it hold itself?")
        return self._container(value, annotation, output, route, depth)

    def _is_container(self, value: object, annotation: object) -> bool:
        """Whether the elements are routed; also those that are to become artifacts by promise."""
        if isinstance(value, Artifact):
            return False
        promised = _inside(value) is not None and promises_artifacts(annotation)
        return promised or _holds_artifact(value, set())

    def _container(
        self, value: object, annotation: object, output: str, route: Route | None, depth: int
    ) -> Shape:
        kind = _kind(type(value))
        if kind is None:
            self._fail(output, f"is a {type(value).__qualname__}, which {NAMELESS}")
        try:
            keys, items = _elements(value, kind)
        except SerializationError as cause:
            self._fail(output, f"cannot be taken apart: {cause}; declare that as a field")
        self._check_names(keys, output)
        self._check_length(annotation, items, output)
        children = tuple(
            self.split(
                item,
                element_annotation(annotation, key, position),
                child_name(output, key),
                route,
                depth + 1,
            )
            for position, (key, item) in enumerate(zip(keys, items, strict=True))
        )
        return Shape(
            kind=kind,
            keys=tuple(keys) if kind in {"dict", "record"} else (),
            items=children,
            cls=None if type(value) in _BUILTINS else place_of(type(value)),
        )

    def _conform(self, value: object, annotation: object, output: str) -> object:
        if type(value) is annotation:
            return value
        expected = [part for part in alternatives(annotation) if isinstance(part, type)]
        if not expected or any(part in SAYS_NOTHING for part in expected):
            return value
        artifacts = [part for part in expected if issubclass(part, Artifact)]
        promised = artifacts or isinstance(value, Artifact) or promises_artifacts(annotation)
        if not promised or is_instance(value, expected):
            return value
        named = [part for part in artifacts if issubclass(part, (Metrics, Parameters))]
        if isinstance(value, Mapping) and len(named) == 1:
            return self._named_values(named[0], value, output)
        promise = shown(annotation)
        message = (
            f"step {self.step!r} promises {promise} for output {output!r} but returned "
            f"{type(value).__name__}; return {promise}(...) or change the annotation"
        )
        raise StepError(message, step=self.step)

    def _named_values(
        self, cls: type[Metrics | Parameters], value: Mapping[str, Any], output: str
    ) -> Artifact:
        try:
            return cls(value)
        except TypeError as cause:
            message = f"step {self.step!r}: output {output!r} is no {cls.__name__}: {cause}"
            raise StepError(message, step=self.step) from cause

    def _check_names(self, keys: Sequence[object], output: str) -> None:
        odd = [key for key in keys if not isinstance(key, str | int | bool | None)]
        names = [child_name(output, key).casefold() for key in keys]
        twins = [key for key, name in zip(keys, names, strict=True) if names.count(name) > 1]
        if odd or twins:
            self._fail(
                output,
                f"holds artifacts under the keys {(odd or twins)!r}, which give no stable names; "
                "use strings that differ in more than their case",
            )

    def _check_length(self, annotation: object, items: Sequence[object], output: str) -> None:
        arguments = getattr(annotation, "__args__", ())
        exact = getattr(annotation, "__origin__", None) is tuple and Ellipsis not in arguments
        if exact and len(arguments) != len(items):
            self._fail(output, f"promises {len(arguments)} elements and has {len(items)}")

    def _fail(self, output: str, what: str) -> NoReturn:
        message = f"step {self.step!r}: output {output!r} {what}"
        raise StepError(message, step=self.step)


def _kind(cls: type) -> str | None:
    """Return how objects of a class are taken apart; None where they cannot be."""
    if cls in _BUILTINS:
        return _BUILTINS[cls]
    if cls is OrderedDict:
        return "dict"
    kinds = (tag for tag in _RECORDS if _FAMILIES[tag].makes(cls))
    return next(kinds, None) if is_importable(cls) else None


def _elements(value: Any, kind: str) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the keys of a container and its items."""
    if kind in {"record", "namedtuple"}:
        kept = _FAMILIES[kind].take(value)
        fields = (
            kept["fields"] if kind == "record" else dict(zip(value._fields, value, strict=True))
        )
        return list(fields), list(fields.values())
    return (list(value), list(value.values())) if kind == "dict" else (range(len(value)), value)


def _holds_artifact(value: object, seen: set[int]) -> bool:
    """Whether there is an artifact anywhere inside; what holds itself is looked at once."""
    cls = type(value)
    if cls in _ATOMS:
        return False
    if isinstance(value, Artifact):
        return True
    items = _inside(value)
    if items is None or id(value) in seen:
        return False
    seen.add(id(value))
    return any(_holds_artifact(item, seen) for item in items if type(item) not in _ATOMS)


def _inside(value: Any) -> Iterable[object] | None:
    """Return what a container holds; None for anything else."""
    if isinstance(value, list | tuple | AbstractSet):
        return value
    if isinstance(value, Mapping):
        return value.values()
    cls = type(value)
    if hasattr(cls, "__attrs_attrs__") or hasattr(cls, "__dataclass_fields__"):
        return [
            item for name in _field_names(cls) if (item := getattr(value, name, None)) is not None
        ]
    return None


def _field_names(cls: Any) -> Iterable[str]:
    declared = getattr(cls, "__attrs_attrs__", None)
    return cls.__dataclass_fields__ if declared is None else [field.name for field in declared]
