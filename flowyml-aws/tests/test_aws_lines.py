"""The store in S3 over bad lines, and its writers killed."""

from __future__ import annotations

import uuid

import boto3
import pytest
from tests.servers.aws import BUCKET
from tests.servers.processes import ServerProcess
from tests.servers.proxy import REFUSALS, refusal
from tests.servers.s3 import S3Objects
from tests.storage.bucket_backends import BucketBackend
from tests.storage.bucket_faults import BucketChecksums, BucketFaults
from tests.storage.bucket_kills import BucketKills, BucketResumes
from tests.storage.bucket_traffic import BucketTraffic

THROTTLED = "<Error><Code>TooManyRequestsException</Code><Message>no</Message></Error>"


def backend_at(url: str, *, part: int) -> BucketBackend:
    """Return the store below a prefix that nothing else uses."""
    prefix = uuid.uuid4().hex
    return BucketBackend(
        "flowyml_aws.storage:S3ArtifactStore",
        url,
        settings=lambda url: {"bucket": BUCKET, "prefix": prefix, "endpoint_url": url},
        door=S3Objects(boto3.client("s3", endpoint_url=url), BUCKET, prefix),
        busy={
            "503": REFUSALS["slow_down"],
            "429": refusal("429 Too Many Requests", THROTTLED, Content_Type="application/xml"),
        },
        denied=REFUSALS["deny"],
        parts=["flowyml_aws.parts:PART_SIZE", "flowyml_aws.buckets:AT_ONCE"],
        pauses={},  # they are short in all tests of this package
        part=part,
    )


class OnMoto:
    @pytest.fixture
    def backend(self, moto: ServerProcess) -> BucketBackend:
        """Return the store on a server that takes short parts."""
        return backend_at(moto.url, part=2**20)


class TestFaults(OnMoto, BucketFaults):
    pass


class TestKills(OnMoto, BucketKills):
    pass


class OnSeaweedFS:
    @pytest.fixture
    def backend(self, seaweedfs: ServerProcess) -> BucketBackend:
        """Return the store on a server that compares checksums, and knows when uploads began."""
        return backend_at(seaweedfs.url, part=5 * 2**20)  # it takes no shorter ones


class TestChecksums(OnSeaweedFS, BucketChecksums):
    pass


class TestResumes(OnSeaweedFS, BucketResumes):
    pass


class TestTraffic(OnSeaweedFS, BucketTraffic):
    pass
