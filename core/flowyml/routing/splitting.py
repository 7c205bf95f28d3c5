"""Taking an output apart: what of it is routed on its own, and whether it keeps its promise.

The annotation is a contract: where it says ``Metrics``, a dict becomes ``Metrics``, and where it
says ``Model``, anything else is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn

from attrs import frozen

from flowyml.artifacts import Artifact, Metrics, Parameters
from flowyml.errors import SerializationError, StepError
from flowyml.routing.annotations import (
    SAYS_NOTHING,
    alternatives,
    element_annotation,
    is_instance,
    promises_artifacts,
    unwrap,
)
from flowyml.routing.containers import (
    BUILTINS,
    Leaf,
    Shape,
    child_name,
    elements_of,
    kind_of,
    nameless,
)
from flowyml.serialization.classes import place_of
from flowyml.spelling import spelled
from flowyml.stacks.rules import Route

__all__ = ["split", "take_apart"]

DEEPEST = 32

_ATOMS = frozenset({bool, bytes, complex, float, int, str, type(None)})


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
        kind = kind_of(type(value))
        if kind is None:
            self._fail(output, f"cannot be taken apart: {nameless(type(value))}")
        try:
            keys, items = elements_of(value, kind)
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
            cls=None if type(value) in BUILTINS else place_of(type(value)),
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
        promise = spelled(annotation)
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
