"""The page of results."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure, Section, Table

__all__ = ["page"]

HEAD = """\
# Performance

Measured by `nox -s bench`, which anybody can repeat. Absolute times say little about another
machine; the ratios compare two things that were measured in turn, in the same run.
`nox -s bench -- --check` fails where a bound does not hold, `--only SECTION` measures less.

A line reads: what was measured and its value, what it is compared with, the first divided by the
second, and what is promised of that ratio. Of several measurements the middle one counts.
"""

LONGEST = 300
"""Characters of a failure that fit into a line."""


def page(sections: Sequence[Section]) -> str:
    """Return all sections as a Markdown page."""
    parts = [HEAD, _machine(), *map(_section, sections)]
    return "\n".join(parts)


def _machine() -> str:
    today = datetime.now(UTC).date().isoformat()
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{today}, Python {python}, {_processor()}, {platform.system()} {platform.machine()}.\n"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else "unknown processor"


def _section(section: Section) -> str:
    note = [section.note, ""] if section.note else []
    rows = [*map(_row, section.figures), *map(_failure, section.failures)]
    plain = [*_head("what", "measured", "compared with", "ratio", "promised"), *rows, ""]
    tables = [row for table in section.tables for row in _table(table)]
    took = [f"Measured in {section.seconds / 60:.1f} minutes.", ""] if section.seconds else []
    return "\n".join([f"## {section.title}", "", *note, *(plain if rows else ()), *tables, *took])


def _table(table: Table) -> Iterable[str]:
    columns = dict.fromkeys(figure.what for line in table.lines for figure in line.figures)
    yield from (f"### {table.title}", "", *_head("what", *columns))
    for line in table.lines:
        cells = {figure.what: _cell(figure) for figure in line.figures}
        yield _cells(line.what, *(cells.get(column, "") for column in columns))
    yield ""


def _head(*columns: str) -> list[str]:
    return [_cells(*columns), "|" + "---|" * len(columns)]


def _failure(said: str) -> str:
    """Return the line of what could not be measured."""
    plain = " ".join(said.replace("|", "/").split())
    return f"| **failed** | {plain[:LONGEST]} | | | |"


def _row(figure: Figure) -> str:
    floor = f"{_number(figure.floor)} {figure.unit}, {figure.against}" if figure.floor else ""
    return _cells(figure.what, _value(figure), floor, _ratio(figure), _bound(figure))


def _cell(figure: Figure) -> str:
    """Return all that matters of a figure: its ratio where it has one, else its value."""
    return ", ".join(filter(None, (_ratio(figure) or _value(figure), _bound(figure))))


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _value(figure: Figure) -> str:
    return f"{_number(figure.value)} {figure.unit}".strip()


def _ratio(figure: Figure) -> str:
    return f"{figure.ratio:.2f}" if figure.ratio is not None else ""


def _bound(figure: Figure) -> str:
    if not figure.bound:
        return ""
    sign = "≤" if figure.direction == "at most" else "≥"
    return f"{sign} {figure.bound:.3g}{'' if figure.holds else ' **missed**'}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004  # three digits
