"""Independent steps at the same time: waiting, computing in NumPy, computing in Python."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import Figure, Section
from benchmarks.processes import report_of

__all__ = ["measure"]

WORK = {"wait": "thread", "numpy": "thread", "python": "process"}
"""What the steps do, and the executor that fits it."""

STEPS = 8


def measure(folder: Path) -> Section:
    """Compare eight independent steps with the same steps one after the other."""
    del folder
    figures = []
    for work, executor in WORK.items():
        together = report_of("flowyml_parallel.py", work, executor, STEPS, STEPS)["seconds"]
        alone = report_of("flowyml_parallel.py", work, executor, STEPS, 1)["seconds"]
        what = f"{STEPS} steps that {work}, executor: {executor}"
        figures.append(Figure(what, together, "s", alone, "one after the other"))
    return Section("Steps at the same time", tuple(figures), "The machine's processors bound it.")
