"""The servers that these tests talk to, and what they hand over."""

from __future__ import annotations

import hashlib
import pickle
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sklearn.dummy import DummyRegressor
from tests.servers.gcs import make_gcs_bucket, put_gcs_object, start_gcs
from tests.servers.processes import ServerProcess
from tests.servers.projects import Project
from tests.servers.vertex import VertexServer, vertex_server

from flowyml.records import (
    DeliveryContext,
    Manifest,
    Producer,
    Registration,
    RunInfo,
    StoredArtifact,
    StoredFile,
)
from flowyml_gcp.deployer import VertexEndpoint
from flowyml_gcp.registry import VertexModelRegistry

RUN = RunInfo("run-1", "production", "gcp-prod", datetime(2026, 1, 1, tzinfo=UTC))

Registrations = Callable[..., Registration]


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Run the Cloud Storage emulator, with one bucket."""
    server = start_gcs(tmp_path_factory.mktemp("gcs"))
    make_gcs_bucket(server.url, "models")
    yield server
    server.kill()


@pytest.fixture
def vertex(gcs: ServerProcess) -> Iterator[VertexServer]:
    """Run an empty Vertex AI."""
    with vertex_server(gcs.url) as server:
        yield server


@pytest.fixture
def bucket(gcs: ServerProcess) -> str:
    """Make a bucket that nothing else is in."""
    name = f"b-{uuid.uuid4().hex[:12]}"
    make_gcs_bucket(gcs.url, name)
    return name


@pytest.fixture
def project(
    tmp_path: Path, gcs: ServerProcess, vertex: VertexServer, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A project whose Google Cloud is on this machine, by nothing but the environment."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    monkeypatch.setenv("FLOWYML_VERTEX_ENDPOINT_URL", vertex.url)
    monkeypatch.setenv("GCP_PROJECT", "test-project")
    for name in ("FLOWYML_STACK", "FLOWYML_CONFIG", "GATE", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return Project(tmp_path)


@pytest.fixture
def registry(vertex: VertexServer) -> VertexModelRegistry:
    """Return a registry that talks to it."""
    return VertexModelRegistry(project="test-project", endpoint_url=vertex.url, deadline=20)


@pytest.fixture
def deployer(vertex: VertexServer) -> VertexEndpoint:
    """Return a deployer that talks to it."""
    return VertexEndpoint(project="test-project", endpoint_url=vertex.url, deadline=20)


@pytest.fixture
def registration(gcs: ServerProcess) -> Registrations:
    """Return a function that puts a model into the bucket and asks to register it."""

    def make(
        version: str | None = "1.0.0", *, answer: float = 42.0, name: str = "fraud_detector"
    ) -> Registration:
        model = DummyRegressor(strategy="constant", constant=answer).fit([[0]], [answer])
        content = pickle.dumps(model)
        digest = hashlib.sha256(content).hexdigest()
        put_gcs_object(gcs.url, "models", f"{digest}/model.pkl", content)
        manifest = Manifest(
            type="Model",
            python_type="sklearn.dummy:DummyRegressor",
            artifact_class="flowyml.artifacts:Model",
            serializer="pickle",
            serializer_version=1,
            files=(StoredFile("model.pkl", len(content), digest),),
            name=name,
            version=version,
            created_at=RUN.started_at,
            producer=Producer("production", RUN.run_id, "train", "model"),
        )
        stored = StoredArtifact(f"gs://models/{digest}", "artifact_store", manifest)
        return Registration(
            name, version, stored, framework="sklearn", metadata={"metrics": {"accuracy": 0.97}}
        )

    return make


@pytest.fixture
def delivery() -> Callable[[str], DeliveryContext]:
    """Return a function that makes the context of a delivery from a word."""

    def make(word: str) -> DeliveryContext:
        key = hashlib.sha256(word.encode()).hexdigest()
        return DeliveryContext(key, RUN, Producer("production", RUN.run_id, "train", "model"))

    return make
