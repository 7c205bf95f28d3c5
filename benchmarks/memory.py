"""Memory: what storing and loading something very large needs beyond the value itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, Section
from benchmarks.processes import ROOT, report_of

__all__ = ["measure"]

PROGRAM: Final = ROOT / "tests" / "storage" / "memory_of_values.py"
"""The tests hold smaller values to the same bound, in every run."""

MIB: Final = 2048

MOST: Final = 64
"""MiB that may be needed beyond the value, however large that is."""

KINDS: Final = ("array", "frame", "folder")

NOTE: Final = (
    "Each in a process of its own, by a run that stores the value in the local store and by "
    "`flowyml.load`. Counted is the memory of the process at its peak without what is mapped from "
    "files, less what it had before; a loaded frame is itself that large, which is taken off."
)


def measure(folder: Path) -> Section:
    """Store and load one value of each kind."""
    figures = [figure for kind in KINDS for figure in _figures(kind, folder / kind)]
    return Section("Memory", tuple(figures), NOTE)


def _figures(kind: str, folder: Path) -> Iterator[Figure]:
    folder.mkdir()
    report = report_of(str(PROGRAM), kind, MIB, folder=folder)
    value = MIB if kind == "frame" else 0  # the others stay on the disk until they are used
    what = f"local: {kind} of {MIB // 1024} GiB, memory above the value"
    stored, loaded = max(0, report["stored"]), max(0, report["loaded"] - value)
    yield Figure(f"{what}, store", stored, "MiB", MOST, "the budget", 1.0)
    yield Figure(f"{what}, load", loaded, "MiB", MOST, "the budget", 1.0)
