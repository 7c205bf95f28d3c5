"""Secrets in texts: what backends say may quote what they were given, and is written down."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

import attrs

from flowyml.errors import FlowyMLError
from flowyml.plugins.components import Component

__all__ = [
    "HIDDEN",
    "SHORTEST",
    "component_secrets",
    "is_told",
    "redact",
    "said",
    "text_of",
    "without_logins",
]

HIDDEN: Final = "***"

SHORTEST: Final = 4
"""Characters that a secret text has at least to be searched for in messages."""

_LOGIN: Final = re.compile(r"(://)[^/@\s]*:[^/@\s]*@")
"""User and password inside a URL."""

_PART: Final = re.compile(
    r"(?:key|secret|password|pwd|token|signature)\s*=\s*([^;]+)", re.IGNORECASE
)
"""The secret inside of a connection string: ``AccountName=x;AccountKey=...``."""


def component_secrets(components: Iterable[Component]) -> tuple[str, ...]:
    """Return the texts that components keep in fields that are not shown (``repr=False``)."""
    found: set[str] = set()
    for component in components:
        if attrs.has(type(component)):
            for field in attrs.fields(type(component)):
                if field.init and not field.repr:
                    # Without a value, as long as nobody has configured the component.
                    found.update(_texts(getattr(component, field.name, None)))
    return tuple(found)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text in which no secret is readable, nor any login inside of a URL.

    A secret is found as it is, and as URLs, JSON and Python spell it.
    """
    spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
    for spelling in sorted(spelled, key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    return without_logins(text)


def without_logins(text: str) -> str:
    """Return a text with user and password taken out of every URL in it."""
    return _LOGIN.sub(rf"\1{HIDDEN}@", text)


def said(error: BaseException) -> str:
    """Return what an error says; one that is not ours is named by its class as well."""
    text = text_of(error)
    return text if isinstance(error, FlowyMLError) and text else f"{type(error).__name__}: {text}"


def text_of(error: BaseException) -> str:
    """Return the text of an error, also of one that raises instead of telling."""
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001  # how it says it is no worse than what it says
        return f"(its text cannot be made: {type(fault).__name__})"


def is_told(error: BaseException | None, secrets: Iterable[str]) -> bool:
    """Whether an error, or any that it came of, has a secret in its text."""
    known, seen = tuple(secrets), set[int]()
    ahead = [error]
    while ahead:
        found = ahead.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            if redact(said := text_of(found), known) != said:
                return True
            ahead += [found.__cause__, found.__context__]
    return False


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str | bytes):
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        yield from (part for part in (text, *_PART.findall(text)) if len(part) >= SHORTEST)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item)
