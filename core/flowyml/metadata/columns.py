"""How values lie in the columns of the database.

A time is the number of microseconds since 1970 in UTC, a mapping is compact JSON, a status is its
word. Both ways are called for every row, so they are small and plain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flowyml.errors import MetadataError

__all__ = ["from_json", "from_micros", "plain_text", "to_json", "to_micros"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def to_micros(moment: datetime) -> int:
    """Return an aware time as a whole number, which sorts and compares as the time does."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the time again, in UTC."""
    return EPOCH + timedelta(microseconds=micros)


def to_json(value: Mapping[str, Any], *, about: str) -> str:
    """Return a mapping as JSON.

    Args:
        value: What is to be kept.
        about: The thing that it belongs to, for the message.

    Raises:
        MetadataError: It holds something that JSON has no form for.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as cause:
        message = (
            f"{about} cannot be recorded: {cause}; "
            "what is recorded consists of JSON values: text, numbers, lists, mappings"
        )
        raise MetadataError(message) from cause


def from_json(text: str) -> dict[str, Any]:
    """Return the mapping again."""
    mapping: dict[str, Any] = json.loads(text)
    return mapping


def plain_text(text: str | None) -> str | None:
    """Escape what UTF-8 cannot hold, so that no message is too odd to be recorded.

    A file name that is not valid text reaches error messages as lone surrogates.
    """
    return None if text is None else text.encode(errors="backslashreplace").decode()
