"""The overhead of a step: chains and fans of small results, with everything on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, Section, medians
from benchmarks.processes import environment, report_of

__all__ = ["measure"]

FEW, MANY = 100, 1000
DAGSTER_MANY = 200
"""Dagster needs tens of milliseconds for a step; 1,000 of them would show nothing more."""


def measure(folder: Path) -> Section:
    """Compare the marginal cost of one step with a plain-Python floor, Kedro and Dagster."""
    kedro = environment(folder / "kedro", "kedro", "kedro-datasets[json]", "setuptools")
    dagster = environment(folder / "dagster", "dagster", "setuptools")
    few, many, fan, floor, kedro_few, kedro_many = medians(
        [
            _seconds("flowyml_steps.py", "chain", FEW),
            _seconds("flowyml_steps.py", "chain", MANY),
            _seconds("flowyml_steps.py", "fan", MANY),
            _seconds("floor_steps.py", MANY),
            _seconds("kedro_steps.py", FEW, python=kedro),
            _seconds("kedro_steps.py", MANY, python=kedro),
        ],
        times=3,
    )
    (dagster_many,) = medians([_seconds("dagster_steps.py", DAGSTER_MANY, python=dagster)], times=1)
    marginal = 1000 * (many - few) / (MANY - FEW)
    kedro_marginal = 1000 * (kedro_many - kedro_few) / (MANY - FEW)
    bare = 1000 * floor / MANY
    early = 1000 * few / FEW
    return Section(
        "A step that returns a small dict",
        (
            Figure("a step of a chain", marginal, "ms", kedro_marginal, "Kedro's bare node", 1.0),
            Figure("a step of a chain", marginal, "ms", bare, "the plain-Python floor"),
            Figure(
                "a step of a chain",
                marginal,
                "ms",
                1000 * dagster_many / DAGSTER_MANY,
                "Dagster in process",
                1.0,
            ),
            Figure("a step of 1,000", marginal, "ms", early, "a step of the first 100", 1.3),
            Figure("a step of a fan of 1,000", 1000 * fan / MANY, "ms", marginal, "of a chain"),
        ),
        "Stored, hashed, with manifest, lineage and ledger; Kedro records nothing.",
    )


def _seconds(program: str, *arguments: object, python: str | None = None) -> Callable[[], float]:
    def seconds() -> float:
        report = report_of(program, *arguments, **({"python": python} if python else {}))
        return float(report["seconds"])

    return seconds
