"""Parameters on their way to a tracker: flat, of bounded length, each with one value in a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from flowyml.errors import DeliveryError

__all__ = ["conflict", "flatten", "shortened", "text_of"]


def flatten(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings under dotted names (``optimizer.lr``).

    An empty mapping stays a value of its own, so that it does not vanish.

    Raises:
        DeliveryError: Two settings meet under one name.
    """
    flat: dict[str, Any] = {}
    for name, value in _leaves(parameters, ""):
        if name in flat:
            message = (
                f"two parameters are both called {name!r} once nested names are joined by dots; "
                "rename one of them"
            )
            raise DeliveryError(message)
        flat[name] = value
    return flat


def _leaves(parameters: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in parameters.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def text_of(value: object) -> str:
    """Return a value as people write it: text as it is, collections as JSON where they can be."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def shortened(text: str, limit: int) -> str:
    """Cut a text that is too long, with a mark that tells its length and digest.

    Two texts that begin alike stay different, and the whole one lies in the store.
    """
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]
    mark = f"… [cut: {len(text)} characters, sha256 {digest}]"
    return text[: max(limit - len(mark), 0)] + mark


def conflict(name: str, *, new: str, step: str, old: str, other: str | None) -> DeliveryError:
    """Return the error for a parameter that is logged again with another value.

    Args:
        name: Name of the parameter.
        new: The value that came now.
        step: The step that it came from.
        old: The value that the tracker has.
        other: The step that logged that one; None where nobody knows any more.
    """
    whose = f"the step {other!r}" if other else "something outside FlowyML"
    message = (
        f"the parameter {name!r} is {shortened(new, 80)!r} in the step {step!r}, but {whose} "
        f"logged it as {shortened(old, 80)!r}; a parameter has one value in a run: rename one, or "
        "nest it below a name of its own"
    )
    return DeliveryError(message)
