"""What stores artifacts, and the back door by which an attacker gets at the files of a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen

from flowyml.records import StoredArtifact
from flowyml.storage.disks import DiskBucket
from flowyml.storage.filesystems import FilesystemBucket
from flowyml.storage.folders import ArtifactFolders
from flowyml.testing.artifacts import FILES, a_request


def put(
    folders: ArtifactFolders,
    path: str = "run-1/model",
    files: Mapping[str, bytes] = FILES,
    *,
    key: str | None = "key-1",
    overwrite: bool = False,
) -> StoredArtifact:
    """Store files."""
    return folders.store(a_request(path, files, overwrite=overwrite), key=key)


class BackDoor(Protocol):
    """The files of a store, as one who has access to the disk or the bucket sees them."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, content: bytes) -> None: ...

    def remove(self, name: str) -> None: ...


@frozen
class DiskDoor:
    """The back door of a local disk."""

    root: Path

    def names(self) -> list[str]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(content)

    def remove(self, name: str) -> None:
        (self.root / name).unlink()


@frozen
class FilesystemDoor:
    """The back door of an fsspec filesystem."""

    filesystem: Any
    root: str

    def names(self) -> list[str]:
        start = len(self.root) + 1
        return sorted(address[start:] for address in self.filesystem.find(self.root))

    def read(self, name: str) -> bytes:
        content: bytes = self.filesystem.cat_file(f"{self.root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        self.filesystem.pipe_file(f"{self.root}/{name}", content)

    def remove(self, name: str) -> None:
        self.filesystem.rm_file(f"{self.root}/{name}")


def door_of(folders: ArtifactFolders) -> BackDoor:
    """Return the back door of a store."""
    bucket = folders.bucket
    if isinstance(bucket, DiskBucket):
        return DiskDoor(bucket.root)
    assert isinstance(bucket, FilesystemBucket)
    return FilesystemDoor(bucket.filesystem, bucket.address("").rstrip("/"))
