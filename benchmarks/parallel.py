"""Independent steps at the same time: waiting, computing in NumPy, computing in Python."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import Figure, Section
from benchmarks.processes import report_of

__all__ = ["measure"]

WORK = {"wait": "thread", "numpy": "thread", "python": "process"}
"""What the steps do, and the executor that fits it."""

STEPS = 8

ONE_EACH = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""NumPy gives each product all processors; steps at the same time would fight over them."""

NOTE = "The machine's processors bound it. NumPy computes in one thread a step, on both sides."


def measure(folder: Path) -> Section:
    """Compare eight independent steps with the same steps one after the other."""
    del folder
    figures = []
    for work, executor in WORK.items():
        together, alone = (_seconds(work, executor, workers) for workers in (STEPS, 1))
        what = f"{STEPS} steps that {work}, executor: {executor}"
        figures.append(Figure(what, together, "s", alone, "one after the other"))
    return Section("Steps at the same time", tuple(figures), NOTE)


def _seconds(work: str, executor: str, workers: int) -> float:
    report = report_of("flowyml_parallel.py", work, executor, STEPS, workers, variables=ONE_EACH)
    return float(report["seconds"])
