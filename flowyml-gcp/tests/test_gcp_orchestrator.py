"""Steps as custom jobs of Vertex AI: the stack ``gcp-prod`` of the product document, end to end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.servers.gcs import make_gcs_bucket
from tests.servers.mlflow import start_mlflow
from tests.servers.processes import ServerProcess, on_a_leash
from tests.servers.vertex import VertexServer
from tests.servers.vertex_state import Fault

from flowyml.errors import ConfigurationError, DeliveryError
from flowyml.plugins import ArtifactStore
from flowyml.plugins.errands import Errand
from flowyml_gcp.orchestrator import VertexAIOrchestrator
from flowyml_gcp.storage import GCSArtifactStore
from flowyml_tracking.mlflow_client import connect

STACK = """
stacks:
  gcp-prod:
    orchestrator:
      type: vertex_ai
      project: ${GCP_PROJECT}
      poll_seconds: 0.1
      requirements: [scikit-learn, pandas]
      environment:
        GATE: ${GATE:-}
        FLOWYML_VERTEX_ENDPOINT_URL: ${FLOWYML_VERTEX_ENDPOINT_URL}
        STORAGE_EMULATOR_HOST: ${STORAGE_EMULATOR_HOST}
    artifact_store: { type: gcs, bucket: BUCKET }
    model_registry: { type: vertex_model_registry }
    model_deployer: { type: vertex_endpoint }

    artifact_routing:
      Model:
        store: gcs
        register: true
        deploy: true
        deploy_condition: on_approval
        endpoint_name: production-model
      Dataset:
        store: gcs
        path: "{run_id}/datasets/{step_name}"

active_stack: gcp-prod
"""

TRACKER = """\
    experiment_tracker: { type: mlflow, tracking_uri: ${MLFLOW_URI} }

    artifact_routing:
"""

LOGGED = """\
      Metrics:
        log_to_tracker: true
      Parameters:
        log_to_tracker: true
"""

PIPELINE = """
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

PASSED = (
    "FLOWYML_VERTEX_ENDPOINT_URL",
    "GATE",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_CLOUD_PROJECT",
    "STORAGE_EMULATOR_HOST",
)
"""What the stack says of the environment, and where it is, is all that the jobs get of it."""

SMALL = """
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

SCALING = """
def scaled(values, factor):
    return values * factor
