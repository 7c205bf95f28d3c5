"""Stores of every flavour: what holds for one holds for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from tests.storage.storage_samples import BackDoor, door_of

from flowyml.storage.disks import DiskBucket
from flowyml.storage.filesystems import FilesystemBucket
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders


def _local(tmp_path: Path) -> ArtifactFolders:
    return LocalFolders.at(tmp_path / "the store")


def _bucket_on_disk(tmp_path: Path) -> ArtifactFolders:
    """The rules of object stores, on a disk that several processes can share."""
    return ArtifactFolders(DiskBucket(tmp_path / "store"))


def _bucket_in_memory(_tmp_path: Path) -> ArtifactFolders:
    filesystem = MemoryFileSystem(global_store=False, skip_instance_cache=True)
    return ArtifactFolders(FilesystemBucket(filesystem, "memory://bucket/prefix"))


FLAVOURS: dict[str, Callable[[Path], ArtifactFolders]] = {
    "local": _local,
    "bucket on disk": _bucket_on_disk,
    "bucket in memory": _bucket_in_memory,
}


@pytest.fixture(params=FLAVOURS)
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactFolders:
    """An empty store."""
    return FLAVOURS[request.param](tmp_path)


@pytest.fixture
def door(folders: ArtifactFolders) -> BackDoor:
    """Its back door."""
    return door_of(folders)
