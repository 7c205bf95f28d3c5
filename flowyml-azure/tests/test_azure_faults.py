"""The store in Azure Blob Storage over bad lines, and its writers killed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from azure.storage.blob import ContainerClient
from tests.servers.azurite import AzureBlobs, Azurite
from tests.servers.proxy import refusal
from tests.storage.bucket_backends import BucketBackend
from tests.storage.bucket_faults import BucketChecksums, BucketFaults
from tests.storage.bucket_kills import BucketKills, BucketResumes
from tests.storage.bucket_traffic import BucketTraffic


def refused(status: str, code: str) -> bytes:
    """Return an answer of Azure's."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    return refusal(status, body, Content_Type="application/xml", x_ms_error_code=code)


class OnBlobStorage:
    @pytest.fixture
    def backend(self, azurite: Azurite) -> Iterator[BucketBackend]:
        """Return the store below a prefix that nothing else uses."""
        prefix = uuid.uuid4().hex
        fields = {"container": "models", "prefix": prefix}
        connection = azurite.connection_string()
        with ContainerClient.from_connection_string(connection, "models") as client:
            yield BucketBackend(
                "flowyml_azure.storage:AzureArtifactStore",
                azurite.process.url,
                settings=lambda url: {
                    **fields,
                    "connection_string": connection.replace(azurite.process.url, url),
                },
                door=AzureBlobs(client, prefix),
                busy={
                    "503": refused("503 Server Busy", "ServerBusy"),
                    "429": refused("429 Too Many Requests", "TooManyRequests"),
                },
                denied=refused("403 Forbidden", "AuthorizationPermissionMismatch"),
                parts=["flowyml_azure.containers:BLOCK_SIZE"],
                pauses={"flowyml_azure.containers:PAUSE": 0.01},
            )


class TestFaults(OnBlobStorage, BucketFaults):
    pass


class TestChecksums(OnBlobStorage, BucketChecksums):
    pass


class TestKills(OnBlobStorage, BucketKills):
    pass


class TestResumes(OnBlobStorage, BucketResumes):
    pass


class TestTraffic(OnBlobStorage, BucketTraffic):
    pass
