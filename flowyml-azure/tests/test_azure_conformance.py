"""The store in Azure Blob Storage does what every store has to do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from azure.storage.blob import ContainerClient
from tests.servers.azurite import AzureBlobs, Azurite

from flowyml.testing import StoreBackend, StoreContract
from flowyml_azure.storage import AzureArtifactStore


class TestStore(StoreContract):
    rounds = 2

    @pytest.fixture
    def prefix(self) -> str:
        """Give a prefix that nothing else uses."""
        return uuid.uuid4().hex

    @pytest.fixture
    def new_store(
        self, azurite: Azurite, prefix: str
    ) -> Iterator[Callable[[], AzureArtifactStore]]:
        made: list[AzureArtifactStore] = []

        def make() -> AzureArtifactStore:
            store = AzureArtifactStore(
                "models", prefix=prefix, connection_string=azurite.connection_string()
            )
            made.append(store)
            return store

        yield make
        for store in made:
            if "objects" in vars(store):
                store.objects.client.close()

    @pytest.fixture
    def backend(self, azurite: Azurite, prefix: str) -> Iterator[StoreBackend]:
        connection = azurite.connection_string()
        with ContainerClient.from_connection_string(connection, "models") as client:
            yield AzureBlobs(client, prefix)
