"""A step runs on a machine that has the project's code and its store, and nothing else of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import attrs
import pytest
from attrs import define, field
from tests.pipelines.conftest import WriteFile

from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.result import RunResult
from flowyml.plugins import Orchestrator, StepExecutor, discovery, hookimpl
from flowyml.records import RunInfo, RunStatus, StepOutcome, StepStatus, StepTask
from flowyml.stacks.project import Project

FLOW = """
    import flowyml
    from flowyml import Metrics, Model, Pipeline, context, step

    @step
    def load(count: int) -> list[int]:
        return list(range(count))

    @step
    def train(load: list[int]) -> dict[str, Model]:
        flowyml.store_artifact(len(load), name="count")
        return {"a": Model(sum(load), name="sum", version="1")}

    @step
    def evaluate(train: dict[str, Model]) -> Metrics:
        return {"sum": train["a"].data}

    pipeline = Pipeline("far", context=context(count=3)).add_step(load)
    pipeline.add_step(train).add_step(evaluate)
"""


@define
class Machines:
    """Gives every step a fresh folder with a copy of the code, as another machine would have."""

    folder: Path
    in_process: bool = field(default=False, init=False)
    shares_project: bool = field(default=False, init=False)

    def submit(
        self, work: Callable[[StepTask], StepOutcome], task: StepTask
    ) -> Future[StepOutcome]:
        """Run the worker there and wait for it."""
        machine = self.folder / task.step
        machine.mkdir(parents=True)
        for name in ("flow.py", "flowyml.yaml"):
            shutil.copy(Path(task.project, name), machine)
        there = attrs.evolve(task, project=str(machine), config=str(machine / "flowyml.yaml"))
        answer = subprocess.run(
            [sys.executable, "-m", "flowyml.pipelines.worker"],
            input=json.dumps(attrs.asdict(there)).encode(),
            stdout=subprocess.PIPE,
            cwd=machine,
            check=True,
        )
        said = json.loads(answer.stdout)
        future: Future[StepOutcome] = Future()
        future.set_result(StepOutcome(**{**said, "status": StepStatus(said["status"])}))
        return future

    def close(self) -> None:
        """Nothing is open."""


@define(slots=False)
class Elsewhere(Orchestrator):
    """Runs every step on a machine of its own."""

    @hookimpl
    def open_executor(self, run: RunInfo) -> StepExecutor:
        """Open the machines."""
        return Machines(Path.cwd() / "machines" / run.run_id)


@pytest.fixture(autouse=True)
def _elsewhere(
    project: Project, write_file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Install the orchestrator, and a stack with it whose store every machine reaches."""
    write_file("flow.py", FLOW)
    write_file(
        "flowyml.yaml",
        f"""
        stacks:
          far:
            orchestrator: {{ type: elsewhere }}
            artifact_store: {{ type: local, path: {project.folder / "bucket"} }}
            model_registry: {{ type: local, path: {project.folder / "models"} }}
        """,
    )
    facts = project.folder / "site" / "elsewhere-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        f"[flowyml.orchestrator]\nelsewhere = {__name__}:Elsewhere\n"
    )
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(facts.parent))
    monkeypatch.setenv("PYTHONPATH", f"{facts.parent}:{root}")
    discovery.installed.cache_clear()
    yield
    discovery.installed.cache_clear()


def run(project: Project) -> RunResult:
    """Run the pipeline on the machines."""
    return find_pipeline("flow.py", Project(project.folder, None)).run()


def test_values_go_from_machine_to_machine(project: Project, metadata: MetadataStore) -> None:
    """What is written down there comes back: artifacts, lineage, deliveries, statuses."""
    result = run(project)

    result.raise_for_status()
    assert result.outputs["evaluate"]["sum"] == 3
    assert result.outputs["train.count"] == 3
    assert {each.status for each in result.steps} == {StepStatus.DONE}
    registered = [each.reference for each in result.deliveries if each.hook == "register_model"]
    assert registered == ["sum@1"]
    ids = {artifact.output: artifact.artifact_id for artifact in result.artifacts}
    edges = {(edge.parent, edge.child) for edge in metadata.lineage(ids["evaluate"])}
    assert (ids["train.a"], ids["evaluate"]) in edges
    assert (ids["load"], ids["train.a"]) in edges


def test_a_failure_comes_back(project: Project, write_file: WriteFile) -> None:
    """The traceback of the other machine is what the run tells."""
    write_file(
        "flow.py", FLOW.replace('return {"sum"', "raise KeyError('gone')\n        return {\"sum\"")
    )

    result = run(project)

    assert result.status is RunStatus.FAILED
    assert "step 'evaluate' raised KeyError: 'gone'" in str(result.error)
    assert result.steps[2].status is StepStatus.FAILED
