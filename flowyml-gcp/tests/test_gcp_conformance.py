"""The components of Google Cloud do what every component of their role has to do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping

import pytest
from tests.servers.gcs import GCSObjects
from tests.servers.processes import ServerProcess
from tests.servers.vertex import VertexServer

from flowyml.records import ModelVersion, Registration, StoredArtifact
from flowyml.testing import (
    Deliveries,
    DeployerContract,
    OrchestratorContract,
    RegistryContract,
    StoreBackend,
    StoreContract,
)
from flowyml_gcp.deployer import VertexEndpoint
from flowyml_gcp.orchestrator import VertexAIOrchestrator
from flowyml_gcp.registry import VertexModelRegistry
from flowyml_gcp.storage import GCSArtifactStore

Registrations = Callable[..., Registration]


class TestStore(StoreContract):
    rounds = 2

    @pytest.fixture
    def prefix(self) -> str:
        """Give a prefix that nothing else uses."""
        return uuid.uuid4().hex

    @pytest.fixture
    def new_store(
        self, gcs: ServerProcess, prefix: str
    ) -> Iterator[Callable[[], GCSArtifactStore]]:
        made: list[GCSArtifactStore] = []

        def make() -> GCSArtifactStore:
            store = GCSArtifactStore(
                bucket="models", prefix=prefix, project="test", endpoint_url=gcs.url
            )
            made.append(store)
            return store

        yield make
        for store in made:
            if "objects" in vars(store):
                store.objects.client.close()

    @pytest.fixture
    def backend(self, gcs: ServerProcess, prefix: str) -> StoreBackend:
        return GCSObjects(gcs.url, "models", prefix)


class TestRegistry(RegistryContract):
    registry = "vertex_model_registry"

    @pytest.fixture
    def new_registry(self, vertex: VertexServer) -> Callable[[], VertexModelRegistry]:
        return lambda: VertexModelRegistry(
            project="test-project", endpoint_url=vertex.url, deadline=20
        )

    @pytest.fixture
    def new_stored(self, registration: Registrations) -> Callable[[str], StoredArtifact]:
        return lambda word: registration(answer=float(sum(word.encode("utf-8", "replace")))).stored


class TestDeployer(DeployerContract):
    @pytest.fixture
    def new_deployer(self, vertex: VertexServer) -> Callable[[], VertexEndpoint]:
        return lambda: VertexEndpoint(project="test-project", endpoint_url=vertex.url, deadline=20)

    @pytest.fixture
    def new_model(
        self, registry: VertexModelRegistry, registration: Registrations, deliveries: Deliveries
    ) -> Callable[[str, float], ModelVersion]:
        return lambda version, answer: registry.register_model(
            registration(version, answer=answer), deliveries.context()
        )


class TestOrchestrator(OrchestratorContract):
    settings = (
        "{ type: vertex_ai, project: test-project, poll_seconds: 0.1, "
        "environment: { STORAGE_EMULATOR_HOST: ${STORAGE_EMULATOR_HOST} } }"
    )

    @pytest.fixture
    def stack_components(
        self, monkeypatch: pytest.MonkeyPatch, gcs: ServerProcess, vertex: VertexServer
    ) -> Mapping[str, str]:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
        monkeypatch.setenv("FLOWYML_VERTEX_ENDPOINT_URL", vertex.url)
        prefix = uuid.uuid4().hex
        return {"artifact_store": f"{{ type: gcs, bucket: models, prefix: {prefix} }}"}

    @pytest.fixture
    def new_orchestrator(
        self, gcs: ServerProcess, vertex: VertexServer
    ) -> Callable[[], VertexAIOrchestrator]:
        store = GCSArtifactStore("models", prefix=uuid.uuid4().hex, endpoint_url=gcs.url)
        return lambda: VertexAIOrchestrator(project="test-project", endpoint_url=vertex.url).beside(
            [store]
        )
