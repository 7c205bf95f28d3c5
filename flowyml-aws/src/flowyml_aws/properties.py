"""Facts about a model as the metadata of a model package, within SageMaker's limits.

A package has up to 50 properties of at most 256 characters. Nested facts become dotted names, the
first ones win where there are too many, and a value that is too long is cut, ends in ``...`` and is
named in ``flowyml.cut``. The manifest beside the stored model has everything whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flowyml_aws.names import quote, unquote

__all__ = ["read_properties", "write_properties"]

MOST = 50
LONGEST_NAME = 128
LONGEST = 256
CUT = "flowyml.cut"
LEFT_OUT = "flowyml.left-out"


def write_properties(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties for facts, the most important of them first."""
    found: dict[str, str] = {}
    cut: list[str] = []
    left_out = 0
    for name, value in _flat(facts, ""):
        text = _text(value)
        if len(found) >= MOST - 2 or len(name) > LONGEST_NAME:
            left_out += 1
            continue
        if len(text) > LONGEST:
            cut.append(name)
            text = _shortened(text)
        found[name] = text
    if cut:
        found[CUT] = _shortened(" ".join(cut)) if len(" ".join(cut)) > LONGEST else " ".join(cut)
    if left_out:
        found[LEFT_OUT] = str(left_out)
    return found


def read_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    """Return the nested facts that properties were written from."""
    facts: dict[str, Any] = {}
    for name, text in properties.items():
        *path, last = (unquote(part) for part in name.split("."))
        place = facts
        for part in path:
            inner = place.setdefault(part, {})
            place = inner if isinstance(inner, dict) else {}
        place[last] = _value(text)
    return {name: _with_lists(value) for name, value in facts.items()}


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            part = quote(str(key)).replace(".", "=2E")
            yield from _flat(item, f"{name}.{part}" if name else part)
    elif isinstance(value, (list, tuple)):
        yield from _flat({str(index): item for index, item in enumerate(value)}, name)
    else:
        yield name, value


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = quote(value) or "="
        return text if _scalar(text) is None else f"={ord(text[0]):02X}{text[1:]}"
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return _text(str(value))


def _value(text: str) -> Any:
    if text == "=":
        return ""
    scalar = _scalar(text)
    return unquote(text) if scalar is None else scalar[0]


def _scalar(text: str) -> tuple[Any] | None:
    """Return what a text means as a number, a truth value or null; None for any other text."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return (value,) if value is None or isinstance(value, (bool, int, float)) else None


def _shortened(text: str) -> str:
    """Cut a text, never inside of an escape."""
    kept = text[: LONGEST - 3]
    mark = kept.rfind("=", len(kept) - 2)
    return (kept if mark < 0 else kept[:mark]) + "..."


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    items = {key: _with_lists(item) for key, item in value.items()}
    if items and list(items) == [str(index) for index in range(len(items))]:
        return list(items.values())
    return items
