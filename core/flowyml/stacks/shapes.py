"""The cattrs converter that takes the file's values as strictly as they are written.

A text is no number and a number is no text; only a value with a variable in it takes whatever type
its field has. No error holds the value itself, which may be a secret.
"""

from __future__ import annotations

import collections.abc
import enum
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Union, get_args, get_origin

import attrs
from attrs import has
from cattrs import (
    BaseValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
    StructureHandlerNotFoundError,
)
from cattrs.gen import make_dict_structure_fn

from flowyml.spelling import meant
from flowyml.stacks.interpolation import Interpolated
from flowyml.stacks.nodes import describe, plain_value
from flowyml.stacks.templates import PathTemplate

__all__ = ["LISTS", "MAPPINGS", "UNFIT", "WrongValueError", "make_converter"]

LISTS: Final[Mapping[object, Callable[[Iterable[Any]], Any]]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: tuple,
    collections.abc.MutableSequence: list,
    collections.abc.Iterable: tuple,
    collections.abc.Collection: tuple,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
MAPPINGS: Final = {
    dict,
    collections.abc.Mapping,
    collections.abc.MutableMapping,
}
UNFIT: Final = (ValueError, TypeError, BaseValidationError, StructureHandlerNotFoundError)
"""What structuring raises for a value that is not of a type."""

_SWITCHES = {"true", "false", "yes", "no", "on", "off"}


class WrongValueError(ValueError):
    """A value of another kind than its field takes.

    Attributes:
        hint: What to write instead, where that is clear.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def make_converter(folder: Path) -> Converter:
    """Return a converter for the components of one file.

    Args:
        folder: What relative paths are relative to.
    """
    converter = Converter(forbid_extra_keys=True, detailed_validation=True, use_alias=True)
    converter.register_structure_hook_func(lambda t: t in {Any, object}, _anything)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bool, _switch)
    converter.register_structure_hook(int, _whole_number)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Path, lambda value, _: folder / _path(value))
    converter.register_structure_hook(PathTemplate, lambda value, _: PathTemplate(_text(value)))
    converter.register_structure_hook_func(lambda t: t is type(None), _nothing)
    converter.register_structure_hook_func(_is_choice, _choice)
    converter.register_structure_hook_factory(_is_union, _union(converter))
    converter.register_structure_hook_factory(_is_list, _many(converter))
    converter.register_structure_hook_factory(_is_mapping, _mapping(converter))
    converter.register_structure_hook_factory(has, _record(converter))
    return converter


def _refuse(expected: str, value: object, hint: str | None = None) -> NoReturn:
    message = f"expected {expected}, found {describe(value)}"
    raise WrongValueError(message, hint)


def _anything(value: Any, _: object = None) -> Any:
    """Return a value that no type speaks for: a variable without quotes is what it looks like."""
    if isinstance(value, Interpolated):
        return str(value) if value.quoted else plain_value(value)
    if isinstance(value, dict):
        return {key: _anything(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_anything(item) for item in value]
    return value


def _read(value: object) -> object:
    return plain_value(value) if isinstance(value, Interpolated) else value


def _text(value: object, _: object = None) -> str:
    if isinstance(value, str):
        return str(value)
    hint = None if isinstance(value, dict | list | None) else "put it in quotes"
    _refuse("text", value, hint)


def _path(value: object) -> Path:
    """Return a path; an empty one, of a variable perhaps, would be the folder of the file."""
    text = _text(value)
    if not text.strip():
        message = "expected a path, found an empty text"
        raise WrongValueError(message, "write . where the folder of this file is meant")
    return Path(text).expanduser()


def _switch(value: object, _: object = None) -> bool:
    read = _read(value)
    if isinstance(read, bool):
        return read
    looks = isinstance(read, str) and read.lower() in _SWITCHES
    _refuse("true or false", value, "write true or false, without quotes" if looks else None)


def _whole_number(value: object, _: object = None) -> int:
    read = _read(value)
    if isinstance(read, int) and not isinstance(read, bool):
        return read
    looks = isinstance(read, str) and isinstance(plain_value(read), int)
    _refuse("a whole number", value, "write it without quotes" if looks else None)


def _number(value: object, _: object = None) -> float:
    read = _read(value)
    if isinstance(read, int | float) and not isinstance(read, bool):
        return float(read)
    looks = isinstance(read, str) and isinstance(plain_value(read), int | float)
    _refuse("a number", value, "write it without quotes" if looks else None)


def _nothing(value: object, _: object = None) -> None:
    if _read(value) is not None:
        _refuse("nothing", value)


def _is_choice(type_: object) -> bool:
    return get_origin(type_) is Literal or (
        isinstance(type_, type) and issubclass(type_, enum.Enum)
    )


def _choice(value: object, type_: Any) -> Any:
    choices = {arg: arg for arg in get_args(type_)} or {member.value: member for member in type_}
    read = value if isinstance(value, Interpolated) and value in choices else _read(value)
    for choice, meaning in choices.items():
        if type(choice) in {type(read), str} and isinstance(read, type(choice)) and choice == read:
            return meaning
    listed = ", ".join(str(choice) for choice in choices)
    message = f"expected one of {listed}"
    raise WrongValueError(message, meant(str(read), map(str, choices)))


def _is_union(type_: object) -> bool:
    return get_origin(type_) in {Union, types.UnionType}


def _union(converter: Converter) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def structure(value: Any, type_: Any) -> Any:
        parts = [part for part in get_args(type_) if part is not type(None)]
        if len(parts) < len(get_args(type_)) and (value is None or _is_unset(value, parts)):
            return None
        if len(parts) == 1:
            return converter.structure(value, parts[0])
        for part in sorted(parts, key=lambda part: part is str):  # a variable's text fits last
            try:
                return converter.structure(value, part)
            except UNFIT:  # it is another part's
                continue
        names = " or ".join(getattr(part, "__name__", str(part)) for part in parts)
        _refuse(names, value)

    return lambda _: structure


def _is_unset(value: object, parts: list[Any]) -> bool:
    """Whether a variable that is empty stands where there may be nothing, and text is no answer."""
    return isinstance(value, Interpolated) and str not in parts and plain_value(value) is None


def _is_list(type_: object) -> bool:
    return (get_origin(type_) or type_) in LISTS


def _many(converter: Converter) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def structure(value: Any, type_: Any) -> Any:
        if not isinstance(value, list):
            _refuse("a list", value)
        origin, arguments = get_origin(type_) or type_, get_args(type_)
        fixed = origin is tuple and arguments and Ellipsis not in arguments
        if fixed and len(value) != len(arguments):
            message = f"expected a list of {len(arguments)}, found {len(value)}"
            raise WrongValueError(message)
        element = arguments[0] if arguments else Any
        kinds = arguments if fixed else (element,) * len(value)
        pairs = zip(range(len(value)), value, kinds, strict=True)
        return LISTS[origin](_each(converter, pairs, type_).values())

    return lambda _: structure


def _is_mapping(type_: object) -> bool:
    return (get_origin(type_) or type_) in MAPPINGS


def _mapping(converter: Converter) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def structure(value: Any, type_: Any) -> Any:
        if not isinstance(value, dict):
            _refuse("a mapping", value)
        _, element = get_args(type_) or (str, Any)
        return _each(converter, ((key, item, element) for key, item in value.items()), type_)

    return lambda _: structure


def _each(
    converter: Converter, items: Iterable[tuple[Any, Any, Any]], type_: Any
) -> dict[Any, Any]:
    """Structure every item, and report all that fail together, as cattrs does."""
    done: dict[Any, Any] = {}
    failed: list[Exception] = []
    for key, item, kind in items:
        try:
            done[key] = converter.structure(item, kind)
        except Exception as error:  # noqa: BLE001  # it is reported with the others
            error.add_note(IterableValidationNote("in an item", key, kind))
            failed.append(error)
    if failed:
        message = "some items are wrong"
        raise IterableValidationError(message, failed, type_)
    return done


def _record(converter: Converter) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def factory(cls: Any) -> Callable[[Any, Any], Any]:
        if any(isinstance(a.type, str) for a in attrs.fields(cls)):
            attrs.resolve_types(cls)
        structure = make_dict_structure_fn(cls, converter)

        def checked(value: Any, type_: Any) -> Any:
            if not isinstance(value, dict):
                _refuse("a mapping", value)
            return structure(value, type_)

        return checked

    return factory
