"""What a value holds, written down so that every process writes the same."""

from __future__ import annotations

import hashlib
import json
import pickle
from operator import itemgetter
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

from flowyml.errors import SerializationError
from flowyml.pipelines.arguments import PLAIN, code_in
from flowyml.pipelines.definitions import UnknownSourceError
from flowyml.pipelines.origins import compiled_file, is_users_module
from flowyml.serialization import encode

__all__ = ["content_of", "has_content"]


def content_of(value: object, name: str) -> tuple[str, list[Any]]:
    """Return what a value holds, and the code among that.

    Raises:
        UnknownSourceError: It can neither be written as JSON nor pickled.
    """
    try:
        return json.dumps(encode(value)), [*code_in([value])]
    except (SerializationError, RecursionError):
        pass
    hashed = _Hashed()
    pickler = _Pickler(hashed, name)
    try:
        pickler.dump(value)
    except Exception as cause:
        message = f"it uses {name!r}, a {type(value).__name__} whose content is not known"
        raise UnknownSourceError(message) from cause
    return hashed.digest.hexdigest(), pickler.code


class _Hashed:
    """A file of which only the digest is kept: a value may be as large as memory."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, content: Any) -> int:
        """Hash it."""
        self.digest.update(content)
        return len(content)


class _Pickler(pickle.Pickler):
    """Writes a value down, and gathers the functions and classes in it in place of their names."""

    def __init__(self, file: _Hashed, name: str) -> None:
        super().__init__(file, protocol=5)
        self.name = name
        self.code: list[Any] = []

    def persistent_id(self, thing: Any) -> Any:
        """Write a set in an order that is the same in every process."""
        if type(thing) is not set and type(thing) is not frozenset:
            return None
        if PLAIN.issuperset(map(type, thing)):
            return type(thing).__name__, sorted(map(repr, thing))
        parts = sorted((content_of(each, self.name) for each in thing), key=itemgetter(0))
        self.code += [found for _, code in parts for found in code]
        return type(thing).__name__, [content for content, _ in parts]

    def reducer_override(self, thing: Any) -> Any:
        """Leave a name in the place of a function, a class or an installed module."""
        if isinstance(thing, MappingProxyType):
            return dict, (dict(thing),)
        if isinstance(thing, ModuleType) and not is_users_module(thing):
            return str, (thing.__name__,)
        if compiled_file(thing) is not None:
            self.code.append(thing)
        if not isinstance(thing, FunctionType | type) or thing is str:
            return NotImplemented
        self.code.append(thing)
        return str, (thing.__qualname__,)


def has_content(value: object) -> bool:
    """Whether a value can be written as JSON."""
    try:
        encode(value)
    except (SerializationError, RecursionError):
        return False
    return True
