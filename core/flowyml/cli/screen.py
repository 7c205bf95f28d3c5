"""Everything that is printed: JSON for scripts, plain text for pipes, tables for a terminal.

A pipe gets aligned text without colour and without box drawing. Only a terminal is worth the import
of rich. Whatever comes from outside is printed without control characters, so that a name cannot
move the cursor or end a line.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

import click

from flowyml.cli.answer import stream
from flowyml.cli.cells import GAP, Column, Object, style_of
from flowyml.cli.options import Output
from flowyml.errors import FlowyMLError
from flowyml.stacks.text import printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "complain",
    "facts",
    "line",
    "listing",
    "none_of",
    "silence",
    "table",
    "to_json",
    "unwritable",
    "write",
]

BLOCK: Final = 1000
"""Objects that are printed at once; a list that is longer comes block by block."""


def listing(
    objects: Iterable[Object], columns: Sequence[Column], output: Output, *, empty: str
) -> None:
    """Print objects as a table, or as JSON; of a million of them few are in memory at a time.

    Args:
        objects: In the order in which they are shown.
        columns: Of the table; JSON has every key.
        output: Which of the two.
        empty: What a person reads where there are none.
    """
    blocks = _blocks(objects)
    first = next(blocks, ())
    if output == "json":
        _print_json(first, blocks)
    elif not first:
        write(empty)
    elif len(first) < BLOCK:
        table(first, columns)
    else:
        _print_long_table(chain([first], blocks), columns)


def none_of(what: str, filters: Mapping[str, str | None], *, empty: str) -> str:
    """Return what a person reads where a list is empty: that the filters left nothing of it.

    Args:
        what: What is listed (``run``).
        filters: What narrows the list, by option; None where that is not given.
        empty: The answer where nothing narrows it.
    """
    given = [f"{option} {value}".strip() for option, value in filters.items() if value]
    return f"No {what} matches {' '.join(given)}." if given else empty


def table(objects: Iterable[Object], columns: Sequence[Column], *, title: str = "") -> None:
    """Print a table."""
    headings = [column.heading for column in columns]
    rows = _cells(objects, columns)
    if title:
        line()
        line(title, strong=True)
    if _is_terminal():
        _print_table(columns, rows)
        return
    _print_aligned([[heading.upper() for heading in headings], *rows], [0] * len(columns))


def facts(pairs: Iterable[tuple[str, str | None]]) -> None:
    """Print names and values below each other; a value that is None is left out."""
    known = [(printable(name), value) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        first, *more = [printable(text) for text in value.splitlines()] or [""]
        if _is_terminal():
            _print_styled(f"{name:{width}}{GAP}", "dim", end="")
            _print_styled(first, style_of(first))
        else:
            write(f"{name:{width}}{GAP}{first}".rstrip())
        for text in more:
            write(f"{'':{width}}{GAP}{text}")


def complain(text: str) -> None:
    """Print lines on the standard error stream."""
    safe = "\n".join(printable(each) for each in text.expandtabs().splitlines())
    with contextlib.suppress(OSError):  # there is nowhere else to say it
        click.echo(safe, err=True)


def line(text: str = "", *, strong: bool = False) -> None:
    """Print one line."""
    if strong and _is_terminal():
        _print_styled(printable(text), "bold")
    else:
        write(printable(text))


def to_json(objects: Sequence[Object]) -> str:
    """Return objects as JSON: times in ISO form, numbers that JSON has not (NaN) as text."""
    import json

    written = json.dumps(objects, default=_text)
    return json.dumps(json.loads(written, parse_constant=str), indent=2, ensure_ascii=False)


def silence() -> None:
    """Stop writing to a reader that is gone; what the command does goes on.

    Python would complain once more at its exit, so the stream is led into nothing.
    """
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream().fileno())
    os.close(nothing)


def write(text: str, end: str = "\n") -> None:
    """Print a text of our own, as it is."""
    try:
        click.echo(text + end, nl=False, file=stream())
    except BrokenPipeError:
        silence()
    except OSError as cause:
        raise unwritable(cause) from cause


def unwritable(cause: OSError) -> FlowyMLError:
    """Return the error for a standard output that takes nothing, such as a full disk."""
    return FlowyMLError(f"the standard output cannot be written: {cause.strerror}")


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _blocks(objects: Iterable[Object]) -> Iterator[Sequence[Object]]:
    rest = iter(objects)
    while block := tuple(islice(rest, BLOCK)):
        yield block


def _print_json(first: Sequence[Object], blocks: Iterable[Sequence[Object]]) -> None:
    """Print one list, piece by piece."""
    if not first:
        write("[]")
        return
    write(f"[\n{to_json(first)[2:-2]}", end="")
    for block in blocks:
        write(f",\n{to_json(block)[2:-2]}", end="")
    write("\n]")


def _print_long_table(blocks: Iterable[Sequence[Object]], columns: Sequence[Column]) -> None:
    """Print what nobody reads line by line, also in a terminal: columns only ever get wider."""
    rows = [[column.heading.upper() for column in columns]]
    widths = [0] * len(columns)
    for block in blocks:
        widths = _print_aligned(rows + _cells(block, columns), widths)
        rows = []


def _cells(objects: Iterable[Object], columns: Sequence[Column]) -> list[list[str]]:
    return [[printable(column.show(item)) for column in columns] for item in objects]


def _print_aligned(rows: Sequence[Sequence[str]], least: Sequence[int]) -> list[int]:
    """Print rows below each other, and return the widths of their columns."""
    columns = zip(least, zip(*rows, strict=True), strict=True)
    widths = [max(width, *map(len, cells)) for width, cells in columns]
    lines = (GAP.join(map(str.ljust, row, widths)).rstrip() for row in rows)
    write("\n".join(lines))
    return widths


def _is_terminal() -> bool:
    return stream().isatty()


def _console() -> Console:
    from shutil import get_terminal_size

    from rich.console import Console

    return Console(width=get_terminal_size().columns)  # rich takes COLUMNS=0 at its word


def _print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Draw a table, or where there is no room for one, write the cells of each row as facts."""
    from flowyml.cli.drawing import draw

    if draw(_console(), columns, rows):
        return
    for number, row in enumerate(rows):
        if number:
            line()
        pairs = zip((column.heading for column in columns), row, strict=True)
        facts((heading, cell) for heading, cell in pairs if cell != "-")


def _print_styled(text: str, style: str, end: str = "\n") -> None:
    console = _console()
    console.print(text, style=style, end=end, highlight=False, markup=False, soft_wrap=True)
