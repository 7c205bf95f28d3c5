"""The components of AWS do what every component of their role has to do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

import boto3
import pytest
from tests.servers.aws import BUCKET, ROLE, a_model, a_registration, stored
from tests.servers.processes import ServerProcess
from tests.servers.s3 import S3Objects
from tests.servers.sagemaker import SageMakerServer

from flowyml.records import ModelVersion, StoredArtifact
from flowyml.testing import (
    Deliveries,
    DeployerContract,
    OrchestratorContract,
    RegistryContract,
    StoreBackend,
    StoreContract,
)
from flowyml_aws.deployer import SageMakerEndpoint
from flowyml_aws.orchestrator import SageMakerOrchestrator
from flowyml_aws.registry import SageMakerModelRegistry
from flowyml_aws.sessions import Account
from flowyml_aws.storage import S3ArtifactStore


class TestStore(StoreContract):
    rounds = 2

    @pytest.fixture
    def prefix(self) -> str:
        """Give a prefix that nothing else uses."""
        return uuid.uuid4().hex

    @pytest.fixture
    def new_store(self, seaweedfs: ServerProcess, prefix: str) -> Callable[[], S3ArtifactStore]:
        return lambda: S3ArtifactStore(BUCKET, prefix=prefix, endpoint_url=seaweedfs.url)

    @pytest.fixture
    def backend(self, seaweedfs: ServerProcess, prefix: str) -> StoreBackend:
        return S3Objects(boto3.client("s3", endpoint_url=seaweedfs.url), BUCKET, prefix)


class TestRegistry(RegistryContract):
    registry = "sagemaker_model_registry"

    @pytest.fixture
    def new_registry(
        self, sagemaker: SageMakerServer, store: S3ArtifactStore
    ) -> Callable[[], SageMakerModelRegistry]:
        return lambda: SageMakerModelRegistry(endpoint_url=sagemaker.url).beside([store])

    @pytest.fixture
    def new_stored(self, store: S3ArtifactStore) -> Callable[[str], StoredArtifact]:
        def make(word: str) -> StoredArtifact:
            slope = float(sum(word.encode("utf-8", "replace")))
            return stored(store, a_model(slope), f"models/{slope}")

        return make


class TestDeployer(DeployerContract):
    @pytest.fixture(autouse=True)
    def _role(self, account: Account) -> None:
        """Let SageMaker take on the role that the endpoints are served under."""
        trust = '{"Statement": {"Principal": {"Service": "sagemaker.amazonaws.com"}}}'
        account.client("iam").create_role(RoleName="serving", AssumeRolePolicyDocument=trust)

    @pytest.fixture
    def new_deployer(
        self, sagemaker: SageMakerServer, store: S3ArtifactStore
    ) -> Callable[[], SageMakerEndpoint]:
        return lambda: SageMakerEndpoint(
            ROLE, endpoint_url=sagemaker.url, poll_seconds=0.01
        ).beside([store])

    @pytest.fixture
    def new_model(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore, deliveries: Deliveries
    ) -> Callable[[str, float], ModelVersion]:
        def make(version: str, answer: float) -> ModelVersion:
            model = a_model(0.0, version=version)
            model.data.intercept_ = answer  # every row has the same answer
            registration = a_registration(store, model, f"models/{version}")
            return registry.register_model(registration, deliveries.context())

        return make


class TestOrchestrator(OrchestratorContract):
    settings = (
        "{ type: sagemaker, role_arn: ${SAGEMAKER_ROLE}, poll_seconds: 0.1, "
        "environment: { AWS_ENDPOINT_URL_S3: ${AWS_ENDPOINT_URL_S3} } }"
    )

    @pytest.fixture(autouse=True)
    def _role(self, account: Account) -> None:
        trust = '{"Statement": {"Principal": {"Service": "sagemaker.amazonaws.com"}}}'
        account.client("iam").create_role(RoleName="serving", AssumeRolePolicyDocument=trust)

    @pytest.fixture
    def stack_components(
        self, monkeypatch: pytest.MonkeyPatch, seaweedfs: ServerProcess, sagemaker: SageMakerServer
    ) -> Mapping[str, str]:
        monkeypatch.setenv("AWS_ENDPOINT_URL", sagemaker.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.url)
        monkeypatch.setenv("SAGEMAKER_ROLE", ROLE)
        prefix = uuid.uuid4().hex
        return {"artifact_store": f"{{ type: s3, bucket: {BUCKET}, prefix: {prefix} }}"}

    @pytest.fixture
    def new_orchestrator(
        self, sagemaker: SageMakerServer, store: S3ArtifactStore
    ) -> Callable[[], SageMakerOrchestrator]:
        return lambda: SageMakerOrchestrator(role_arn=ROLE, endpoint_url=sagemaker.url).beside(
            [store]
        )
