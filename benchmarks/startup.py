"""Start-up: what a command costs before it does anything."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, Section, medians
from benchmarks.processes import cost_of

__all__ = ["measure"]

YAML = """\
stacks:
  local:
    artifact_store: { type: local }
  prod:
    artifact_store: { type: gcs, bucket: artifacts }
    experiment_tracker: { type: mlflow, tracking_uri: ${MLFLOW_URI} }
active_stack: local
"""

PIPELINE = """\
from flowyml import Pipeline, step

@step(outputs=["answer"])
def work() -> dict:
    return {"answer": 42}

pipeline = Pipeline("bench").add_step(work)
"""

FLOWYML = str(Path(sysconfig.get_path("scripts")) / "flowyml")

COMMANDS = {
    "import flowyml": ([sys.executable, "-c", "import flowyml"], 1.5),
    "flowyml --version": ([FLOWYML, "--version"], 1.5),
    "flowyml stack list": ([FLOWYML, "stack", "list"], None),
    "flowyml runs list": ([FLOWYML, "runs", "list"], None),
    "flowyml plan": ([FLOWYML, "plan", "pipeline.py"], None),
}
"""Each command, and how often the time of a bare interpreter it may take."""

BUDGETS = {"flowyml --version": 120, "flowyml stack list": 250}
"""Milliseconds of processor time that a command may take on the reference machine."""

MODULES = "import sys, flowyml; print(len(sys.modules))"

MOST_MODULES = 130


def measure(folder: Path) -> Section:
    """Compare each command with the start of a bare interpreter."""
    (folder / "flowyml.yaml").write_text(YAML)
    (folder / "pipeline.py").write_text(PIPELINE)
    subprocess.run([FLOWYML, "run", "pipeline.py"], cwd=folder, check=True, capture_output=True)
    bare = [sys.executable, "-c", "pass"]
    commands = [bare, *(command for command, _ in COMMANDS.values())]
    floor, *times = medians([_cpu(command, folder) for command in commands])
    figures = [
        Figure(what, 1000 * seconds, "ms CPU", 1000 * floor, "a bare interpreter", bound)
        for (what, (_, bound)), seconds in zip(COMMANDS.items(), times, strict=True)
    ]
    taken = dict(zip(COMMANDS, times, strict=True))
    figures += [
        Figure(what, 1000 * taken[what], "ms CPU", budget, "the budget", 1.0)
        for what, budget in BUDGETS.items()
    ]
    loaded = subprocess.run(
        [sys.executable, "-c", MODULES], check=True, capture_output=True, text=True
    )
    modules = Figure(
        "modules after import flowyml", int(loaded.stdout), "", MOST_MODULES, "the budget", 1.0
    )
    return Section("Start-up", (modules, *figures), "Whole processes, every plugin installed.")


def _cpu(command: list[str], folder: Path) -> Callable[[], float]:
    return lambda: cost_of(command, folder).cpu
