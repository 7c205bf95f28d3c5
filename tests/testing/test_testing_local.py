"""The built-in components do what every component of their role has to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowyml.records import ModelVersion
from flowyml.testing import (
    DeployerContract,
    FolderBackend,
    OrchestratorContract,
    RegistryContract,
    StoreBackend,
    StoreContract,
)
from flowyml.testing.deployers import folder_models
from flowyml.testing.orchestrators import FLOW, RunFlow
from flowyml_local.deployer import LocalModelDeployer
from flowyml_local.orchestrator import LocalOrchestrator
from flowyml_local.registry import LocalModelRegistry
from flowyml_local.storage import LocalArtifactStore


class TestLocalStore(StoreContract):
    @pytest.fixture
    def new_store(self, tmp_path: Path) -> Callable[[], LocalArtifactStore]:
        return lambda: LocalArtifactStore(path=tmp_path / "store")

    @pytest.fixture
    def backend(self, tmp_path: Path) -> StoreBackend:
        return FolderBackend(tmp_path / "store")


class TestLocalRegistry(RegistryContract):
    registry = "local"

    @pytest.fixture
    def new_registry(self, tmp_path: Path) -> Callable[[], LocalModelRegistry]:
        return lambda: LocalModelRegistry(path=tmp_path / "registry")


class TestLocalDeployer(DeployerContract):
    @pytest.fixture
    def new_deployer(self, tmp_path: Path) -> Callable[[], LocalModelDeployer]:
        return lambda: LocalModelDeployer(path=tmp_path / "endpoints")

    @pytest.fixture
    def new_model(self, tmp_path: Path) -> Callable[[str, float], ModelVersion]:
        return folder_models(tmp_path / "artifacts")


class TestThreads(OrchestratorContract):
    settings = "{ type: local, max_workers: 3 }"

    @pytest.fixture
    def new_orchestrator(self) -> Callable[[], LocalOrchestrator]:
        return lambda: LocalOrchestrator(max_workers=3)

    @pytest.fixture
    def stack_components(self, tmp_path: Path) -> Mapping[str, str]:
        return {"artifact_store": f"{{ type: local, path: {tmp_path / 'elsewhere'} }}"}

    def test_runs_have_the_other_components(self, run_flow: RunFlow, tmp_path: Path) -> None:
        """What a step returns goes to the store that the suite was given."""
        result = run_flow(FLOW)
        uris = [artifact.uri for artifact in result.artifacts]
        assert uris
        assert all(uri.startswith((tmp_path / "elsewhere").as_uri()) for uri in uris)


class TestProcesses(OrchestratorContract):
    settings = "{ type: local, executor: process }"

    @pytest.fixture
    def new_orchestrator(self) -> Callable[[], LocalOrchestrator]:
        return lambda: LocalOrchestrator(executor="process")
