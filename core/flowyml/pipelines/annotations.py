"""What annotations say, read with tolerance: one that cannot be evaluated says nothing."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin
from uuid import UUID

from attrs import field, frozen

from flowyml.artifacts import Artifact

__all__ = [
    "Hints",
    "artifact_types",
    "can_accept",
    "may_take",
    "resolve_hints",
    "yields",
]

PLAIN: Final = frozenset({bool, int, float, str, list, dict})
"""What can be given from outside of Python; an annotation of these says all that is to be known."""

UNSPELLED: Final = (bytes, date, time, timedelta, Decimal, UUID)
"""What no plain value is, nor stands for; a class of somebody else may well take a text."""

NONE: Final = type(None)

GENERATORS: Final = frozenset({Generator})

YIELDING: Final = frozenset(
    {AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator}
)

RETURN_OF_A_GENERATOR: Final = 2
"""Position of the returned type in ``Generator[yielded, sent, returned]``."""


@frozen
class Hints:
    """The evaluated annotations of a function.

    Attributes:
        parameters: By parameter.
        returned: For what it returns; Any where it says nothing.
    """

    parameters: Mapping[str, object] = field(factory=dict)
    returned: object = Any

    def result(self, *, generator: bool) -> object:
        """Return what is promised for the output: of a generator, what it returns at last."""
        if not generator:
            return self.returned
        arguments = get_args(self.returned)
        if get_origin(self.returned) in GENERATORS and len(arguments) > RETURN_OF_A_GENERATOR:
            promised: object = arguments[RETURN_OF_A_GENERATOR]
            return promised
        return Any

    @staticmethod
    def parts(promised: object, count: int) -> tuple[object, ...] | None:
        """Return what is promised for each of several outputs; None where their number differs."""
        if count == 0:
            return () if promised in (None, type(None), Any) else None
        bare = _bare(promised)
        if get_origin(bare) is tuple:
            arguments = get_args(bare)
            if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004
                return (arguments[0],) * count
            return arguments if len(arguments) == count else None
        names = getattr(bare, "_fields", None)
        if isinstance(bare, type) and names is not None:
            return _fields(bare, names) if len(names) == count else None
        could_be = bare in (Any, tuple, list, object) or get_origin(bare) is list
        unknown = not isinstance(bare, type) and get_origin(bare) is None
        return (Any,) * count if could_be or unknown else None


def resolve_hints(function: Callable[..., Any]) -> Hints:
    """Evaluate the annotations of a function; what cannot be evaluated is Any."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001  # an annotation is any expression, and may raise anything
        hints = _one_by_one(function)
    returned = hints.pop("return", Any)
    return Hints(hints, returned)


def yields(returned: object) -> object:
    """Return what a generator's annotation promises for each yielded value."""
    if get_origin(returned) in YIELDING and (arguments := get_args(returned)):
        promised: object = arguments[0]
        return promised
    return Any


def artifact_types(annotation: object) -> tuple[type[Artifact], ...]:
    """Return the artifact types among the alternatives of an annotation."""
    return tuple(
        part
        for part in _alternatives(annotation)
        if isinstance(part, type) and issubclass(part, Artifact)
    )


def can_accept(parameter: object, produced: object) -> bool:
    """Whether a parameter may be given what an annotation promises.

    Only what is certain to fail is refused: one alternative that fits is enough, a more general
    promise may turn out to be a fitting value, and an annotation that says nothing fits anything.
    """
    promised = _alternatives(produced)
    given = [part for part in promised if part is not NONE] or promised
    return any(_fits(wanted, part) for wanted in _alternatives(parameter) for part in given)


def may_take(parameter: object, value: object) -> bool:
    """Whether a parameter may be given a value; only a plain value is refused, where it is sure."""
    bare = _bare(parameter)
    if get_origin(bare) in {Union, types.UnionType}:
        return any(may_take(part, value) for part in get_args(bare))
    if get_origin(bare) is Literal:
        return value is None or value in get_args(bare)
    wanted, given = get_origin(bare) or bare, type(value)
    if wanted in {None, NONE}:
        return value is None
    if given not in PLAIN or not isinstance(wanted, type):
        return True
    if wanted not in PLAIN:
        return not _is_unspelled(wanted, value)
    fits = issubclass(given, wanted) or _promotes(wanted, given)
    return fits and _elements_may_be_taken(bare, value)


