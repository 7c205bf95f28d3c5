"""Objects of users' classes in JSON: enums, dataclasses, attrs and pydantic classes, named tuples.

An object is its class, by name, and its fields. It comes back with the same fields and without its
``__init__`` being called, so that no validator or converter changes what was stored; an object that
carries anything besides its fields is left to cloudpickle.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.classes import is_importable, place_of

__all__ = ["FAMILIES", "Family", "family_of"]

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement
NOT_STATE = frozenset({"__dict__", "__weakref__"})


@frozen
class Family:
    """A way of making classes, and how its objects are taken apart.

    Attributes:
        tag: What stands under ``$type``.
        makes: Whether it made this class.
        take: Returns what there is to keep, as a dict of values that are encoded in turn.
        make: Returns the object of this class from that dict again.
    """

    tag: str
    makes: Callable[[type], bool]
    take: Callable[[Any], dict[str, Any]]
    make: Callable[[type, Mapping[str, Any]], object]


def family_of(cls: type) -> Family | None:
    """Return the family that a class belongs to, or None where its objects have no form in JSON."""
    return next((family for family in FAMILIES if family.makes(cls)), None)


def take_apart(family: Family, value: object) -> dict[str, Any]:
    """Return the class's name and what there is to keep of an object.

    Raises:
        SerializationError: A reference to its class would not find it again.
    """
    cls = type(value)
    if not is_importable(cls):
        message = f"the class {cls.__qualname__} is not found in a module under its own name"
        raise SerializationError(message)
    return {"class": place_of(cls), **family.take(value)}


def _is_enum(cls: type) -> bool:
    return isinstance(cls, enum.EnumMeta)


def _take_member(value: enum.Enum) -> dict[str, Any]:
    """Keep the name, which stays right when values are renumbered; a mix of flags has none."""
    if value.name is not None and type(value).__members__.get(value.name) is value:
        return {"name": value.name}
    return {"value": value.value}


def _make_member(cls: type, kept: Mapping[str, Any]) -> object:
    if not issubclass(cls, enum.Enum):
        raise _not_a(cls, "an enum")
    if "name" in kept:
        return cls.__members__[kept["name"]]
    if not issubclass(cls, enum.Flag):
        raise _not_a(cls, "a flag")
    return cls(kept["value"])


def _is_record(cls: type) -> bool:
    """Whether all that its objects hold can be in declared fields."""
    declared = hasattr(cls, "__dataclass_fields__") or hasattr(cls, "__attrs_attrs__")
    return declared and all(
        base is object or bool(base.__flags__ & HEAP_TYPE) for base in cls.__mro__
    )


def _field_names(cls: Any) -> Iterator[str]:
    declared = getattr(cls, "__attrs_attrs__", None)
    if declared is not None:
        return (field.name for field in declared)
    return (
        name
        for name, field in cls.__dataclass_fields__.items()
        if field._field_type.name == "_FIELD"  # noqa: SLF001  # else a ClassVar or an InitVar
    )


def _state(value: object) -> Iterator[tuple[str, Any]]:
    """Yield every attribute of the object itself, from its dict and its slots."""
    yield from getattr(value, "__dict__", {}).items()
    for base in type(value).__mro__:
        slots: str | Iterable[str] = vars(base).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in NOT_STATE and hasattr(value, slot):
                yield slot, getattr(value, slot)


def _take_fields(value: object) -> dict[str, Any]:
    kept, names = dict(_state(value)), set(_field_names(type(value)))
    if more := kept.keys() - names:
        message = (
            f"a {type(value).__qualname__} carries {', '.join(sorted(map(repr, more)))} "
            "besides its fields"
        )
        raise SerializationError(message)
    return {"fields": kept}


def _make_record(cls: type, kept: Mapping[str, Any]) -> object:
    if not _is_record(cls):
        raise _not_a(cls, "a dataclass or attrs class")
    fields = kept["fields"]
    if more := fields.keys() - set(_field_names(cls)):
        message = f"the class {cls.__qualname__} has no field {min(more)!r} any more"
        raise SerializationError(message)
    made: object = object.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


PYDANTIC_STATE = {
    "fields": "__dict__",
    "set": "__pydantic_fields_set__",
    "extra": "__pydantic_extra__",
    "private": "__pydantic_private__",
}


def _is_pydantic(cls: type) -> bool:
    """Whether it is a model; nobody has one who has not imported pydantic."""
    pydantic = sys.modules.get("pydantic")
    model = getattr(pydantic, "BaseModel", None)
    return isinstance(model, type) and issubclass(cls, model)


def _take_model(value: object) -> dict[str, Any]:
    return {key: getattr(value, name) for key, name in PYDANTIC_STATE.items()}


def _make_model(cls: type, kept: Mapping[str, Any]) -> object:
    if not _is_pydantic(cls):
        raise _not_a(cls, "a pydantic model")
    made: object = cls.__new__(cls)  # type: ignore[call-overload]  # a class, not a metaclass
    for key, name in PYDANTIC_STATE.items():
        object.__setattr__(made, name, kept[key])
    return made


def _is_named_tuple(cls: type) -> bool:
    """Whether it is a class that `collections.namedtuple` made, and not one derived from it."""
    return cls.__bases__ == (tuple,) and isinstance(getattr(cls, "_fields", None), tuple)


def _make_named_tuple(cls: type, kept: Mapping[str, Any]) -> object:
    if not _is_named_tuple(cls):
        raise _not_a(cls, "a named tuple")
    return tuple.__new__(cls, kept["items"])


def _not_a(cls: type, kind: str) -> SerializationError:
    message = f"the stored value names {cls.__qualname__} as {kind}, which it is not"
    return SerializationError(message)


FAMILIES = (
    Family("enum", _is_enum, _take_member, _make_member),
    Family("record", _is_record, _take_fields, _make_record),
    Family("pydantic", _is_pydantic, _take_model, _make_model),
    Family("namedtuple", _is_named_tuple, lambda value: {"items": list(value)}, _make_named_tuple),
)
