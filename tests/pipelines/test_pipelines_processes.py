"""Steps run in processes of their own, from nothing but their task."""

from __future__ import annotations

import json
import subprocess
import sys

import attrs
import pytest
from tests.pipelines.conftest import WriteFile

from flowyml import Pipeline, step
from flowyml.errors import PipelineError
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.result import RunResult
from flowyml.records import RunStatus, StepStatus, StepTask
from flowyml.stacks.active import current_project
from flowyml.stacks.project import Project

CONFIG = """
    stacks:
      apart:
        orchestrator: { type: local, executor: process, max_workers: 2 }
"""

FLOW = """
    import os
    from dataclasses import dataclass

    import flowyml
    from flowyml import Metrics, Model, Pipeline, context, step

    @dataclass
    class Row:
        number: int

    @step(outputs=["rows", "where"])
    def load(count: int) -> tuple[list[Row], int]:
        print("this is printed", flush=True)
        return [Row(number) for number in range(count)], os.getpid()

    @step
    def train(rows: list[Row]) -> Model:
        flowyml.store_artifact(rows[:1], name="first")
        return Model(sum(row.number for row in rows), name="sum", version="1")

    @step
    def apart(where: int) -> bool:
        return where != os.getpid()

    @step
    def evaluate(train: Model) -> Metrics:
        return {"sum": train.data}

    pipeline = Pipeline("apart", context=context(count=3))
    for each in (load, train, apart, evaluate):
        pipeline.add_step(each)
"""


def run(parameters: dict[str, object] | None = None, file: str = "flow.py") -> RunResult:
    """Run the pipeline of a file on the stack of the project."""
    return find_pipeline(file, current_project()).run(parameters=parameters)


@pytest.fixture(autouse=True)
def _apart(write_file: WriteFile) -> None:
    write_file("flowyml.yaml", CONFIG)
    write_file("flow.py", FLOW)


def test_every_step_has_a_process_of_its_own() -> None:
    """Values go from process to process through the store, classes of the file included."""
    result = run()

    result.raise_for_status()
    assert result.outputs["apart"] is True
    assert result.outputs["evaluate"]["sum"] == 3
    assert result.outputs["train.first"][0].number == 0
    assert {each.status for each in result.steps} == {StepStatus.DONE}


def test_parameters_reach_the_processes() -> None:
    """A value for one run is handed over as it was given."""
    assert run({"count": 5}).outputs["evaluate"]["sum"] == 10


def test_lineage_is_the_same_as_in_threads(metadata: MetadataStore) -> None:
    """Another process knows what its inputs were stored as."""
    result = run()

    ids = {artifact.output: artifact.artifact_id for artifact in result.artifacts}
    edges = {(edge.parent, edge.child) for edge in metadata.lineage(ids["evaluate"])}
    assert (ids["rows"], ids["train"]) in edges
    assert (ids["train"], ids["evaluate"]) in edges


def test_a_failure_comes_back_with_its_traceback(write_file: WriteFile) -> None:
    """What a step raises in its process is told as if it were in ours."""
    write_file("flow.py", FLOW.replace("return {", "raise KeyError('gone')\n        return {"))

    result = run()

    assert result.status is RunStatus.FAILED
    assert "step 'evaluate' raised KeyError: 'gone'" in str(result.error)
    assert "in evaluate" in str(result.error)


def test_a_process_that_dies_fails_its_step(write_file: WriteFile) -> None:
    """A step that was killed, by the system for its memory say, fails with what is known."""
    killed = "os.kill(os.getpid(), 9)\n        return {"
    write_file("flow.py", FLOW.replace("return {", killed))

    result = run()

    assert str(result.error).startswith("step 'evaluate': its process was ended by signal 9")
    assert {each.name: each.status for each in result.steps}["evaluate"] is StepStatus.FAILED


def test_a_timeout_ends_the_process(write_file: WriteFile) -> None:
    """A step that takes too long does not go on behind the run's back."""
    slow = FLOW.replace("@step\n    def evaluate", "@step(timeout=0.2)\n    def evaluate")
    slow = slow.replace(
        "return {", "import threading; threading.Event().wait(60)\n        return {"
    )
    write_file("flow.py", slow)

    result = run()

    assert "took longer than its timeout of 0.2 s" in str(result.error)
    assert "may still be running" not in str(result.error)


def test_a_pipeline_in_memory_cannot_run_apart(project: Project) -> None:
    """A pipeline that no other process could find is refused before anything runs."""

    @step
    def work() -> int:
        return 1

    with pytest.raises(PipelineError, match="lives only in memory"):
        Pipeline("memory").add_step(work).run()

    assert not project.metadata_path.exists()


@pytest.mark.parametrize(
    ("name", "own"),
    [("api_key", "'own'"), ("value", "flowyml.secret('own')")],
    ids=["named", "marked"],
)
def test_a_secret_parameter_cannot_be_handed_over(
    write_file: WriteFile, name: str, own: str
) -> None:
    """A secret given for one run is written down nowhere, so no process could know it."""
    flow = FLOW.replace("count: int", f"count: int, {name}: str")
    write_file("secret.py", flow.replace("context(", f"context({name}={own}, "))

    with pytest.raises(PipelineError, match=f"parameter '{name}' of this run cannot be handed"):
        run({"count": 1, name: "other"}, file="secret.py")


def test_the_worker_answers_on_standard_output_alone(metadata: MetadataStore) -> None:
    """What a step prints cannot get into the outcome."""
    result = run()
    task = StepTask(
        pipeline="flow.py:pipeline",
        step="load",
        run_id=result.run_id,
        stack="apart",
        config=str(current_project().config),
        project=str(current_project().folder),
    )

    answer = subprocess.run(
        [sys.executable, "-m", "flowyml.pipelines.worker"],
        input=json.dumps(attrs.asdict(task)),
        capture_output=True,
        text=True,
        check=True,
    )

    said = json.loads(answer.stdout)
    assert (said["step"], said["status"], said["error"]) == ("load", "done", None)
    assert "this is printed" in answer.stderr


def test_a_script_runs_its_steps_apart(project: Project, write_file: WriteFile) -> None:
    """Classes of ``__main__`` go to the processes and back; the script is run once."""
    text = (
        FLOW + "\n    result = pipeline.run()\n    print(result.status, result.outputs['rows'])\n"
    )
    write_file("flow.py", text)

    script = subprocess.run(
        [sys.executable, "flow.py"], cwd=project.folder, capture_output=True, text=True, check=True
    )

    assert script.stdout == "done [Row(number=0), Row(number=1), Row(number=2)]\n"
