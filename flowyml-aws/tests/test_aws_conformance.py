"""The components of AWS do what every component of their role has to do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from attrs import frozen
from tests.servers.aws import BUCKET, ROLE, a_model, a_registration, stored
from tests.servers.processes import ServerProcess
from tests.servers.sagemaker import SageMakerServer

from flowyml.records import ModelVersion, StoredArtifact
from flowyml.testing import (
    Deliveries,
    DeployerContract,
    RegistryContract,
    StoreBackend,
    StoreContract,
)
from flowyml_aws.deployer import SageMakerEndpoint
from flowyml_aws.registry import SageMakerModelRegistry
from flowyml_aws.sessions import Account
from flowyml_aws.storage import S3ArtifactStore


@frozen
class Objects:
    """The objects below a prefix, by the vendor's own client."""

    client: Any
    prefix: str

    def names(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self.prefix}/"
        )
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return sorted(key.removeprefix(f"{self.prefix}/") for key in keys)

    def read(self, name: str) -> bytes:
        found = self.client.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")
        content: bytes = found["Body"].read()
        return content

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}", Body=content)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")


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
        return Objects(boto3.client("s3", endpoint_url=seaweedfs.url), prefix)


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
