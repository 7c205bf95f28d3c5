"""The stack ``gcp-prod`` of the product document, from the command line to an answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.mlflow import start_mlflow
from tests.servers.processes import ServerProcess
from tests.servers.projects import STEPS, Project, check_tracked
from tests.servers.vertex import VertexServer

from flowyml_gcp.names import label_value
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
        MLFLOW_URI: ${MLFLOW_URI}
        MLFLOW_HTTP_REQUEST_TIMEOUT: "120"
        FLOWYML_VERTEX_ENDPOINT_URL: ${FLOWYML_VERTEX_ENDPOINT_URL}
        STORAGE_EMULATOR_HOST: ${STORAGE_EMULATOR_HOST}
    artifact_store: { type: gcs, bucket: BUCKET }
    model_registry: { type: vertex_model_registry }
    model_deployer: { type: vertex_endpoint }
    experiment_tracker: { type: mlflow, tracking_uri: ${MLFLOW_URI} }

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
      Metrics:
        log_to_tracker: true
      Parameters:
        log_to_tracker: true

active_stack: gcp-prod
"""

PASSED = {
    "FLOWYML_VERTEX_ENDPOINT_URL",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_CLOUD_PROJECT",
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
    "MLFLOW_URI",
    "STORAGE_EMULATOR_HOST",
}
"""What the stack says of the environment, and where it is, is all that the jobs get of it."""


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
    project: Project, bucket: str, vertex: VertexServer, mlflow: ServerProcess
) -> None:
    """Each step runs as a job; what it returned is tracked, registered, approved, and answers."""
    project.write_pipeline()
    (project.folder / "flowyml.yaml").write_text(STACK.replace("BUCKET", bucket))
    project.flowyml("run", "pipeline.py")

    jobs = list(vertex.state.jobs.values())
    assert [job.resource.labels["flowyml-step"] for job in jobs] == [*map(label_value, STEPS)]
    assert {job.resource.state.name for job in jobs} == {"JOB_STATE_SUCCEEDED"}
    packages = "flowyml-gcp==3.0.0 flowyml-tracking==3.0.0 flowyml==3.0.0 scikit-learn pandas"
    assert packages in jobs[0].container.installed
    assert jobs[0].container.environment.keys() == PASSED
    run = project.latest_run()
    assert {step["status"] for step in run["steps"]} == {"done"}
    assert "https://console.cloud.google.com/vertex-ai/" in run["steps"][0]["note"]
    assert {artifact["uri"].partition(":")[0] for artifact in run["artifacts"]} == {"gs"}
    assert len(vertex.state.models) == 1
    done = [each for each in run["deliveries"] if each["status"] == "done"]
    assert {each["attempts"] for each in done} == {1}  # by the jobs, not afterwards
    check_tracked(connect(mlflow.url), run)

    approve = ("model", "approve", "fraud_detector", "--version", "1.0.0", "--comment", "good")
    project.flowyml(*approve)
    assert len(vertex.state.endpoints) == 1
    assert project.predictions("production-model", [[3.0]]) == pytest.approx([6.0])
    history = project.rows("model", "history", "fraud_detector")
    assert [event["kind"] for event in history] == [
        "deployed",
        "approved",
        "requested",
        "registered",
    ]