"""

Command = Callable[..., str]

pytestmark = pytest.mark.timeout(600)  # every step is a process that imports everything


@pytest.fixture
def project(
    tmp_path: Path, gcs: ServerProcess, vertex: VertexServer, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project whose Google Cloud is on this machine, by nothing but the environment."""
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    make_gcs_bucket(gcs.url, bucket)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    monkeypatch.setenv("FLOWYML_VERTEX_ENDPOINT_URL", vertex.url)
    monkeypatch.setenv("GCP_PROJECT", "test-project")
    for name in ("FLOWYML_STACK", "FLOWYML_CONFIG", "GATE", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pipeline.py").write_text(SMALL.replace("TROUBLE", "pass"))
    (tmp_path / "flowyml.yaml").write_text(STACK.replace("BUCKET", bucket))
    return tmp_path


@pytest.fixture
def flowyml(project: Path) -> Command:
    """Run a command; its output."""

    def run(*words: str, code: int = 0) -> str:
        program = str(Path(sys.executable).parent / "flowyml")
        done = subprocess.run(
            [program, *words], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def rows(project: Path, *words: str) -> list[dict[str, Any]]:
    """Run a command that lists; its objects."""
    program = str(Path(sys.executable).parent / "flowyml")
    done = subprocess.run(
        [program, *words, "-o", "json"], cwd=project, capture_output=True, text=True, check=False
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def jobs(vertex: VertexServer) -> list[tuple[str, str]]:
    """Tell which steps had a job, and how it ended."""
    return [
        (job.resource.labels["flowyml-step"], job.resource.state.name.removeprefix("JOB_STATE_"))
        for job in list(vertex.state.jobs.values())  # the server's threads add to them
    ]


def predictions(project: Path) -> list[float]:
    """Ask the endpoint."""
    script = (
        "from flowyml.stacks.active import current_stack\n"
        "answer = current_stack().hooks.predict('model_deployer', 'production-model', [[3.0]])\n"
        "print(list(answer))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads(done.stdout)
    return found


@pytest.fixture
def mlflow(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerProcess]:
    """A real MLflow server, which the project's stack tracks to."""
    server = start_mlflow(tmp_path_factory.mktemp("mlflow"))
    monkeypatch.setenv("MLFLOW_URI", server.url)
    path = project / "flowyml.yaml"
    stack = path.read_text().replace("    artifact_routing:\n", TRACKER)
    stack = stack.replace("        GATE:", "        MLFLOW_URI: ${MLFLOW_URI}\n        GATE:")
    path.write_text(stack.replace("\nactive_stack", LOGGED + "\nactive_stack"))
    (project / "pipeline.py").write_text(PIPELINE)
    (project / "scaling.py").write_text(SCALING)
    yield server
    server.kill()


def test_from_a_run_to_an_answer(
    project: Path, flowyml: Command, vertex: VertexServer, mlflow: ServerProcess
) -> None:
    """Each step runs as a job; what it returned is tracked, registered, approved, and answers."""
    flowyml("run", "pipeline.py")

    steps = ["choose", "load_5fdata", "train", "evaluate"]
    assert jobs(vertex) == [(step, "SUCCEEDED") for step in steps]
    (run,) = rows(project, "runs", "show", rows(project, "runs", "list")[0]["run_id"])
    assert {step["status"] for step in run["steps"]} == {"done"}
    assert "https://console.cloud.google.com/vertex-ai/" in run["steps"][0]["note"]
    assert {artifact["uri"].partition(":")[0] for artifact in run["artifacts"]} == {"gs"}
    assert len(vertex.state.models) == 1
    done = [each for each in run["deliveries"] if each["status"] == "done"]
    assert {each["attempts"] for each in done} == {1}  # by the jobs, not afterwards
    job = next(iter(vertex.state.jobs.values()))
    packages = "flowyml-gcp==3.0.0 flowyml-tracking==3.0.0 flowyml==3.0.0 scikit-learn pandas"
    assert packages in job.container.installed
    assert job.container.environment.keys() == {*PASSED, "MLFLOW_URI"}
    check_tracked(mlflow.url, run)

    approve = ("model", "approve", "fraud_detector", "--version", "1.0.0", "--comment", "good")
    flowyml(*approve)
    assert len(vertex.state.endpoints) == 1
    assert predictions(project) == pytest.approx([6.0])
    history = rows(project, "model", "history", "fraud_detector")
    assert [event["kind"] for event in history] == [
        "deployed",
        "approved",
        "requested",
        "registered",
    ]


def check_tracked(url: str, run: dict[str, Any]) -> None:
    """See that MLflow shows one run, with metrics, parameters and links to what lies in GCS."""
    client = connect(url)
    (experiment,) = [one for one in client.search_experiments() if one.name == "production"]
    (shown,) = client.search_runs([experiment.experiment_id])
    assert shown.info.status == "FINISHED"
    assert shown.data.tags["flowyml.run_id"] == run["run_id"]
    assert shown.data.params == {"factor": "2.0"}
    assert shown.data.metrics == {"accuracy": pytest.approx(1.0)}
    model = next(each for each in run["artifacts"] if each["type"] == "Model")
    link = json.loads(shown.data.tags["flowyml.artifact.train.model"])
    assert (link["uri"], link["digest"]) == (model["uri"], model["digest"])


@pytest.fixture
def running(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A run in a process that a test may kill, and the file that its step `train` waits for."""
    gate = project / "gate"
    monkeypatch.setenv("GATE", str(gate))
    process = subprocess.Popen(
        on_a_leash([str(Path(sys.executable).parent / "flowyml"), "run", "pipeline.py"]),
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield process, gate
    process.kill()
    process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state_of(vertex: VertexServer, step: str) -> str:
    """Tell how the job of a step stands; nothing where it has none."""
    return dict(jobs(vertex)).get(step, "")


@pytest.mark.parametrize("finished", [False, True], ids=["while it runs", "after it ended"])
def test_a_killed_run_takes_its_jobs_over(
    project: Path,
    flowyml: Command,
    vertex: VertexServer,
    running: tuple[subprocess.Popen[bytes], Path],
    *,
    finished: bool,
) -> None:
    """Killed and resumed, each step has had one job, and each backend has one of each."""
    process, gate = running
    wait_for(lambda: state_of(vertex, "train") == "RUNNING")
    process.kill()
    process.wait()
    gate.touch()
    if finished:
        container = list(vertex.state.jobs.values())[-1].container
        wait_for(lambda: container.code == 0)
    (run,) = rows(project, "runs", "list")
    flowyml("resume", run["run_id"])

    assert jobs(vertex) == [("load", "SUCCEEDED"), ("train", "SUCCEEDED")]
    assert [len(versions) for versions in vertex.state.models.values()] == [1]
    (run,) = rows(project, "runs", "list")
    assert run["status"] == "done"
    assert len(rows(project, "model", "history", "sum")) == 2


def test_an_interrupted_run_cancels_its_jobs(
    project: Path,
    flowyml: Command,
    vertex: VertexServer,
    running: tuple[subprocess.Popen[bytes], Path],
) -> None:
    """Ctrl-C leaves no machine running; resumed, the step gets a new job."""
    process, gate = running
    wait_for(lambda: state_of(vertex, "train") == "RUNNING")
    process.send_signal(signal.SIGINT)
    process.wait()
    assert state_of(vertex, "train") == "CANCELLING"
    gate.touch()
    (run,) = rows(project, "runs", "list")
    flowyml("resume", run["run_id"])

    assert [state for step, state in jobs(vertex) if step == "train"] == ["CANCELLED", "SUCCEEDED"]


def test_what_a_job_dies_of_is_told(project: Path, flowyml: Command, vertex: VertexServer) -> None:
    """A traceback where the step raised; the service's reason and its log where it left nothing."""
    path = project / "pipeline.py"
    path.write_text(SMALL.replace("TROUBLE", "raise KeyError('gone')"))
    assert "raised KeyError: 'gone'" in flowyml("run", "pipeline.py", code=1)
    path.write_text(SMALL.replace("TROUBLE", "os._exit(9)"))
    (run,) = rows(project, "runs", "list")
    said = " ".join(flowyml("resume", run["run_id"], code=1).split())

    assert "exited with a non-zero status of 9" in said
    assert "https://console.cloud.google.com/logs/query" in said
    assert jobs(vertex) == [("load", "SUCCEEDED"), ("load", "FAILED")]


@pytest.fixture
def orchestrator(vertex: VertexServer, gcs: ServerProcess) -> VertexAIOrchestrator:
    """The orchestrator beside a store, without a run."""
    store = GCSArtifactStore("models", prefix=uuid.uuid4().hex, endpoint_url=gcs.url)
    made = VertexAIOrchestrator(project="test-project", endpoint_url=vertex.url, image="mine")
    return made.beside([store])


def test_a_job_says_what_was_configured(vertex: VertexServer, gcs: ServerProcess) -> None:
    """Machine, accelerator, account, network, price."""
    store = GCSArtifactStore("models", endpoint_url=gcs.url)
    orchestrator = VertexAIOrchestrator(
        project="test-project",
        endpoint_url=vertex.url,
        image="mine",
        machine_type="n1-highmem-8",
        accelerator_type="NVIDIA_TESLA_T4",
        service_account="steps@test-project.iam.gserviceaccount.com",
        spot=True,
        deadline=60,
        labels={"team": "fraud"},
    ).beside([store])
    job = orchestrator.start(Errand("run-1", "Train it"), b"")

    spec = vertex.state.jobs[job.name].resource.job_spec
    (pool,) = spec.worker_pool_specs
    assert pool.machine_spec.machine_type == "n1-highmem-8"
    assert (pool.machine_spec.accelerator_type.name, pool.machine_spec.accelerator_count) == (
        "NVIDIA_TESLA_T4",
        1,
    )
    assert pool.container_spec.image_uri == "mine"
    assert spec.service_account == "steps@test-project.iam.gserviceaccount.com"
    assert spec.scheduling.timeout.seconds == 60
    assert spec.scheduling.strategy.name == "SPOT"
    assert vertex.state.jobs[job.name].resource.labels["team"] == "fraud"


def test_jobs_are_found_by_run_and_step(orchestrator: VertexAIOrchestrator) -> None:
    """Every attempt at this step, and none at another."""
    first, second = Errand("run-1", "a"), Errand("run-1", "a", attempt=2)
    orchestrator.start(second, b"")
    orchestrator.start(first, b"")
    orchestrator.start(Errand("run-1", "b"), b"")
    assert [job.attempt for job in orchestrator.jobs(first)] == [1, 2]


def test_what_vertex_refuses_is_explained(
    orchestrator: VertexAIOrchestrator, vertex: VertexServer
) -> None:
    """In its own words, and whether it may pass."""
    denied = Fault("CreateCustomJob", grpc.StatusCode.PERMISSION_DENIED, "iam.actAs is missing")
    vertex.state.faults.append(denied)
    with pytest.raises(DeliveryError, match=r"starting the job.*iam\.actAs is missing") as caught:
        orchestrator.start(Errand("run-1", "a"), b"")
    assert not orchestrator.is_transient(caught.value)
    vertex.state.faults.append(Fault("ListCustomJobs"))
    with pytest.raises(DeliveryError) as caught:
        orchestrator.jobs(Errand("run-1", "a"))
    assert orchestrator.is_transient(caught.value)


def test_doctor_looks_at_bucket_and_service(
    orchestrator: VertexAIOrchestrator, vertex: VertexServer
) -> None:
    """And says what is wrong with which."""
    assert [check.ok for check in orchestrator.diagnose()] == [True, True]
    vertex.state.faults.append(Fault("ListCustomJobs", grpc.StatusCode.PERMISSION_DENIED, "no"))
    assert [check.ok for check in orchestrator.diagnose()] == [True, False]


def test_a_variable_that_the_jobs_lack_is_named(
    project: Path, flowyml: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything runs, with the line to add."""
    path = project / "flowyml.yaml"
    path.write_text(path.read_text().replace("bucket: b-", "bucket: ${BUCKET:-b}-"))
    monkeypatch.setenv("BUCKET", "b")
    said = " ".join(flowyml("run", "pipeline.py", code=2).split())
    assert "environment: { BUCKET: ${BUCKET} }" in said


class Local(ArtifactStore):
    """A store that only this machine reaches."""

    stays_here = True


def test_a_local_store_is_refused(vertex: VertexServer, gcs: ServerProcess) -> None:
    """A job would write to its own disk."""
    orchestrator = VertexAIOrchestrator(project="test-project", endpoint_url=vertex.url)
    beside = orchestrator.beside([Local()])
    with pytest.raises(ConfigurationError, match="the artifact_store is local"):
        beside.preflight()


def test_without_a_bucket_there_is_no_way(vertex: VertexServer) -> None:
    """Somebody has to say where errands go through."""
    orchestrator = VertexAIOrchestrator(project="test-project", endpoint_url=vertex.url)
    with pytest.raises(ConfigurationError, match="staging_bucket"):
        orchestrator.beside([]).preflight()


def test_the_staging_bucket_goes_before_the_store() -> None:
    """As the product document writes it, with a scheme."""
    orchestrator = VertexAIOrchestrator(project="p", staging_bucket="gs://my-staging-bucket/a")
    completed = orchestrator.beside([GCSArtifactStore("artifacts")])
    assert completed.staging.mounted("x") == "/gcs/my-staging-bucket/a/.staging/x"
