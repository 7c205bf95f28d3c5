"""Steps as processing jobs of SageMaker, whatever becomes of the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from tests.servers.projects import Project
from tests.servers.sagemaker import SageMakerServer

STACK = """
stacks:
  aws-staging:
    orchestrator:
      type: sagemaker
      role_arn: ${SAGEMAKER_ROLE}
      poll_seconds: 0.1
      environment:
        SAGEMAKER_ROLE: ${SAGEMAKER_ROLE}
        AWS_ENDPOINT_URL: ${AWS_ENDPOINT_URL}
        AWS_ENDPOINT_URL_S3: ${AWS_ENDPOINT_URL_S3}
        GATE: ${GATE:-}
    artifact_store: { type: s3, bucket: BUCKET }
    model_registry: { type: sagemaker_model_registry }
"""

PIPELINE = """
import os
import time
from pathlib import Path

from flowyml import Model, Pipeline, step

@step
def load() -> list[float]:
    return [1.0, 2.0]

@step
def train(load: list[float]) -> Model:
    while os.environ.get("GATE") and not Path(os.environ["GATE"]).exists():
        time.sleep(0.05)
    return Model(sum(load), name="sum", version="1", serving_config={"image": "adder"})

pipeline = Pipeline("small").add_step(load).add_step(train)
"""

pytestmark = pytest.mark.timeout(600)  # every step is a process that imports everything


@pytest.fixture
def running(
    project: Project, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A run in a process that a test may end, and the file that its step `train` waits for."""
    (project.folder / "pipeline.py").write_text(PIPELINE)
    (project.folder / "flowyml.yaml").write_text(STACK.replace("BUCKET", bucket))
    gate = project.folder / "gate"
    monkeypatch.setenv("GATE", str(gate))
    with project.running() as process:
        yield process, gate


def jobs(sagemaker: SageMakerServer) -> list[tuple[str, str]]:
    """Tell which steps had a job, and how it ended."""
    return [(job["step"], job["status"]) for job in sagemaker.jobs()]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_is_gone_on_with(
    project: Project,
    sagemaker: SageMakerServer,
    running: tuple[subprocess.Popen[bytes], Path],
    sign: signal.Signals,
) -> None:
    """Killed, its job is taken over; interrupted, the job is stopped and another one follows."""
    process, gate = running
    project.wait_for(process, lambda: ("train", "InProgress") in jobs(sagemaker))
    os.kill(process.pid, sign)
    process.wait()
    gate.touch()
    (run,) = project.rows("runs", "list")
    project.flowyml("resume", run["run_id"])

    stopped = [("train", "Stopped")] if sign is signal.SIGINT else []
    assert jobs(sagemaker) == [("load", "Completed"), *stopped, ("train", "Completed")]
    client = boto3.client("sagemaker", endpoint_url=sagemaker.url)
    packages = client.list_model_packages(ModelPackageType="Versioned")
    assert len(packages["ModelPackageSummaryList"]) == 1
    (run,) = project.rows("runs", "list")
    assert run["status"] == "done"
