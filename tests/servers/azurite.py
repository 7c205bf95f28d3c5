"""Azure Blob Storage for tests: Azurite, a program for Node."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from tests.servers.processes import ROOT, ServerProcess, free_ports

__all__ = ["KEY", "AzureBlobs", "Azurite", "start_azurite"]

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The development key that Azurite publishes."""

PROGRAM = ROOT / ".nox" / "node" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
INSTALL = "npm install --prefix .nox/node azurite"


@frozen
class Azurite:
    """A running server."""

    process: ServerProcess

    def connection_string(self, key: str = KEY) -> str:
        """Say where it is, and with which key."""
        return (
            "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
            f"AccountKey={key};BlobEndpoint={self.process.url}/devstoreaccount1;"
        )


def start_azurite(folder: Path) -> Azurite:
    """Start the server; skip the test where it is missing, or fail it under ``CI=true``."""
    node = shutil.which("node")
    if node is None or not PROGRAM.exists():
        reason = f"Azurite is not installed ({INSTALL})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    (port,) = free_ports(1)
    # Its telemetry would call a public host; the SDK speaks a newer version than it knows.
    options = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    process = ServerProcess.start(
        [
            *(node, str(PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
            *("--location", str(folder), *options),
        ],
        url=f"http://127.0.0.1:{port}",
        ready="/",
        folder=folder,
        environment={},
    )
    return Azurite(process)


@frozen
class AzureBlobs:
    """The blobs below a prefix, by the vendor's own client."""

    client: Any
    prefix: str

    def names(self) -> list[str]:
        found = self.client.list_blob_names(name_starts_with=f"{self.prefix}/")
        return sorted(name.removeprefix(f"{self.prefix}/") for name in found)

    def unfinished(self) -> list[str]:
        named = {"name_starts_with": f"{self.prefix}/"}
        found = self.client.list_blobs(include=["uncommittedblobs"], **named)
        return sorted({blob.name for blob in found} - {*self.client.list_blob_names(**named)})

    def read(self, name: str) -> bytes:
        content: bytes = self.client.download_blob(f"{self.prefix}/{name}").readall()
        return content

    def write(self, name: str, content: bytes) -> None:
        self.client.upload_blob(f"{self.prefix}/{name}", content, overwrite=True)

    def remove(self, name: str) -> None:
        self.client.delete_blob(f"{self.prefix}/{name}")