def _is_unspelled(wanted: type, value: object) -> bool:
    """Whether a class is surely not what a plain value is."""
    if issubclass(wanted, Enum):  # a member that is a text or a number is equal to its value
        return not (issubclass(wanted, type(value)) and value in [each.value for each in wanted])
    is_record = hasattr(wanted, "__dataclass_fields__") or hasattr(wanted, "__attrs_attrs__")
    if is_record:
        return not (isinstance(value, Mapping) and issubclass(wanted, Mapping))
    return issubclass(wanted, UNSPELLED) and not (wanted is Decimal and type(value) is int)


def _elements_may_be_taken(wanted: object, value: object) -> bool:
    """Whether what a list or a dict holds may be taken as what the annotation says of it."""
    said: Any = get_args(wanted)
    if isinstance(value, list) and len(said) == 1:
        return all(may_take(said[0], item) for item in value)
    if isinstance(value, dict) and len(said) == 2:  # noqa: PLR2004  # keys and values
        return all(
            may_take(part, item)
            for pair in value.items()
            for part, item in zip(said, pair, strict=True)
        )
    return True


def _one_by_one(function: Callable[..., Any]) -> dict[str, object]:
    """Evaluate what can be evaluated, with the names that the function closes over."""
    bare: Any = inspect.unwrap(function)
    names = {**getattr(bare, "__globals__", {}), **_closure(bare)}
    hints: dict[str, object] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        single = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(single, names, names, include_extras=True)
        except Exception:  # noqa: BLE001  # as above
            hints[name] = Any
    return hints


def _closure(function: Any) -> dict[str, object]:
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    found: dict[str, object] = {}
    for name, cell in zip(getattr(code, "co_freevars", ()), cells or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # it is assigned later
            continue
    return found


def _fields(cls: type, names: tuple[str, ...]) -> tuple[object, ...]:
    """Return the annotations of a named tuple's fields."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001  # as above
        hints = {}
    return tuple(hints.get(name, Any) for name in names)


def _bare(annotation: object) -> object:
    """Strip everything that is not the type: Annotated, NewType, the value of a Literal."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":  # `type X = ...` of Python 3.12
            annotation = annotation.__value__  # type: ignore[attr-defined]
        else:
            return annotation


def _alternatives(annotation: object) -> tuple[object, ...]:
    bare = _bare(annotation)
    origin = get_origin(bare)
    if origin in {Union, types.UnionType}:
        return tuple(part for inner in get_args(bare) for part in _alternatives(inner))
    if origin is Literal:
        return tuple({type(value) for value in get_args(bare)})
    if isinstance(bare, TypeVar) or bare is inspect.Parameter.empty:
        return (Any,)
    return (NONE,) if bare is None else (bare,)


def _fits(wanted: object, given: object) -> bool:
    if Any in (wanted, given) or object in (wanted, given):
        return True
    outer, inner = get_origin(wanted) or wanted, get_origin(given) or given
    if not isinstance(outer, type) or not isinstance(inner, type):
        return True
    try:
        related = issubclass(inner, outer) or issubclass(outer, inner) or _promotes(outer, inner)
    except TypeError:  # a protocol, a typed dict: only a value could tell
        return True
    return related and _elements_fit(wanted, given)


def _promotes(outer: type, inner: type) -> bool:
    """Whether Python's numeric tower lets the one stand for the other."""
    return (outer, inner) in {(float, int), (complex, int), (complex, float)}


def _elements_fit(wanted: object, given: object) -> bool:
    """Compare the elements of two containers of one kind."""
    outer, inner = get_args(wanted), get_args(given)
    if get_origin(wanted) is not get_origin(given) or len(outer) != len(inner):
        return True
    pairs = zip(outer, inner, strict=True)
    return all(Ellipsis in pair or can_accept(*pair) for pair in pairs)
