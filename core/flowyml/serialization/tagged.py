"""JSON that gives back exactly what was put in, in value and type.

What JSON can say by itself is said plainly: a dict of numbers is just that JSON. Everything else is
a tagged object, ``{"$type": "tuple", "items": [1, 2]}``. A dict of the user's that has a key
``$type`` itself, or a key that is no string, is written as a tagged list of pairs, so nothing that
a user stores is ever taken for a tag.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from flowyml.errors import FlowyMLError, SerializationError
from flowyml.serialization.classes import resolve
from flowyml.serialization.libraries import library_by_tag, library_of
from flowyml.serialization.objects import FAMILIES, family_of, take_apart
from flowyml.serialization.scalars import SCALARS

__all__ = ["TAG", "Decoder", "Encoder", "decode", "encode", "holds_class", "no_form"]

TAG = "$type"

DEEPEST = 100
"""Deeper than any data that people write, and well within what readers of JSON can take."""

WIDEST_INT = 64
"""Bits; what a plain JSON number may have so that other readers keep it whole."""


class _NoFormError(SerializationError):
    """A value inside a value has no exact form in JSON; knows the way to it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.way: list[str] = []

    def __str__(self) -> str:
        place = "".join(f"[{key}]" for key in reversed(self.way))
        return f"{place}: {self.reason}" if place else self.reason


def no_form(value: object) -> SerializationError:
    """Return the error for a value that has no form in JSON."""
    cls = type(value)
    return _NoFormError(f"a {cls.__module__}.{cls.__qualname__} has no exact form in JSON")


def _refuse(value: object) -> Any:
    raise no_form(value)


