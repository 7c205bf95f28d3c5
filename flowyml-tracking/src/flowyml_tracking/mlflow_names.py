"""Names and texts as MLflow takes them."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable

from flowyml.errors import DeliveryError

__all__ = [
    "LONGEST_PARAMETER",
    "LONGEST_TAG",
    "entity_name",
    "entity_names",
    "fact_name",
    "unfit_for_models",
]

LONGEST_NAME = 250
LONGEST_MODEL_NAME = 256
LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000
"""MLflow 3 takes 8000 characters, the servers that came before it 5000."""

RESERVED = ("flowyml.", "mlflow.")
"""Tags that begin so mean something to FlowyML or to MLflow."""

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


def fact_name(name: str) -> str:
    """Return the tag for a fact of a value; what would be FlowyML's or MLflow's stands apart."""
    tag = entity_name(name)
    return entity_name(f"metadata.{tag}") if tag.startswith(RESERVED) else tag


def unfit_for_models(name: str) -> str | None:
    """Return why MLflow's registry has no model of this name; None where it may have one."""
    if not name.strip():
        return "it is empty"
    if "/" in name or ":" in name:
        return "`/` and `:` part names from versions there"
    if "'" in name and '"' in name:
        return "it has both kinds of quotes, and nobody could search for it"
    if name.startswith("..") or name == ".":
        return "it begins like a path"
    if len(name) > LONGEST_MODEL_NAME:
        return f"it has {len(name)} characters, and {LONGEST_MODEL_NAME} is the most"
    return None
