"""What a measurement gives: a figure, what it is compared with, and the bound it has to keep."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Literal

from attrs import frozen

__all__ = ["Figure", "Line", "Section", "Table", "median", "medians"]


@frozen
class Figure:
    """One measured value.

    Attributes:
        what: What was measured, as a line of the table.
        value: The measured value.
        unit: Its unit: ``ms``, ``s``, ``MiB``, ``MiB/s``, ``modules``.
        floor: What it is compared with, measured in the same run.
        against: What the floor is, in words.
        bound: The ratio ``value / floor`` that is promised, or the value where there is no floor;
            None where nothing is promised.
        direction: Whether it has to stay at most, or at least, at the bound.
    """

    what: str
    value: float
    unit: str
    floor: float | None = None
    against: str = ""
    bound: float | None = None
    direction: Literal["at most", "at least"] = "at most"

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the floor."""
        return self.value / self.floor if self.floor else None

    @property
    def holds(self) -> bool:
        """Whether the bound is kept; a figure without one always does."""
        if self.bound is None:
            return True
        reached = self.value if self.ratio is None else self.ratio
        return reached <= self.bound if self.direction == "at most" else reached >= self.bound


@frozen
class Line:
    """Several figures of one thing that was measured.

    Attributes:
        what: What was measured, as the first cell of the line.
        figures: The other cells; what each of them says of itself is the head of its column.
    """

    what: str
    figures: tuple[Figure, ...]


@frozen
class Table:
    """Lines that are read one against the other.

    Attributes:
        title: Heading of the table.
        lines: What was measured; a line may lack some of the columns.
    """

    title: str
    lines: tuple[Line, ...]


@frozen
class Section:
    """Figures that belong together.

    Attributes:
        title: Heading in the table's page.
        figures: What was measured.
        note: How to read it.
        failures: What could not be measured, and why: a page with one of them is no result.
        seconds: How long the measuring took.
        tables: Further figures, where a thing has several of them.
    """

    title: str
    figures: tuple[Figure, ...]
    note: str = ""
    failures: tuple[str, ...] = ()
    seconds: float | None = None
    tables: tuple[Table, ...] = ()

    @property
    def missed(self) -> tuple[Figure, ...]:
        """Every figure whose bound does not hold."""
        lines = [line for table in self.tables for line in table.lines]
        figures = [*self.figures, *(figure for line in lines for figure in line.figures)]
        return tuple(figure for figure in figures if not figure.holds)


def median(measure: Callable[[], float], times: int = 5) -> float:
    """Measure several times and return the middle value, after one run that is not counted."""
    measure()
    return statistics.median(measure() for _ in range(times))


def medians(measures: Sequence[Callable[[], float]], times: int = 5) -> list[float]:
    """Measure several things in turn, so that a drift of the machine's speed hits all alike."""
    for measure in measures:
        measure()
    rounds = [[measure() for measure in measures] for _ in range(times)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]
