"""Artifacts to store, and the back door by which an attacker gets at the files of a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import attrs
from attrs import frozen

from flowyml.records import Manifest, Producer, StoredArtifact
from flowyml.storage.disks import DiskBucket
from flowyml.storage.files import FileSink, FileSource, StoreRequest, StreamFilter
from flowyml.storage.filesystems import FilesystemBucket
from flowyml.storage.folders import ArtifactFolders

FILES: Mapping[str, bytes] = {"model.pkl": b"weights" * 100, "part-0/data.bin": bytes(range(256))}

DRAFT = Manifest(
    type="Model",
    python_type="sklearn.svm._classes:SVC",
    artifact_class="flowyml.artifacts:Model",
    serializer="pickle",
    serializer_version=1,
    files=(),
    name="fraud",
    version="1.0.0",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    properties={"framework": "sklearn"},
    metadata={"metrics": {"f1": 0.93}},
    producer=Producer("training", "run-1", "train", "model"),
)


def writing(files: Mapping[str, bytes]) -> Callable[[FileSink], None]:
    """Return what writes these files."""

    def write(sink: FileSink) -> None:
        for name, content in files.items():
            with sink.open(name) as file:
                file.write(content)

    return write


def a_request(
    path: str = "run-1/model",
    files: Mapping[str, bytes] = FILES,
    *,
    overwrite: bool = False,
    filters: Sequence[StreamFilter] = (),
    **changes: Any,
) -> StoreRequest:
    """Return a request to store files."""
    manifest = attrs.evolve(DRAFT, **changes)
    return StoreRequest(path, manifest, writing(files), overwrite, list(filters))


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


def contents(source: FileSource) -> dict[str, bytes]:
    """Read all files of an artifact, each in both ways."""
    found = {}
    for file in source.manifest.files:
        with source.open(file.name) as opened:
            found[file.name] = opened.read()
        assert source.path(file.name).read_bytes() == found[file.name]
    return found


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
