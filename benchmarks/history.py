"""History: commands and a run on top of a metadata store with a million artifacts."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, Section, medians
from benchmarks.processes import PROGRAMS, cost_of

__all__ = ["measure"]

ARTIFACTS = 1_000_000
RUNS = 100_000
BUDGET = 0.3
"""Seconds that a list or lineage command may take on the reference machine."""

FLOWYML = str(Path(sysconfig.get_path("scripts")) / "flowyml")

COMMANDS = (
    ("runs", "list"),
    ("runs", "show", "run-050000"),
    ("artifact", "list"),
    ("artifact", "list", "--name", "model"),
    ("artifact", "show", "run-050000/model"),
    ("artifact", "lineage", "run-050000/model"),
)

RUN = ("run", "pipeline.py")

PIPELINE = """\
from flowyml import Pipeline, step

@step(outputs=["answer"])
def work() -> dict:
    return {"answer": 42}

pipeline = Pipeline("bench").add_step(work)
"""

SWEEP = ("artifact", "gc", "--dry-run")
"""It looks at every artifact, so it takes as long as there are artifacts."""


def measure(folder: Path) -> Section:
    """Compare each command on a long history with the same command on a short one."""
    none, small, large = folder / "none", folder / "small", folder / "large"
    for place, runs, artifacts in (
        (none, 1, 1),
        (small, 50_001, 500_010),
        (large, RUNS, ARTIFACTS),
    ):
        place.mkdir()
        (place / "pipeline.py").write_text(PIPELINE)
        program = [sys.executable, str(PROGRAMS / "fill_history.py"), str(runs), str(artifacts)]
        cost_of(program, place)
    figures = []
    for words in COMMANDS:
        command = [FLOWYML, *words]
        on_small, on_large = medians([_cpu(command, small), _cpu(command, large)], times=3)
        what = f"flowyml {' '.join(words)}"
        figures.append(Figure(what, on_large, "s CPU", BUDGET, "the budget", 1.0))
        figures.append(Figure(what, on_large, "s CPU", on_small, "half the history", 1.5))
    run = [FLOWYML, *RUN]
    on_none, on_large = medians([_cpu(run, none), _cpu(run, large)])
    what = f"flowyml {' '.join(RUN)}"
    figures.append(Figure(what, on_large, "s CPU", on_none, "after one run", 1.3))
    swept = cost_of([FLOWYML, *SWEEP], large)
    figures.append(Figure(f"flowyml {' '.join(SWEEP)}", swept.cpu, "s CPU"))
    figures.append(Figure(f"flowyml {' '.join(SWEEP)}, memory", swept.peak, "MiB"))
    file = large / ".flowyml" / "metadata.db"
    size = Figure("metadata on disk per artifact", file.stat().st_size / ARTIFACTS, "bytes")
    return Section(
        "History",
        (*figures, size),
        f"{RUNS:,} runs, {ARTIFACTS:,} artifacts, with the steps, deliveries, manifests and lineage"
        " of true ones; processor time of whole commands.",
    )


def _cpu(command: list[str], folder: Path) -> Callable[[], float]:
    return lambda: cost_of(command, folder).cpu
