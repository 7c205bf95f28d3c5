"""The stack ``aws-staging`` of the product document, with jobs and a tracker, end to end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.mlflow import start_mlflow
from tests.servers.processes import ServerProcess
from tests.servers.projects import STEPS, Project, check_tracked
from tests.servers.sagemaker import SageMakerServer

from flowyml_tracking.mlflow_client import connect

STACK = """
stacks:
  aws-staging:
    orchestrator:
      type: sagemaker
      region: us-east-1
      poll_seconds: 0.1
      requirements: [scikit-learn, pandas]
      environment:
        MLFLOW_URI: ${MLFLOW_URI}
        MLFLOW_HTTP_REQUEST_TIMEOUT: "120"
        SAGEMAKER_ROLE: ${SAGEMAKER_ROLE}
        AWS_ENDPOINT_URL: ${AWS_ENDPOINT_URL}
        AWS_ENDPOINT_URL_S3: ${AWS_ENDPOINT_URL_S3}
    artifact_store: { type: s3, bucket: BUCKET }
    model_registry: { type: sagemaker_model_registry }
    model_deployer: { type: sagemaker_endpoint, role_arn: ${SAGEMAKER_ROLE} }
    experiment_tracker: { type: mlflow, tracking_uri: ${MLFLOW_URI} }

    artifact_routing:
      Model: { store: s3, register: true, deploy: true, deploy_condition: on_approval }
      Dataset: { store: s3 }
      Metrics: { log_to_tracker: true }
      Parameters: { log_to_tracker: true }
"""


@pytest.fixture
def mlflow(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerProcess]:
    """A real MLflow server."""
    server = start_mlflow(tmp_path_factory.mktemp("mlflow"))
    monkeypatch.setenv("MLFLOW_URI", server.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")  # this machine may have much to do
    yield server
    server.kill()


@pytest.mark.timeout(900)  # every step is a process that imports everything
def test_from_a_run_to_an_answer(
    project: Project, bucket: str, sagemaker: SageMakerServer, mlflow: ServerProcess
) -> None:
    """Each step runs as a job; what it returned is tracked, registered, approved, and answers."""
    project.write_pipeline()
    (project.folder / "flowyml.yaml").write_text(STACK.replace("BUCKET", bucket))
    project.flowyml("run", "pipeline.py")

    jobs = sagemaker.jobs()
    assert [(job["step"], job["status"]) for job in jobs] == [(s, "Completed") for s in STEPS]
    packages = "flowyml-aws==3.0.0 flowyml-tracking==3.0.0 flowyml==3.0.0 scikit-learn pandas"
    assert packages in jobs[0]["installed"]
    run = project.latest_run()
    assert {step["status"] for step in run["steps"]} == {"done"}
    assert "console.aws.amazon.com/sagemaker/" in run["steps"][0]["note"]
    assert {artifact["uri"].partition(":")[0] for artifact in run["artifacts"]} == {"s3"}
    done = [each for each in run["deliveries"] if each["status"] == "done"]
    assert {each["attempts"] for each in done} == {1}  # by the jobs, not afterwards
    check_tracked(connect(mlflow.url), run)

    approve = ("model", "approve", "fraud_detector", "--version", "1.0.0", "--comment", "good")
    project.flowyml(*approve)
    assert project.predictions("fraud_detector", [[3.0]]) == pytest.approx([6.0])
    history = project.rows("model", "history", "fraud_detector")
    assert [event["kind"] for event in history] == [
        "deployed",
        "approved",
        "requested",
        "registered",
    ]
