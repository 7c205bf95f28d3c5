"""JSON Schema of the fields of one attrs class: its annotations, defaults and docstring."""

from __future__ import annotations

import enum
import inspect
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs

from flowyml.stacks.shapes import LISTS, MAPPINGS
from flowyml.stacks.templates import PLACEHOLDERS, PathTemplate

__all__ = ["VARIABLE", "Schema", "class_schema", "type_schema"]

Schema = dict[str, Any]

VARIABLE: Final[Schema] = {"type": "string", "pattern": r"\$\{"}
"""A text with a variable in it, which may stand for a value of any type."""

_PIECE: Final = rf"([^{{}}/]|\{{({'|'.join(PLACEHOLDERS)})\}})+"
_TEMPLATE: Final[Schema] = {
    "type": "string",
    "pattern": rf"^{_PIECE}(/{_PIECE})*$",
    "not": {"pattern": r"(^|/)[. ]+(/|$)"},
}
_SCALARS: Final[Mapping[type, Schema]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    PathTemplate: _TEMPLATE,
}
_FIELD: Final = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)


def class_schema(cls: type, extra: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of a mapping that is structured into an attrs class.

    Args:
        cls: The class.
        extra: Keys that the mapping has besides the fields; they are required.
    """
    if any(isinstance(a.type, str) for a in attrs.fields(cls)):
        attrs.resolve_types(cls)
    documented = _documented(cls)
    fields = [a for a in attrs.fields(cls) if a.init]
    properties = {a.alias: _field_schema(a, documented.get(a.name)) for a in fields}
    required = [a.alias for a in fields if a.default is attrs.NOTHING]
    schema: Schema = {
        "type": "object",
        "properties": {**(extra or {}), **properties},
        "additionalProperties": False,
    }
    if names := [*(extra or ()), *required]:
        schema["required"] = names
    if summary := (inspect.getdoc(cls) or "").partition("\n\n")[0]:
        schema["description"] = " ".join(summary.split())
    return schema


def type_schema(type_: Any) -> Schema:
    """Return the schema of the values that a type takes; an empty one where that is not known."""
    if type_ in {str, Path}:
        return {"type": "string"}
    if type_ is type(None):
        return {"type": "null"}
    if isinstance(type_, type) and type_ in _SCALARS:
        return {"anyOf": [_SCALARS[type_], VARIABLE]}
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return {"anyOf": [{"enum": [member.value for member in type_]}, VARIABLE]}
    if isinstance(type_, type) and attrs.has(type_):
        return class_schema(type_)
    build = _GENERIC.get(get_origin(type_) or type_)
    return build(get_args(type_)) if build else {}


def _choice(arguments: tuple[Any, ...]) -> Schema:
    return {"anyOf": [{"enum": list(arguments)}, VARIABLE]}


def _union(arguments: tuple[Any, ...]) -> Schema:
    alternatives: list[Schema] = []
    for schema in map(type_schema, arguments):
        if not schema:
            return {}
        alternatives += schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    return {"anyOf": [each for n, each in enumerate(alternatives) if each not in alternatives[:n]]}


def _list(arguments: tuple[Any, ...]) -> Schema:
    return {"type": "array", "items": type_schema(arguments[0]) if arguments else {}}


def _tuple(arguments: tuple[Any, ...]) -> Schema:
    if not arguments or Ellipsis in arguments:
        return _list(arguments)
    items = [type_schema(argument) for argument in arguments]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}


def _mapping(arguments: tuple[Any, ...]) -> Schema:
    return {
        "type": "object",
        "additionalProperties": type_schema(arguments[1]) if arguments else {},
    }


_GENERIC: Final[Mapping[Any, Callable[[tuple[Any, ...]], Schema]]] = {
    Literal: _choice,
    Union: _union,
    types.UnionType: _union,
    **dict.fromkeys(LISTS, _list),
    **dict.fromkeys(MAPPINGS, _mapping),
    tuple: _tuple,
}


def _field_schema(field: attrs.Attribute[Any], doc: str | None) -> Schema:
    schema = dict(type_schema(field.type))
    if doc:
        schema["description"] = doc
    default = str(field.default) if isinstance(field.default, Path) else field.default
    if field.repr is not False and isinstance(default, str | int | float | bool):
        schema["default"] = default
    return schema


def _documented(cls: type) -> Mapping[str, str]:
    """Return what the docstring says about each field, in its ``Attributes:`` section."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, section = (inspect.cleandoc(base.__doc__ or "")).partition("\nAttributes:\n")
        section = re.split(r"\n(?=\S)", section, maxsplit=1)[0]
        found |= {name: " ".join(text.split()) for name, text in _FIELD.findall(section)}
    return found
