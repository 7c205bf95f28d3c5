"""What an annotation promises about the artifacts in a value."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from flowyml.artifacts import Artifact
from flowyml.serialization.objects import family_of
from flowyml.stacks.rules import Route

__all__ = [
    "SAYS_NOTHING",
    "alternatives",
    "element_annotation",
    "field_annotations",
    "is_instance",
    "promises_artifacts",
    "unwrap",
]

UNIONS = frozenset({Union, types.UnionType})

SAYS_NOTHING = (Any, object, inspect.Parameter.empty)


def unwrap(annotation: object, value: object) -> tuple[object, Route | None]:
    """Strip Annotated, and pick the alternative of a union that the value takes.

    Returns:
        The bare annotation, and the route of the innermost Annotated that has one.
    """
    route = None
    while get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        route = next((extra for extra in extras if isinstance(extra, Route)), route)
    if get_origin(annotation) in UNIONS:
        for part in get_args(annotation):
            bare, inner = unwrap(part, value)
            origin = get_origin(bare) or bare
            if origin not in SAYS_NOTHING and is_instance(value, (origin,)):
                return bare, inner or route
    return annotation, route


def alternatives(annotation: object) -> Iterator[object]:
    """Yield the classes that an annotation allows, generic ones without their arguments."""
    if get_origin(annotation) is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in UNIONS:
        for part in get_args(annotation):
            yield from alternatives(part)
    else:
        yield get_origin(annotation) or annotation


def is_instance(value: object, expected: Sequence[object]) -> bool:
    """Whether a value is of one of the classes; one that cannot be asked allows everything."""
    try:
        return isinstance(value, tuple(part for part in expected if isinstance(part, type)))
    except TypeError:  # a protocol that is not checkable at run time
        return True


def promises_artifacts(annotation: object) -> bool:
    """Whether there is an artifact type anywhere in an annotation."""
    return _promises(annotation, frozenset())


def _promises(annotation: Any, seen: frozenset[object]) -> bool:
    if arguments := get_args(annotation):
        parts = arguments[:1] if get_origin(annotation) is Annotated else arguments
        return any(_promises(part, seen) for part in parts)
    if not isinstance(annotation, type) or annotation in seen:
        return False
    if issubclass(annotation, Artifact):
        return True
    cls: Any = annotation
    fields = field_annotations(cls).values()
    return any(_promises(part, seen | {annotation}) for part in fields)


def element_annotation(annotation: Any, key: object, position: int) -> object:
    """Return what an annotation says about one element; Any where it says nothing.

    Args:
        annotation: That of the container.
        key: The element's key in a mapping, or its field's name in a record.
        position: The element's position, counted from 0.
    """
    origin: Any = get_origin(annotation) or annotation
    arguments = get_args(annotation)
    if not isinstance(origin, type):
        return Any
    if issubclass(origin, tuple) and arguments:
        if arguments[-1] is Ellipsis:
            return arguments[0]
        return arguments[position] if position < len(arguments) else Any
    if issubclass(origin, Mapping | Sequence) and arguments:
        return arguments[-1]
    return field_annotations(origin).get(str(key), Any)


@lru_cache(maxsize=1024)
def field_annotations(cls: Any) -> Mapping[str, object]:
    """Return the annotations of a dataclass's, an attrs class's or a named tuple's fields."""
    if issubclass(cls, Artifact):
        return {}
    family = family_of(cls)
    if family is None or family.tag not in {"record", "namedtuple"}:
        return {}
    try:
        return get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001  # names that exist only for a type checker say nothing here
        return {}
