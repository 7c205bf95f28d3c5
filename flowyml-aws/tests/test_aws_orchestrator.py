"""The orchestrator ``sagemaker`` by itself: what it takes from the stack, and what it refuses."""

from __future__ import annotations

import pytest
from tests.servers.aws import ROLE

from flowyml.errors import ConfigurationError
from flowyml_aws.deployer import SageMakerEndpoint
from flowyml_aws.images import job_image
from flowyml_aws.orchestrator import SageMakerOrchestrator
from flowyml_aws.storage import S3ArtifactStore


def test_role_and_region_come_from_the_others() -> None:
    """The product document names neither of them twice."""
    store = S3ArtifactStore("artifacts", prefix="p", region="eu-west-1")
    completed = SageMakerOrchestrator().beside([store, SageMakerEndpoint(ROLE)])
    assert (completed.region, completed.run_as) == ("eu-west-1", ROLE)
    assert completed.staging.uri == "s3://artifacts/p"


def test_without_a_role_nothing_starts() -> None:
    """The message says where to name it."""
    alone = SageMakerOrchestrator().beside([S3ArtifactStore("artifacts")])
    with pytest.raises(ConfigurationError, match="role_arn"):
        alone.preflight()


def test_without_a_bucket_there_is_no_way() -> None:
    """Somebody has to say where errands go through."""
    alone = SageMakerOrchestrator(role_arn=ROLE).beside([])
    with pytest.raises(ConfigurationError, match="staging_bucket"):
        alone.preflight()


def test_a_bucket_of_its_own_goes_before_the_store() -> None:
    """With the store's encryption and account."""
    store = S3ArtifactStore("artifacts", kms_key_id="key")
    completed = SageMakerOrchestrator(staging_bucket="s3://staging/a").beside([store])
    assert completed.staging.uri == "s3://staging/a"
    assert completed.staging.writing["SSEKMSKeyId"] == "key"


def test_a_python_without_an_image_is_an_error() -> None:
    """It names what to say instead."""
    with pytest.raises(ConfigurationError, match=r"Python 3\.13"):
        job_image((3, 13), region="us-east-1")
