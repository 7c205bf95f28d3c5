"""Trackers: what a stack pays for one that it names, and only for that one."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, Section, medians
from benchmarks.processes import cost_of

__all__ = ["TRACKERS", "is_installed", "measure"]

TRACKERS = {
    "tensorboard": "{ type: tensorboard, log_dir: logs }",
    "mlflow": '{ type: mlflow, tracking_uri: "sqlite:///mlflow.db" }',
    "wandb": "{ type: wandb, mode: offline }",
}
"""Each as a stack without a server names it."""

PIPELINE = """\
from flowyml import Metrics, Pipeline, step

@step(outputs=["scores"])
def work() -> Metrics:
    return Metrics({"loss": 0.5})

pipeline = Pipeline("bench").add_step(work)
"""

FLOWYML = str(Path(sysconfig.get_path("scripts")) / "flowyml")

ROUNDS = 3

NOTE = """\
`flowyml run` of one step that returns metrics, a whole process each time, with a tracker that needs
no server. Nothing is measured of a tracker that the stack does not name: it is not imported."""


def measure(folder: Path) -> Section:
    """Compare runs with a tracker with one without, and imports with a bare interpreter."""
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "flowyml.yaml").write_text(_configuration())
    installed = [name for name in TRACKERS if is_installed(name)]
    commands = [[sys.executable, "-c", "pass"], [FLOWYML, "run", "pipeline.py", "--stack", "none"]]
    commands += [[sys.executable, "-c", f"import {name}"] for name in installed]
    commands += [[FLOWYML, "run", "pipeline.py", "--stack", name] for name in installed]
    bare, alone, *times = medians([_cpu(command, folder) for command in commands], ROUNDS)
    imports, runs = times[: len(installed)], times[len(installed) :]
    figures = [Figure("flowyml run without a tracker", alone, "s CPU", bare, "a bare interpreter")]
    for name, imported, tracked in zip(installed, imports, runs, strict=True):
        figures += [
            Figure(f"import {name}", imported, "s CPU", bare, "a bare interpreter"),
            Figure(f"flowyml run with {name}", tracked, "s CPU", alone, "without a tracker"),
        ]
    missing = tuple(f"{name} is not installed" for name in TRACKERS if name not in installed)
    return Section("Trackers", tuple(figures), NOTE, failures=missing)


def is_installed(name: str) -> bool:
    """Whether there is a package; a folder of that name, where a tracker wrote, is none."""
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None


def _configuration() -> str:
    stacks = ["stacks:", "  none: { artifact_store: { type: local } }"]
    for name, fields in TRACKERS.items():
        store = "artifact_store: { type: local }"
        stacks.append(f"  {name}: {{ {store}, experiment_tracker: {fields} }}")
    return "\n".join([*stacks, "active_stack: none", ""])


def _cpu(command: list[str], folder: Path) -> Callable[[], float]:
    return lambda: cost_of(command, folder).cpu
