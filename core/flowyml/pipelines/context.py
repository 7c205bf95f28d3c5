"""Context values: what steps are given by name besides each other's outputs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from datetime import date, time
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from attrs import field, frozen

from flowyml.stacks.secrecy import HIDDEN, SHORTEST, without_logins

__all__ = [
    "Context",
    "Secret",
    "context",
    "looks_secret",
    "recordable",
    "reveal",
    "secret",
    "without",
]

T = TypeVar("T")

CONTAINERS: Final = frozenset({dict, list, tuple, set})

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SECRET_WORDS: Final = frozenset({"token", "pwd", "passphrase", "apikey"})

_SECRET_PARTS: Final = ("password", "passwd", "secret", "credential", "apikey")

_SECRET_KEYS: Final = frozenset({"access", "account", "api", "auth", "encryption", "private"})
"""Words that make a following ``key`` a secret one; ``sort_key`` is none."""


@frozen(repr=False)
class Secret(Generic[T]):
    """A value that a step gets as it is, and that is shown and recorded nowhere.

    Attributes:
        value: The value.
    """

    value: T

    def __repr__(self) -> str:
        """Show that there is a secret, not which."""
        return f"secret({HIDDEN})"


def secret(value: T) -> Secret[T]:
    """Mark a context value as one that is recorded, logged and shown nowhere.

    The step that has a parameter of its name is given the value itself.

    Args:
        value: A password, a key, a token.
    """
    return Secret(value)


@frozen(repr=False)
class Context(Mapping[str, Any]):
    """Values by name; a step that has a parameter of that name is given the value.

    Attributes:
        given: The values, secrets still marked.
    """

    given: Mapping[str, Any] = field(factory=dict, converter=dict)

    def __getitem__(self, name: str) -> Any:
        """Return a value as a step is given it, with containers of its own."""
        return reveal(self.given[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)

    def __repr__(self) -> str:
        """Show the values, but no secrets."""
        shown = (
            f"{name}={HIDDEN if is_secret(name, value) else _shown(value)}"
            for name, value in self.given.items()
        )
        return f"context({', '.join(shown)})"

    def over(self, others: Mapping[str, Any]) -> Context:
        """Return a context in which other values take the place of those of the same name.

        What takes the place of a secret is one, whoever gives it.
        """
        raw = others.given if isinstance(others, Context) else others
        marked = {name for name, value in self.given.items() if isinstance(value, Secret)}
        kept = {name: secret(reveal(raw[name])) for name in marked.intersection(raw)}
        return Context({**self.given, **raw, **kept})

    @property
    def public(self) -> dict[str, Any]:
        """The values that may be recorded and logged, without secrets at any depth."""
        return without(self.given)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not appear in any message."""
        found: list[str] = []
        _collect(self.given, found, hidden=False)
        return tuple(sorted(set(found), key=len, reverse=True))


def context(**values: Any) -> Context:
    """Name the values that the steps of a pipeline may ask for.

    Args:
        values: A step that has a parameter of that name is given the value. Mark passwords and
            the like with `secret`; names such as ``api_key`` are taken for secrets anyway.
    """
    return Context(values)


def looks_secret(name: str) -> bool:
    """Whether a value of this name is most likely a secret (``db_password``, ``HF_TOKEN``)."""
    words = [word.lower() for word in _WORDS.findall(name)]
    joined = "".join(words)
    if any(part in joined for part in _SECRET_PARTS) or not _SECRET_WORDS.isdisjoint(words):
        return True
    return any(second == "key" and first in _SECRET_KEYS for first, second in pairwise(words))


def is_secret(name: object, value: object) -> bool:
    """Whether a value is marked as a secret, or has the name of one."""
    return isinstance(value, Secret) or (isinstance(name, str) and looks_secret(name))


def without(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the values that are no secrets, also inside nested mappings and lists."""
    return {name: _public(value) for name, value in values.items() if not is_secret(name, value)}


def reveal(value: Any) -> Any:
    """Return a value as a step is given it: without marks, and with containers of its own.

    What a step puts into a list, the next one does not find there.
    """
    if isinstance(value, Secret):
        return reveal(value.value)
    if type(value) in CONTAINERS:
        return _rebuilt(value, reveal)
    return copy(value) if isinstance(value, dict | list | set) else value


def _public(value: Any) -> Any:
    if isinstance(value, str):
        return without_logins(value)
    if isinstance(value, Mapping):
        return without(value)
    if isinstance(value, list | tuple):
        items = [_public(item) for item in value if not isinstance(item, Secret)]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _shown(value: Any) -> str:
    return repr(recordable(_public(value)))


def _rebuilt(value: Any, change: Callable[[Any], Any]) -> Any:
    if type(value) is dict:
        return {name: change(item) for name, item in value.items()}
    return type(value)(change(item) for item in value)


def _collect(value: Any, found: list[str], *, hidden: bool) -> None:
    """Gather the texts of everything that is marked as a secret or named like one."""
    if isinstance(value, Secret):
        _collect(value.value, found, hidden=True)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _collect(item, found, hidden=hidden or is_secret(name, item))
    elif type(value) in (list, tuple):
        for item in value:
            _collect(item, found, hidden=hidden)
    elif hidden and isinstance(value, str | bytes | int):
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if len(text) >= SHORTEST:
            found.append(text)


def recordable(value: Any) -> Any:
    """Return a value as the metadata store can keep it: JSON, or else what kind it is.

    The looks of an object are not recorded: they may show a password that it holds.
    """
    if isinstance(value, Mapping):
        return {str(name): recordable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [recordable(item) for item in value]
    if isinstance(value, Enum):
        value = value.value
    elif hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a NumPy scalar
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, PurePath | date | time | Decimal | UUID):
        return str(value)
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
