"""Servers that stand for AWS, and components that are pointed at them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import boto3
import pytest
from botocore.loaders import create_loader
from tests.servers.aws import BUCKET, ROLE
from tests.servers.moto import start_moto
from tests.servers.processes import ServerProcess
from tests.servers.projects import Project
from tests.servers.s3 import CREDENTIALS, start_seaweedfs
from tests.servers.sagemaker import SageMakerServer, start_sagemaker

from flowyml_aws.deployer import SageMakerEndpoint
from flowyml_aws.registry import SageMakerModelRegistry
from flowyml_aws.sessions import Account
from flowyml_aws.storage import S3ArtifactStore


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let in by the servers of the tests, and by nobody else."""
    for name, value in {
        **CREDENTIALS,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _one_loader() -> Iterator[None]:
    """Read the descriptions of AWS's services once, not again for each client: it takes 0.2 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(create_loader))
        yield


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call again at once what failed; botocore's own pauses are random seconds."""
    backoff = "botocore.retries.standard.ExponentialBackoff.delay_amount"
    monkeypatch.setattr(backoff, lambda *_: 0.01)


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real S3 server with credentials, and a bucket in it."""
    server = start_seaweedfs(tmp_path_factory.mktemp("seaweedfs"))
    _make_bucket(server.url)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Moto's S3, and a bucket in it."""
    server = start_moto(tmp_path_factory.mktemp("moto"))
    _make_bucket(server.url)
    yield server
    server.kill()


def _make_bucket(url: str) -> None:
    boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket=BUCKET)


@pytest.fixture(scope="session")
def _sagemaker(
    tmp_path_factory: pytest.TempPathFactory, seaweedfs: ServerProcess
) -> Iterator[SageMakerServer]:
    server = start_sagemaker(tmp_path_factory.mktemp("sagemaker"), s3=seaweedfs.url)
    yield server
    server.process.kill()


@pytest.fixture
def sagemaker(_sagemaker: SageMakerServer) -> SageMakerServer:
    """A SageMaker that knows nothing yet."""
    _sagemaker.reset()
    return _sagemaker


@pytest.fixture
def store(seaweedfs: ServerProcess) -> S3ArtifactStore:
    """An empty store in SeaweedFS."""
    return S3ArtifactStore(BUCKET, prefix=uuid.uuid4().hex, endpoint_url=seaweedfs.url)


@pytest.fixture
def bucket(seaweedfs: ServerProcess) -> str:
    """Make a bucket that nothing else is in."""
    name = f"b-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=seaweedfs.url).create_bucket(Bucket=name)
    return name


@pytest.fixture
def project(
    tmp_path: Path,
    seaweedfs: ServerProcess,
    sagemaker: SageMakerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    """A project whose AWS is on this machine, by nothing but the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", sagemaker.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.url)
    monkeypatch.setenv("SAGEMAKER_ROLE", ROLE)
    for name in ("FLOWYML_STACK", "FLOWYML_CONFIG", "GATE"):
        monkeypatch.delenv(name, raising=False)
    sagemaker.steer(polls=0)
    return Project(tmp_path)


@pytest.fixture
def registry(sagemaker: SageMakerServer, store: S3ArtifactStore) -> SageMakerModelRegistry:
    """The registry beside the store."""
    return SageMakerModelRegistry(endpoint_url=sagemaker.url).beside([store])


@pytest.fixture
def deployer(sagemaker: SageMakerServer, store: S3ArtifactStore) -> SageMakerEndpoint:
    """The deployer beside the store, looking often."""
    component = SageMakerEndpoint(ROLE, endpoint_url=sagemaker.url, poll_seconds=0.01)
    return component.beside([store])


@pytest.fixture
def account(sagemaker: SageMakerServer) -> Account:
    """The account at the server of SageMaker."""
    return Account(endpoint_url=sagemaker.url)


@pytest.fixture
def here() -> Path:
    """The folder of these tests."""
    return Path(__file__).parent
