"""Records that plugins answer with are held against their annotations where they are made.

A registry that gives a number for a version, or a tracker an id that is no text, is told in its own
line, before anything of it is written down.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from attrs import Attribute

__all__ = ["checked"]

Classes = tuple[type, ...]

WORDS: Final = {str: "text", type(None): "None"}


def checked(cls: type, fields: list[Attribute[Any]]) -> list[Attribute[Any]]:
    """Let each field of a record check its value, as a ``field_transformer`` of attrs.

    Texts, times, other records and whatever else has a class of its own are checked; what a user
    decides about (``dict[str, Any]``, ``Any``) is taken as it is.
    """
    hints = get_type_hints(cls)
    taken = {each.name: _classes(hints[each.name]) for each in fields}
    return [
        each
        if object in taken[each.name]
        else each.evolve(validator=partial(_check, taken[each.name]))
        for each in fields
    ]


def _classes(hint: Any) -> Classes:
    """Return the classes that an annotation takes; `object` where it takes anything."""
    if isinstance(hint, UnionType):
        return tuple(cls for each in get_args(hint) for cls in _classes(each))
    if get_origin(hint) is Literal:
        return (str,)
    if get_origin(hint) is tuple:
        return (tuple,)
    has_class = isinstance(hint, type) and hint is not Any and get_origin(hint) is None
    return (hint if has_class else object,)


def _check(classes: Classes, record: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse a value that a field does not take.

    Raises:
        TypeError: It is of another class.
        ValueError: It is a time without a zone, or a text that cannot be written down.
    """
    name = f"{type(record).__name__}.{attribute.name}"
    if not isinstance(value, classes):
        takes = " or ".join(WORDS.get(cls, cls.__name__) for cls in classes)
        message = f"{name} takes {takes}, and not this {type(value).__name__}"
        raise TypeError(message)
    if isinstance(value, datetime) and value.tzinfo is None:
        message = f"{name} takes a datetime with a time zone, and this one has none"
        raise ValueError(message)
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as cause:
            message = f"{name} has a character that cannot be written down (a lone surrogate)"
            raise ValueError(message) from cause
