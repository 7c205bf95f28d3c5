"""The orchestrator ``vertex_ai`` by itself: what it asks Vertex AI for, and what it refuses."""

from __future__ import annotations

import uuid

import grpc
import pytest
from tests.servers.processes import ServerProcess
from tests.servers.vertex import VertexServer
from tests.servers.vertex_state import Fault

from flowyml.errors import ConfigurationError, DeliveryError
from flowyml.plugins import ArtifactStore
from flowyml.plugins.errands import Errand
from flowyml_gcp.orchestrator import VertexAIOrchestrator
from flowyml_gcp.storage import GCSArtifactStore


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
