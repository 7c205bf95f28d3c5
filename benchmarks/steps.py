"""The overhead of a step: chains and fans of small results, with everything on."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, Section
from benchmarks.processes import environment, report_of

__all__ = ["measure"]

FEW, MANY = 100, 1000

ROUNDS = 3

DAGSTER_MANY = 100
"""Dagster needs tens of milliseconds for a step; 1,000 of them would show nothing more."""

NOTE = """\
Stored, hashed, with manifest, lineage and ledger. Kedro writes the same JSON and records nothing;
one of its nodes costs the more the more there are. Processor time of the whole process, with the
operating system's part and the run's own beginning and end, without imports and without waiting for
the disk."""


def measure(folder: Path) -> Section:
    """Compare the cost of one step with a plain-Python floor, Kedro and Dagster."""
    kedro = environment(folder / "kedro", "kedro", "kedro-datasets[json]", "setuptools")
    dagster = environment(folder / "dagster", "dagster", "setuptools")
    programs: Sequence[tuple[str, tuple[object, ...], str]] = (
        ("flowyml_steps.py", ("chain", FEW, MANY), sys.executable),
        ("flowyml_steps.py", ("fan", MANY), sys.executable),
        ("floor_steps.py", (MANY,), sys.executable),
        ("kedro_steps.py", (FEW, MANY), kedro),
    )
    rounds = [[_seconds(*program) for program in programs] for _ in range(ROUNDS)]
    chain, fan, floor, node = (_middle(column) for column in zip(*rounds, strict=True))
    dagster_step = 1000 * _seconds("dagster_steps.py", (DAGSTER_MANY,), dagster)[0] / DAGSTER_MANY
    few, many = 1000 * chain[0] / FEW, 1000 * chain[1] / MANY
    kedro_few, kedro_many = 1000 * node[0] / FEW, 1000 * node[1] / MANY
    bare, wide = 1000 * floor[0] / MANY, 1000 * fan[0] / MANY
    figures = (
        Figure("a step of 1,000", many, "ms CPU", kedro_many, "a node of 1,000 in Kedro", 1.0),
        Figure("a step of 100", few, "ms CPU", kedro_few, "a node of 100 in Kedro"),
        Figure("a step of 1,000", many, "ms CPU", bare, "the plain-Python floor", 15.0),
        Figure("a step of 1,000", many, "ms CPU", dagster_step, "an op of 100 in Dagster", 0.25),
        Figure("a step of 1,000", many, "ms CPU", few, "a step of 100", 1.3),
        Figure("a step of a fan of 1,000", wide, "ms CPU", many, "a step of a chain", 1.5),
    )
    return Section("A step that returns a small dict", figures, NOTE)


def _seconds(program: str, arguments: Sequence[object], python: str) -> list[float]:
    seconds: list[float] = report_of(program, *arguments, python=python)["seconds"]
    return seconds


def _middle(reports: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*reports, strict=True)]
