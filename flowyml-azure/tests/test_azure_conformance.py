"""The store in Azure Blob Storage does what every store has to do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from attrs import frozen
from azure.storage.blob import ContainerClient
from tests.servers.azurite import Azurite, start_azurite

from flowyml.testing import StoreBackend, StoreContract
from flowyml_azure.storage import AzureArtifactStore


@frozen
class Blobs:
    """The blobs below a prefix, by the vendor's own client."""

    client: ContainerClient
    prefix: str

    def names(self) -> list[str]:
        found = self.client.list_blob_names(name_starts_with=f"{self.prefix}/")
        return sorted(name.removeprefix(f"{self.prefix}/") for name in found)

    def read(self, name: str) -> bytes:
        content: bytes = self.client.download_blob(f"{self.prefix}/{name}").readall()
        return content

    def write(self, name: str, content: bytes) -> None:
        self.client.upload_blob(f"{self.prefix}/{name}", content, overwrite=True)

    def remove(self, name: str) -> None:
        self.client.delete_blob(f"{self.prefix}/{name}")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Run the server, with one container."""
    server = start_azurite(tmp_path_factory.mktemp("azurite"))
    with ContainerClient.from_connection_string(server.connection_string(), "models") as client:
        client.create_container()
    yield server
    server.process.kill()


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
            yield Blobs(client, prefix)