@frozen
class Encoder:
    """Turns values into what `json.dumps` takes.

    Attributes:
        foreign: Called with a value that nothing here knows; returns the JSON for it or raises.
    """

    foreign: Callable[[object], Any] = _refuse

    def encode(self, value: object, depth: int = 0) -> Any:
        """Return the JSON for a value.

        Raises:
            SerializationError: It has no exact form in JSON; the message leads to the part of it.
        """
        write = _WRITERS.get(type(value))
        return write(self, value, depth) if write else self._other(value, depth)

    def _other(self, value: object, depth: int) -> Any:
        family = family_of(type(value))
        if family is None:
            return self._of_a_library(value, depth)
        try:
            kept = take_apart(family, value)
        except SerializationError as cause:
            raise _NoFormError(str(cause)) from cause
        return {TAG: family.tag, **self._fields(kept, depth)}

    def _of_a_library(self, value: object, depth: int) -> Any:
        library = library_of(type(value))
        if library is None:
            return self.foreign(value)
        try:
            kept = library.take(value)
        except SerializationError as cause:
            raise _NoFormError(str(cause)) from cause
        return {TAG: library.tag, **self._fields(kept, depth)}

    def _fields(self, fields: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if depth > DEEPEST:
            message = f"nested more than {DEEPEST} deep, or part of itself"
            raise _NoFormError(message)
        encoded: dict[str, Any] = {}
        key: object = None
        try:
            for key, item in fields.items():
                encoded[key] = self.encode(item, depth + 1)
        except _NoFormError as error:
            error.way.append(repr(key))
            raise
        return encoded

    def _items(self, items: Iterable[Any], depth: int) -> list[Any]:
        if depth > DEEPEST:
            message = f"nested more than {DEEPEST} deep, or part of itself"
            raise _NoFormError(message)
        encoded: list[Any] = []
        try:
            for item in items:
                encoded.append(self.encode(item, depth + 1))  # noqa: PERF401  # its length is the way
        except _NoFormError as error:
            error.way.append(str(len(encoded)))
            raise
        return encoded

    def _list(self, value: list[Any], depth: int) -> Any:
        return self._items(value, depth)

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        plain = TAG not in value and all(type(key) is str and _is_text(key) for key in value)
        return self._fields(value, depth) if plain else self._pairs("dict", value, depth)

    def _ordered_dict(self, value: OrderedDict[Any, Any], depth: int) -> Any:
        return self._pairs("OrderedDict", value, depth)

    def _pairs(self, tag: str, value: Mapping[Any, Any], depth: int) -> Any:
        pairs = [self._items(pair, depth + 1) for pair in value.items()]
        return {TAG: tag, "items": pairs}

    def _tuple(self, value: tuple[Any, ...], depth: int) -> Any:
        return {TAG: "tuple", "items": self._items(value, depth)}

    def _set(self, value: set[Any] | frozenset[Any], depth: int) -> Any:
        """Sort, so that equal sets give equal bytes in every process."""
        items = sorted(self._items(value, depth), key=lambda item: json.dumps(item, sort_keys=True))
        return {TAG: type(value).__name__, "items": items}

    def _scalar(self, value: object, _depth: int) -> Any:
        scalar = _SCALAR_OF[type(value)]
        try:
            return {TAG: scalar.tag, "value": scalar.to_json(value)}
        except SerializationError as cause:
            raise _NoFormError(str(cause)) from cause


def _same(_encoder: Encoder, value: object, _depth: int) -> Any:
    return value


def _is_text(value: str) -> bool:
    """Whether this is text in the sense of Unicode; a lone surrogate is not."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _str(_encoder: Encoder, value: str, _depth: int) -> Any:
    if _is_text(value):
        return value
    return {TAG: "str", "value": value.encode("utf-8", "surrogatepass").hex()}


def _int(_encoder: Encoder, value: int, _depth: int) -> Any:
    return value if value.bit_length() <= WIDEST_INT else {TAG: "int", "value": hex(value)}


def _float(_encoder: Encoder, value: float, _depth: int) -> Any:
    return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}


_SCALAR_OF: Mapping[type, Any] = MappingProxyType({scalar.cls: scalar for scalar in SCALARS})

_WRITERS: Mapping[type, Callable[[Encoder, Any, int], Any]] = MappingProxyType(
    {
        **dict.fromkeys(_SCALAR_OF, Encoder._scalar),  # noqa: SLF001  # the table of its own methods
        type(None): _same,
        bool: _same,
        dict: Encoder._dict,  # noqa: SLF001
        float: _float,
        frozenset: Encoder._set,  # noqa: SLF001
        int: _int,
        list: Encoder._list,  # noqa: SLF001
        OrderedDict: Encoder._ordered_dict,  # noqa: SLF001
        set: Encoder._set,  # noqa: SLF001
        str: _str,
        tuple: Encoder._tuple,  # noqa: SLF001
    }
)


def _no_attachment(tagged: Mapping[str, Any]) -> Any:
    message = f"the tag {tagged[TAG]!r} is not known here; it was written by a newer FlowyML"
    raise SerializationError(message)


@frozen
class Decoder:
    """Turns parsed JSON into values again.

    Attributes:
        trusted: Whether modules may be imported to find the classes that the JSON names.
        foreign: Called with a tagged object that nothing here knows.
    """

    trusted: bool = False
    foreign: Callable[[Mapping[str, Any]], Any] = field(default=_no_attachment)

    def loads(self, text: str | bytes) -> Any:
        """Parse text and decode it in one go.

        Raises:
            SerializationError: It is not JSON, or not what `Encoder` writes.
        """
        try:
            return json.loads(text, object_hook=self.untag)
        except RecursionError as cause:
            message = "the JSON is nested deeper than anything that FlowyML writes"
            raise SerializationError(message) from cause
        except FlowyMLError:
            raise
        except ValueError as cause:
            message = f"this is not JSON: {cause}"
            raise SerializationError(message) from cause

    def decode(self, parsed: Any, depth: int = 0) -> Any:
        """Decode JSON that has been parsed already."""
        if depth > 4 * DEEPEST:
            message = "the JSON is nested deeper than anything that FlowyML writes"
            raise SerializationError(message)
        if type(parsed) is list:
            return [self.decode(item, depth + 1) for item in parsed]
        if type(parsed) is dict:
            return self.untag({key: self.decode(item, depth + 1) for key, item in parsed.items()})
        return parsed

    def untag(self, parsed: dict[str, Any]) -> Any:
        """Return the value of a tagged object whose parts are decoded already."""
        if TAG not in parsed:
            return parsed
        try:
            tag = parsed[TAG]
            if read := _READERS.get(tag):
                return read(self, parsed)
            library = library_by_tag(tag)
            return library.make(parsed) if library else self.foreign(parsed)
        except FlowyMLError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as cause:
            message = f"the stored {parsed[TAG]!r} is damaged: {type(cause).__name__}: {cause}"
            raise SerializationError(message) from cause


def _family_reader(make: Callable[[type, Mapping[str, Any]], object]) -> Callable[..., Any]:
    return lambda decoder, tagged: make(resolve(tagged["class"], trusted=decoder.trusted), tagged)


def _value_reader(read: Callable[[Any], object]) -> Callable[..., Any]:
    return lambda _decoder, tagged: read(tagged["value"])


def _items_reader(read: Callable[[Any], object]) -> Callable[..., Any]:
    return lambda _decoder, tagged: read(tagged["items"])


_READERS: Mapping[str, Callable[[Decoder, Mapping[str, Any]], Any]] = MappingProxyType(
    {
        **{scalar.tag: _value_reader(scalar.from_json) for scalar in SCALARS},
        **{family.tag: _family_reader(family.make) for family in FAMILIES},
        "OrderedDict": _items_reader(OrderedDict),
        "dict": _items_reader(dict),
        "float": _value_reader(float),
        "frozenset": _items_reader(frozenset),
        "int": _value_reader(lambda plain: int(plain, 16)),
        "set": _items_reader(set),
        "str": _value_reader(lambda plain: bytes.fromhex(plain).decode("utf-8", "surrogatepass")),
        "tuple": _items_reader(tuple),
    }
)


def holds_class(cls: type) -> bool:
    """Whether values of this class may have a form in JSON."""
    return cls in _WRITERS or family_of(cls) is not None or library_of(cls) is not None


def encode(value: object) -> Any:
    """Return the JSON for a value.

    Raises:
        SerializationError: It has no exact form in JSON; the message leads to the part of it.
    """
    return Encoder().encode(value)


def decode(parsed: Any, *, trusted: bool = False) -> Any:
    """Return the value that `encode` made this JSON of."""
    return Decoder(trusted=trusted).decode(parsed)
