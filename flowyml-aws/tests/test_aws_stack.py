"""The stack ``aws-staging`` of the product document, from the command line to an answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.servers.aws import ROLE
from tests.servers.processes import ServerProcess
from tests.servers.sagemaker import SageMakerServer

STACK = """
stacks:
  aws-staging:
    artifact_store: { type: s3, bucket: BUCKET }
    model_registry: { type: sagemaker_model_registry }
    model_deployer: { type: sagemaker_endpoint, role_arn: ${SAGEMAKER_ROLE} }

    artifact_routing:
      Model: { store: s3, register: true, deploy: true, deploy_condition: CONDITION }
      Dataset: { store: s3 }
"""

PIPELINE = """
import pandas as pd
from sklearn.linear_model import LinearRegression

from flowyml import Pipeline, step
from flowyml.core import Dataset, Metrics, Model

@step(outputs=["training_data"])
def load_data() -> Dataset:
    frame = pd.DataFrame({"amount": [0.0, 1.0, 2.0], "risk": [0.0, 2.0, 4.0]})
    return Dataset(data=frame, name="training_features")

@step(inputs=["training_data"], outputs=["model"])
def train(training_data: Dataset) -> Model:
    frame = training_data.data
    fitted = LinearRegression().fit(frame[["amount"]], frame["risk"])
    metrics = {"accuracy": fitted.score(frame[["amount"]], frame["risk"])}
    return Model(fitted, name="fraud_detector", version="1.0.0", metadata={"metrics": metrics})

@step(inputs=["model", "training_data"], outputs=["metrics"])
def evaluate(model: Model, training_data: Dataset) -> Metrics:
    return Metrics({"rows": training_data.rows})

pipeline = Pipeline("production")
pipeline.add_step(load_data)
pipeline.add_step(train)
pipeline.add_step(evaluate)

if __name__ == "__main__":
    pipeline.run()
"""

AUTO = "auto, deploy_min_metrics: { accuracy: 0.9 }"


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
    for name in ("FLOWYML_STACK", "FLOWYML_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "flowyml.yaml").write_text(STACK.replace("BUCKET", bucket))
    sagemaker.steer(polls=0)
    return tmp_path


def configure(project: Path, condition: str) -> None:
    """Say when models are deployed."""
    path = project / "flowyml.yaml"
    path.write_text(path.read_text().replace("CONDITION", condition))


def flowyml(project: Path, *words: str) -> str:
    """Run a command; its output."""
    command = [str(Path(sys.executable).parent / "flowyml"), *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(project: Path, *words: str) -> list[dict[str, Any]]:
    """Run a command that lists; its objects."""
    found: list[dict[str, Any]] = json.loads(flowyml(project, *words, "-o", "json"))
    return found


def made(url: str) -> list[int]:
    """Count package groups, packages, models, configurations and endpoints."""
    client = boto3.client("sagemaker", endpoint_url=url)
    return [
        len(client.list_model_package_groups()["ModelPackageGroupSummaryList"]),
        len(client.list_model_packages(ModelPackageType="Versioned")["ModelPackageSummaryList"]),
        len(client.list_models()["Models"]),
        len(client.list_endpoint_configs()["EndpointConfigs"]),
        len(client.list_endpoints()["Endpoints"]),
    ]


def test_from_a_run_to_an_answer(project: Path, sagemaker: SageMakerServer) -> None:
    """Run, approve, predict, undeploy: one of each, and nothing left at the end."""
    configure(project, "on_approval")
    flowyml(project, "run", "pipeline.py")
    assert made(sagemaker.url) == [1, 1, 0, 0, 0]

    approve = ("model", "approve", "fraud_detector", "--version", "1.0.0", "--comment", "good")
    flowyml(project, *approve)
    assert made(sagemaker.url) == [1, 1, 1, 1, 1]
    (model,) = rows(project, "model", "list")
    assert (model["version"], model["approval"]) == ("1.0.0", "approved")

    flowyml(project, "model", "undeploy", "fraud_detector")
    assert made(sagemaker.url) == [1, 1, 0, 0, 0]


def test_the_endpoint_answers(project: Path, sagemaker: SageMakerServer) -> None:
    """What was trained in the run is what answers, by column."""
    configure(project, AUTO)
    flowyml(project, "run", "pipeline.py")
    script = (
        "from flowyml.stacks.active import current_stack\n"
        "print(current_stack().hooks.predict('model_deployer', 'fraud_detector', [[3.0], [4.0]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout) == pytest.approx([6.0, 8.0]), done.stderr


@pytest.fixture
def running(project: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process that a test may kill."""
    configure(project, AUTO)
    process = subprocess.Popen(
        [sys.executable, "pipeline.py"], cwd=project, stdout=subprocess.DEVNULL
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "operation",
    [
        "CreateModelPackageGroup",
        "CreateModelPackage",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
    ],
)
def test_a_killed_run_is_gone_on_with(
    project: Path, sagemaker: SageMakerServer, request: pytest.FixtureRequest, operation: str
) -> None:
    """Killed between any two calls and resumed, it ends with exactly one of each."""
    sagemaker.steer(hold=operation)
    process: subprocess.Popen[bytes] = request.getfixturevalue("running")
    deadline = time.monotonic() + 200
    while not sagemaker.holds():
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    sagemaker.steer(hold=None)
    (run,) = rows(project, "runs", "list")
    flowyml(project, "resume", run["run_id"])

    assert made(sagemaker.url) == [1, 1, 1, 1, 1]
    (run,) = rows(project, "runs", "list")
    assert run["status"] == "done"
