"""What a table is made of, whoever draws it: columns, the space between, the colour of a status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen

__all__ = ["GAP", "Column", "Object", "style_of"]

Object = Mapping[str, Any]
"""One thing as ``-o json`` prints it."""

GAP: Final = "  "

WRONG: Final = frozenset({"failed", "rejected", "error", "broken", "stopped"})
UNFINISHED: Final = frozenset(
    {"incomplete", "interrupted", "pending", "running", "skipped", "starting", "waiting", "warning"}
)
WELL: Final = frozenset({"approved", "deployed", "done", "ok", "serving", "stored"})


@frozen
class Column:
    """One column of a table.

    Attributes:
        heading: What stands above it.
        show: Makes the cell's text from the object.
        is_status: Whether its words have colours in a terminal.
        is_text: Whether it may be wrapped between its words; anything else stays in one piece, so
            that it can be copied.
        is_spare: Whether a terminal that is too narrow for all columns does without it.
    """

    heading: str
    show: Callable[[Object], str]
    is_status: bool = False
    is_text: bool = False
    is_spare: bool = False


def style_of(word: str) -> str:
    """Return the colour of a status, by its first word."""
    first = word.partition(" ")[0]
    if first in WRONG:
        return "red"
    if first in UNFINISHED:
        return "yellow"
    return "green" if first in WELL else ""
