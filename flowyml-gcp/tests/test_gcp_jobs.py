"""Steps as custom jobs of Vertex AI, whatever becomes of the process that started them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.projects import Project, wait_for
from tests.servers.vertex import VertexServer

STACK = """
stacks:
  gcp-prod:
    orchestrator:
      type: vertex_ai
      project: ${GCP_PROJECT}
      poll_seconds: 0.1
      environment:
        GATE: ${GATE:-}
        FLOWYML_VERTEX_ENDPOINT_URL: ${FLOWYML_VERTEX_ENDPOINT_URL}
        STORAGE_EMULATOR_HOST: ${STORAGE_EMULATOR_HOST}
    artifact_store: { type: gcs, bucket: BUCKET }
    model_registry: { type: vertex_model_registry }
    model_deployer: { type: vertex_endpoint }
    artifact_routing:
      Model: { register: true, deploy: true, deploy_condition: on_approval }
"""

PIPELINE = """
import os
import time
from pathlib import Path

from flowyml import Model, Pipeline, step

@step
def load() -> list[float]:
    TROUBLE
    return [1.0, 2.0]

@step
def train(load: list[float]) -> Model:
    while os.environ.get("GATE") and not Path(os.environ["GATE"]).exists():
        time.sleep(0.05)
    return Model(sum(load), name="sum", version="1", serving_config={"image": "adder"})

pipeline = Pipeline("small").add_step(load).add_step(train)
"""

pytestmark = pytest.mark.timeout(600)  # every step is a process that imports everything


@pytest.fixture(autouse=True)
def _files(project: Project, bucket: str) -> None:
    """Write the stack and the pipeline."""
    (project.folder / "pipeline.py").write_text(PIPELINE.replace("TROUBLE", "pass"))
    (project.folder / "flowyml.yaml").write_text(STACK.replace("BUCKET", bucket))


@pytest.fixture
def running(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A run in a process that a test may kill, and the file that its step `train` waits for."""
    gate = project.folder / "gate"
    monkeypatch.setenv("GATE", str(gate))
    with project.running() as process:
        yield process, gate


def jobs(vertex: VertexServer) -> list[tuple[str, str]]:
    """Tell which steps had a job, and how it ended."""
    return [
        (job.resource.labels["flowyml-step"], job.resource.state.name.removeprefix("JOB_STATE_"))
        for job in list(vertex.state.jobs.values())  # the server's threads add to them
    ]


def state_of(vertex: VertexServer, step: str) -> str:
    """Tell how the job of a step stands; nothing where it has none."""
    return dict(jobs(vertex)).get(step, "")


@pytest.mark.parametrize("finished", [False, True], ids=["while it runs", "after it ended"])
def test_a_killed_run_takes_its_jobs_over(
    project: Project,
    vertex: VertexServer,
    running: tuple[subprocess.Popen[bytes], Path],
    *,
    finished: bool,
) -> None:
    """Killed and resumed, each step has had one job, and each backend has one of each."""
    process, gate = running
    project.wait_for(process, lambda: state_of(vertex, "train") == "RUNNING")
    process.kill()
    process.wait()
    gate.touch()
    if finished:
        container = list(vertex.state.jobs.values())[-1].container
        wait_for(lambda: container.code == 0)
    (run,) = project.rows("runs", "list")
    project.flowyml("resume", run["run_id"])

    assert jobs(vertex) == [("load", "SUCCEEDED"), ("train", "SUCCEEDED")]
    assert [len(versions) for versions in vertex.state.models.values()] == [1]
    (run,) = project.rows("runs", "list")
    assert run["status"] == "done"
    assert len(project.rows("model", "history", "sum")) == 2


def test_an_interrupted_run_cancels_its_jobs(
    project: Project, vertex: VertexServer, running: tuple[subprocess.Popen[bytes], Path]
) -> None:
    """Ctrl-C leaves no machine running; resumed, the step gets a new job."""
    process, gate = running
    project.wait_for(process, lambda: state_of(vertex, "train") == "RUNNING")
    process.send_signal(signal.SIGINT)
    process.wait()
    assert state_of(vertex, "train") == "CANCELLING"
    gate.touch()
    (run,) = project.rows("runs", "list")
    project.flowyml("resume", run["run_id"])

    assert [state for step, state in jobs(vertex) if step == "train"] == ["CANCELLED", "SUCCEEDED"]


def test_what_a_job_dies_of_is_told(project: Project, vertex: VertexServer) -> None:
    """A traceback where the step raised; the service's reason and its log where it left nothing."""
    path = project.folder / "pipeline.py"
    path.write_text(PIPELINE.replace("TROUBLE", "raise KeyError('gone')"))
    assert "raised KeyError: 'gone'" in project.flowyml("run", "pipeline.py", code=1)
    path.write_text(PIPELINE.replace("TROUBLE", "os._exit(9)"))
    (run,) = project.rows("runs", "list")
    said = " ".join(project.flowyml("resume", run["run_id"], code=1).split())

    assert "exited with a non-zero status of 9" in said
    assert "https://console.cloud.google.com/logs/query" in said
    assert jobs(vertex) == [("load", "SUCCEEDED"), ("load", "FAILED")]


def test_a_variable_that_the_jobs_lack_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything runs, with the line to add."""
    path = project.folder / "flowyml.yaml"
    path.write_text(path.read_text().replace("bucket: b-", "bucket: ${BUCKET:-b}-"))
    monkeypatch.setenv("BUCKET", "b")
    said = " ".join(project.flowyml("run", "pipeline.py", code=2).split())
    assert "environment: { BUCKET: ${BUCKET} }" in said
