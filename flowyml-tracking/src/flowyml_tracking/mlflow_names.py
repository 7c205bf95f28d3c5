"""Names and texts as MLflow takes them."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable

from flowyml.errors import DeliveryError

__all__ = ["LONGEST_PARAMETER", "LONGEST_TAG", "entity_name", "entity_names"]

LONGEST_NAME = 250
LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000
"""MLflow 3 takes 8000 characters, the servers that came before it 5000."""

STRANGE = re.compile(r"[^\w\-. :/]")


def entity_name(name: str) -> str:
    """Return a name that MLflow takes for a metric, a parameter or a tag.

    It takes letters, digits, ``_ - . : /`` and spaces; any other character becomes ``_``. What
    would not do as a path loses its slashes, and a long name its end, to a digest.
    """
    plain = STRANGE.sub("_", name) or "_"
    if posixpath.normpath(plain) != plain or plain.startswith(("/", "..")) or plain == ".":
        plain = plain.replace("/", "_").lstrip(".") or "_"
    if len(plain) <= LONGEST_NAME:
        return plain
    return f"{plain[: LONGEST_NAME - 13]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def entity_names(names: Iterable[str]) -> dict[str, str]:
    """Return what MLflow calls each name.

    Raises:
        DeliveryError: Two of them would become one.
    """
    renamed: dict[str, str] = {}
    origins: dict[str, str] = {}
    for name in names:
        renamed[name] = entity_name(name)
        other = origins.setdefault(renamed[name], name)
        if other != name:
            message = (
                f"MLflow would show {other!r} and {name!r} under one name, {renamed[name]!r}, "
                "because it takes only letters, digits and `_-.:/ `; rename one of them"
            )
            raise DeliveryError(message)
    return renamed
