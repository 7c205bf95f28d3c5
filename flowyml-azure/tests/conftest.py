"""The server that these tests talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.storage.blob import ContainerClient
from tests.servers.azurite import Azurite, start_azurite


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Run the server, with one container."""
    server = start_azurite(tmp_path_factory.mktemp("azurite"))
    with ContainerClient.from_connection_string(server.connection_string(), "models") as client:
        client.create_container()
    yield server
    server.process.kill()
