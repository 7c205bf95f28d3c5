"""Steps as processing jobs of SageMaker: the stack ``aws-staging``, end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.servers.aws import ROLE
from tests.servers.processes import ServerProcess, on_a_leash
from tests.servers.sagemaker import SageMakerServer

from flowyml.errors import ConfigurationError
from flowyml_aws.deployer import SageMakerEndpoint
from flowyml_aws.images import job_image
from flowyml_aws.orchestrator import SageMakerOrchestrator
from flowyml_aws.storage import S3ArtifactStore

STACK = """
stacks:
  aws-staging:
    orchestrator:
      type: sagemaker
      region: us-east-1
      poll_seconds: 0.1
      requirements: [scikit-learn]
      environment:
        SAGEMAKER_ROLE: ${SAGEMAKER_ROLE}
        AWS_ENDPOINT_URL: ${AWS_ENDPOINT_URL}
        AWS_ENDPOINT_URL_S3: ${AWS_ENDPOINT_URL_S3}
        GATE: ${GATE:-}
    artifact_store: { type: s3, bucket: BUCKET }
    model_registry: { type: sagemaker_model_registry }
    model_deployer: { type: sagemaker_endpoint, role_arn: ${SAGEMAKER_ROLE} }

    artifact_routing:
      Model: { store: s3, register: true, deploy: true, deploy_condition: on_approval }
      Dataset: { store: s3 }
"""

PIPELINE = """
import os
import time
from pathlib import Path

from sklearn.linear_model import LinearRegression

from flowyml import Pipeline, step
from flowyml.core import Dataset, Metrics, Model

@step(outputs=["training_data"])
def load_data() -> Dataset:
    return Dataset(data={"amount": [0.0, 1.0, 2.0], "risk": [0.0, 2.0, 4.0]}, name="features")

@step(inputs=["training_data"], outputs=["model"])
def train(training_data: Dataset) -> Model:
    while os.environ.get("GATE") and not Path(os.environ["GATE"]).exists():
        time.sleep(0.05)
    rows = [[amount] for amount in training_data.data["amount"]]
    fitted = LinearRegression().fit(rows, training_data.data["risk"])
    return Model(fitted, name="fraud", version="1")

pipeline = Pipeline("production")
pipeline.add_step(load_data)
pipeline.add_step(train)
"""

pytestmark = pytest.mark.timeout(600)  # every step is a process that imports everything


@pytest.fixture
def project(
    tmp_path: Path,
    seaweedfs: ServerProcess,
    sagemaker: SageMakerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A project whose AWS is on this machine, by nothing but the environment."""
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=seaweedfs.url).create_bucket(Bucket=bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", sagemaker.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.url)
    monkeypatch.setenv("SAGEMAKER_ROLE", ROLE)
    for name in ("FLOWYML_STACK", "FLOWYML_CONFIG", "GATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "flowyml.yaml").write_text(STACK.replace("BUCKET", bucket))
    sagemaker.steer(polls=0)
    return tmp_path


def flowyml(project: Path, *words: str, code: int = 0) -> str:
    """Run a command; its output."""
    command = [str(Path(sys.executable).parent / "flowyml"), *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def rows(project: Path, *words: str) -> list[dict[str, Any]]:
    """Run a command that lists; its objects."""
    found: list[dict[str, Any]] = json.loads(flowyml(project, *words, "-o", "json"))
    return found


def jobs(sagemaker: SageMakerServer) -> list[tuple[str, str]]:
    """Tell which steps had a job, and how it ended."""
    return [(job["step"], job["status"]) for job in sagemaker.jobs()]


def test_from_a_run_to_an_answer(project: Path, sagemaker: SageMakerServer) -> None:
    """Each step runs as a job; what it stored is registered, approved, deployed, and answers."""
    flowyml(project, "run", "pipeline.py")

    assert jobs(sagemaker) == [("load_data", "Completed"), ("train", "Completed")]
    assert "flowyml-aws==3.0.0 flowyml==3.0.0 scikit-learn" in sagemaker.jobs()[0]["installed"]
    (run,) = rows(project, "runs", "show", rows(project, "runs", "list")[0]["run_id"])
    done = [each for each in run["deliveries"] if each["status"] == "done"]
    assert {each["attempts"] for each in done} == {1}  # by the jobs, not afterwards
    flowyml(project, "model", "approve", "fraud", "--version", "1", "--comment", "good")
    script = (
        "from flowyml.stacks.active import current_stack\n"
        "print(current_stack().hooks.predict('model_deployer', 'fraud', [[3.0]]))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=False
    )
    assert json.loads(asked.stdout) == pytest.approx([6.0]), asked.stderr


@pytest.fixture
def running(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A run in a process that a test may end, and the file that its step `train` waits for."""
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
        time.sleep(0.05)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_is_gone_on_with(
    project: Path,
    sagemaker: SageMakerServer,
    running: tuple[subprocess.Popen[bytes], Path],
    sign: signal.Signals,
) -> None:
    """Killed, its job is taken over; interrupted, the job is stopped and another one follows."""
    process, gate = running
    wait_for(lambda: ("train", "InProgress") in jobs(sagemaker))
    os.kill(process.pid, sign)
    process.wait()
    gate.touch()
    (run,) = rows(project, "runs", "list")
    flowyml(project, "resume", run["run_id"])

    stopped = [("train", "Stopped")] if sign is signal.SIGINT else []
    assert jobs(sagemaker) == [("load_data", "Completed"), *stopped, ("train", "Completed")]
    client = boto3.client("sagemaker", endpoint_url=sagemaker.url)
    packages = client.list_model_packages(ModelPackageType="Versioned")
    assert len(packages["ModelPackageSummaryList"]) == 1
    (run,) = rows(project, "runs", "list")
    assert run["status"] == "done"


def test_role_and_region_come_from_the_others() -> None:
    """The product document names neither of them twice."""
    store = S3ArtifactStore("artifacts", prefix="p", region="eu-west-1")
    completed = SageMakerOrchestrator().beside([store, SageMakerEndpoint(ROLE)])
    assert (completed.region, completed.run_as) == ("eu-west-1", ROLE)
    assert completed.staging.uri == "s3://artifacts/p"


def test_without_a_role_nothing_starts() -> None:
    """The message says where to name it."""
    alone = SageMakerOrchestrator().beside([S3ArtifactStore("artifacts")])
    with pytest.raises(ConfigurationError, match="role_arn"):
        alone.preflight()


def test_without_a_bucket_there_is_no_way() -> None:
    """Somebody has to say where errands go through."""
    alone = SageMakerOrchestrator(role_arn=ROLE).beside([])
    with pytest.raises(ConfigurationError, match="staging_bucket"):
        alone.preflight()


def test_a_bucket_of_its_own_goes_before_the_store() -> None:
    """With the store's encryption and account."""
    store = S3ArtifactStore("artifacts", kms_key_id="key")
    completed = SageMakerOrchestrator(staging_bucket="s3://staging/a").beside([store])
    assert completed.staging.uri == "s3://staging/a"
    assert completed.staging.writing["SSEKMSKeyId"] == "key"


def test_a_python_without_an_image_is_an_error() -> None:
    """It names what to say instead."""
    with pytest.raises(ConfigurationError, match=r"Python 3\.13"):
        job_image((3, 13), region="us-east-1")
