"""A table as a terminal shows it: what names a thing is never broken in two.

Where the terminal is too narrow, texts are wrapped between their words, then the columns that are
spare are left out, the last one first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowyml.cli.cells import GAP, Column, style_of

__all__ = ["draw"]

READABLE: Final = 12
"""Characters that a text of several words has in a line at least."""

Rows = Sequence[Sequence[str]]


def draw(console: Console, columns: Sequence[Column], rows: Rows) -> bool:
    """Draw a table; return False, and draw nothing, where there is no room for one.

    Args:
        console: Where it is drawn.
        columns: Its columns.
        rows: A cell for each column.
    """
    widths = _fitting(columns, rows, console.width)
    if widths is None:
        return False
    # Two columns are parted by the box's own space and one that pads the cell: by `GAP`.
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    drawn.pad_edge = False
    for position, width in widths.items():
        # Every word has room; what may be cut off is the space that a line ends with.
        drawn.add_column(columns[position].heading, width=width, overflow="crop")
    for row in rows:
        drawn.add_row(*(_cell(columns[position], row[position]) for position in widths))
    console.print(drawn)
    if omitted := [each.heading for at, each in enumerate(columns) if at not in widths]:
        told = f"(no room for: {', '.join(omitted)})"
        console.print(told, style="dim", highlight=False, markup=False)
    return True


def _cell(column: Column, text: str) -> Text:
    if _may_wrap(column):
        text = text.strip()  # a space before the first word would count as part of it
    return Text(text, style=style_of(text) if column.is_status else "")


def _fitting(columns: Sequence[Column], rows: Rows, room: int) -> Mapping[int, int] | None:
    """Return the widths of the columns there is room for, by position; None where it is not enough.

    It is enough with every column that is not spare.
    """
    shown = {at: [each.heading, *(row[at] for row in rows)] for at, each in enumerate(columns)}
    spare = [at for at, each in enumerate(columns) if each.is_spare]
    while (widths := _widths(columns, shown, room)) is None and spare:
        del shown[spare.pop()]
    return widths


def _widths(
    columns: Sequence[Column], shown: Mapping[int, Sequence[str]], room: int
) -> Mapping[int, int] | None:
    """Return the widths of columns; None where they do not fit, as narrow as they can be."""
    wanted = {at: max(map(cell_len, cells)) for at, cells in shown.items()}
    widths = {
        at: _narrowest(cells) if _may_wrap(columns[at]) else wanted[at]
        for at, cells in shown.items()
    }
    left = room - sum(widths.values()) - len(GAP) * (len(widths) - 1)
    if left < 0:
        return None
    narrow = sorted(shown, key=lambda at: wanted[at] - widths[at])
    for done, at in enumerate(narrow):  # what one does not need goes to those that need more
        more = min(wanted[at] - widths[at], left // (len(narrow) - done))
        widths[at] += more
        left -= more
    return widths


def _may_wrap(column: Column) -> bool:
    return column.is_text or column.is_status


def _narrowest(cells: Sequence[str]) -> int:
    """Return the width of a column of texts that breaks none of their words."""
    words = max(cell_len(word) for cell in cells for word in (cell.split() or [""]))
    return max(words, min(READABLE, max(map(cell_len, cells))))
