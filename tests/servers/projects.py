"""A project that runs on the servers of the tests, by the command line, as its user would.

Its pipeline has every kind of output: parameters, a data set, a model and metrics.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import frozen
from tests.servers.processes import on_a_leash

__all__ = ["STEPS", "Project", "check_tracked", "wait_for"]

PIPELINE: Final = """
import pandas as pd
from sklearn.linear_model import LinearRegression

from flowyml import Pipeline, context, step
from flowyml.core import Dataset, Metrics, Model, Parameters
from scaling import scaled

@step(outputs=["settings"])
def choose(factor: float) -> Parameters:
    return Parameters({"factor": factor})

@step(outputs=["training_data"])
def load_data(settings: Parameters) -> Dataset:
    frame = pd.DataFrame({"amount": [0.0, 1.0, 2.0], "risk": [0.0, 1.0, 2.0]})
    frame["risk"] = scaled(frame["risk"], settings["factor"])
    return Dataset(data=frame, name="training_features")

@step(inputs=["training_data"], outputs=["model"])
def train(training_data: Dataset) -> Model:
    frame = training_data.data
    fitted = LinearRegression().fit(frame[["amount"]].to_numpy(), frame["risk"])
    return Model(fitted, name="fraud_detector", version="1.0.0")

@step(inputs=["model", "training_data"], outputs=["metrics"])
def evaluate(model: Model, training_data: Dataset) -> Metrics:
    frame = training_data.data
    return Metrics({"accuracy": model.data.score(frame[["amount"]].to_numpy(), frame["risk"])})

pipeline = Pipeline("production", context=context(factor=2.0))
pipeline.add_step(choose)
pipeline.add_step(load_data)
pipeline.add_step(train)
pipeline.add_step(evaluate)
"""

SCALING: Final = """
def scaled(values, factor):
    return values * factor
"""

STEPS: Final = ("choose", "load_data", "train", "evaluate")

ASK: Final = """\
import json, sys
from flowyml.stacks.active import current_stack
answer = current_stack().hooks.predict("model_deployer", sys.argv[1], json.loads(sys.argv[2]))
print(json.dumps([float(one) for one in answer]))
"""

FLOWYML: Final = str(Path(sys.executable).parent / "flowyml")

PATIENCE: Final = 300.0
"""Seconds after which something never comes, also on a machine that does much else."""


@frozen
class Project:
    """A folder with a pipeline and a stack."""

    folder: Path

    def write_pipeline(self) -> None:
        """Write the pipeline that has every kind of output, and a module that it imports."""
        (self.folder / "pipeline.py").write_text(PIPELINE)
        (self.folder / "scaling.py").write_text(SCALING)

    def flowyml(self, *words: str, code: int = 0) -> str:
        """Run a command; its output."""
        done = self._run([FLOWYML, *words])
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a command that lists; its objects."""
        found: list[dict[str, Any]] = json.loads(self._run([FLOWYML, *words, "-o", "json"]).stdout)
        return found

    def latest_run(self) -> dict[str, Any]:
        """Return the newest run, with its steps, artifacts and deliveries."""
        (run,) = self.rows("runs", "show", self.rows("runs", "list")[0]["run_id"])
        return run

    def predictions(self, endpoint: str, instances: list[list[float]]) -> list[float]:
        """Ask an endpoint."""
        done = self._run([sys.executable, "-c", ASK, endpoint, json.dumps(instances)])
        assert done.returncode == 0, done.stderr
        found: list[float] = json.loads(done.stdout)
        return found

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the pipeline in a process that a test may end."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                on_a_leash([FLOWYML, "run", "pipeline.py"]),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def wait_for(self, process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
        """Wait until something is so; a run that ended before will never make it so."""
        wait_for(lambda: condition() or process.poll() is not None)
        assert process.poll() is None, f"the run ended:\n{self._log.read_text()}"

    @property
    def _log(self) -> Path:
        return self.folder / "run.log"

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_tracked(client: Any, run: dict[str, Any]) -> None:
    """See that MLflow shows one run, with metrics, parameters and links to what is stored."""
    (experiment,) = [one for one in client.search_experiments() if one.name == "production"]
    (shown,) = client.search_runs([experiment.experiment_id])
    assert shown.info.status == "FINISHED"
    assert shown.data.tags["flowyml.run_id"] == run["run_id"]
    assert shown.data.params == {"factor": "2.0"}
    assert shown.data.metrics == {"accuracy": pytest.approx(1.0)}
    model = next(each for each in run["artifacts"] if each["type"] == "Model")
    link = json.loads(shown.data.tags["flowyml.artifact.train.model"])
    assert (link["uri"], link["digest"]) == (model["uri"], model["digest"])
