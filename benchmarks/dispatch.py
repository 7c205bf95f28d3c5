"""Dispatch: what other installed plugins cost a stack that does not use them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure, Section
from benchmarks.processes import report_of

__all__ = ["measure"]

INSTALLED: Final = (0, 10, 100)

ROUNDS: Final = 5

FLAT: Final = 1.3
"""What a plan and a call may cost at most with a hundred plugins, as a multiple of none; the noise
of such small times is in it."""


def measure(folder: Path) -> Section:
    """Compare planning and calling with many plugins with planning and calling without them."""
    del folder
    rounds = [[report_of("dispatch.py", count) for count in INSTALLED] for _ in range(ROUNDS)]
    none, *others = map(_middle, zip(*rounds, strict=True))
    figures = [
        Figure("build the local stack, none", 1000 * none["built"], "ms CPU"),
        Figure("plan one output, none", 1e6 * none["plan"], "us CPU"),
        Figure(
            "call one hook, none",
            1e6 * none["facade"],
            "us CPU",
            1e6 * none["plain"],
            "the method itself",
        ),
    ]
    for count, report in zip(INSTALLED[1:], others, strict=True):
        built, before = 1000 * report["built"], 1000 * none["built"]
        figures += [
            Figure(f"build the local stack, {count}", built, "ms CPU", before, "none"),
            _flat(f"plan one output, {count}", report["plan"], none["plan"]),
            _flat(f"call one hook, {count}", report["facade"], none["facade"]),
        ]
    note = "With no, 10 and 100 other plugins installed, none of which the stack uses."
    return Section("Dispatch", tuple(figures), note)


def _flat(what: str, seconds: float, before: float) -> Figure:
    return Figure(what, 1e6 * seconds, "us CPU", 1e6 * before, "none", FLAT)


def _middle(reports: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(report[name] for report in reports) for name in reports[0]}
