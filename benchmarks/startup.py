"""Start-up: what a command costs before it does anything."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.figures import Figure, Section, medians
from benchmarks.processes import ROOT, cost_of

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

COLD_TIMES = 3

NOTE = """\
Whole processes, every plugin installed with its SDK. Warm is from start to end when the command has
just run before; cold is the same after the system has forgotten the files of the interpreter, of
everything that is installed and of FlowyML, as after a start of the machine; a first start finds no
compiled modules, as after an installation."""

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
    return Section("Start-up", (modules, *figures, *_first_ones(bare, folder)), NOTE)


def _first_ones(bare: list[str], folder: Path) -> Iterator[Figure]:
    """Compare the starts that find nothing prepared with those that follow them."""
    commands = {
        "a bare interpreter": bare,
        **{what: words for what, (words, _) in COMMANDS.items()},
    }
    for number, (what, command) in enumerate(commands.items()):
        rounds = [_starts(command, folder, f"{number}-{time}") for time in range(COLD_TIMES)]
        warm, cold, first = (statistics.median(times) for times in zip(*rounds, strict=True))
        if hasattr(os, "posix_fadvise"):
            yield Figure(f"{what}, cold", 1000 * cold, "ms", 1000 * warm, "warm")
        yield Figure(f"{what}, first start", 1000 * first, "ms", 1000 * warm, "warm")


def _starts(command: list[str], folder: Path, name: str) -> tuple[float, float, float]:
    """Return the seconds of a warm start, of a cold one and of one without compiled modules."""
    cost_of(command, folder)
    warm = cost_of(command, folder)
    _forget()
    cold = cost_of(command, folder)
    first = cost_of(command, folder, PYTHONPYCACHEPREFIX=str(folder / f"compiled-{name}"))
    return warm.wall, cold.wall, first.wall


def _forget() -> None:
    """Have the system forget what it keeps in memory of the files that a start reads."""
    if not hasattr(os, "posix_fadvise"):
        return
    for top in {sys.prefix, sys.base_prefix, str(ROOT)}:
        for parent, _, names in os.walk(top):
            for name in names:
                path = Path(parent, name)
                with suppress(OSError):  # it may be somebody else's, or gone
                    if path.is_file():
                        with path.open("rb") as file:
                            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _cpu(command: list[str], folder: Path) -> Callable[[], float]:
    return lambda: cost_of(command, folder).cpu
