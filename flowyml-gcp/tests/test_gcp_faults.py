"""The store in Cloud Storage over bad lines, and its writers killed."""

from __future__ import annotations

import uuid

import pytest
from tests.servers.gcs import GCSObjects, gcs_refusal
from tests.servers.processes import ServerProcess
from tests.storage.bucket_backends import BucketBackend
from tests.storage.bucket_faults import BucketChecksums, BucketFaults
from tests.storage.bucket_kills import BucketKills, BucketResumes
from tests.storage.bucket_traffic import BucketTraffic


class OnCloudStorage:
    @pytest.fixture
    def backend(self, gcs: ServerProcess) -> BucketBackend:
        """Return the store below a prefix that nothing else uses."""
        fields = {"bucket": "models", "prefix": uuid.uuid4().hex, "project": "test"}
        return BucketBackend(
            "flowyml_gcp.storage:GCSArtifactStore",
            gcs.url,
            settings=lambda url: {**fields, "endpoint_url": url},
            door=GCSObjects(gcs.url, fields["bucket"], fields["prefix"]),
            busy={
                "503": gcs_refusal("503 Service Unavailable", "backendError"),
                "429": gcs_refusal("429 Too Many Requests", "rateLimitExceeded"),
            },
            denied=gcs_refusal("403 Forbidden", "forbidden"),
            parts=["flowyml_gcp.buckets:PART_SIZE"],
            pauses={"flowyml_gcp.buckets:FIRST_PAUSE": 0.01, "flowyml_gcp.buckets:PATIENCE": 2.0},
        )


class TestFaults(OnCloudStorage, BucketFaults):
    pass


class TestChecksums(OnCloudStorage, BucketChecksums):
    pass


class TestKills(OnCloudStorage, BucketKills):
    pass


class TestResumes(OnCloudStorage, BucketResumes):
    pass


class TestTraffic(OnCloudStorage, BucketTraffic):
    pass
