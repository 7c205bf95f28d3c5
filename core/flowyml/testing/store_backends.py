"""The files of a store, past the store: what its tests plant there, and the names they try."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
from attrs import frozen

from flowyml.plugins import ArtifactStore
from flowyml.records import Manifest, StoredArtifact, StoredFile
from flowyml.storage.files import StoreRequest
from flowyml.storage.manifests import MANIFEST_NAME, manifest_bytes
from flowyml.testing.artifacts import DRAFT, FILES, a_request
from flowyml.testing.deliveries import Deliveries

__all__ = [
    "CLIMBING_NAMES",
    "CLIMBING_PATHS",
    "ODD_PATHS",
    "PATH",
    "FolderBackend",
    "NewStore",
    "Put",
    "StoreBackend",
    "plant",
]

NewStore = Callable[[], ArtifactStore]

PATH = "run-1/model"

CLIMBING_PATHS = [
    "", "..", "a/../b", "../a", "/a", "a//b", "a/", "./a", "a\\b", "a\0", "a\n",
    "a/artifact.json", "a/" + "b" * 256, "x/" * 500 + "x",
]  # fmt: skip

CLIMBING_NAMES = [
    "..", "../x", "a/../../x", "/etc/x", "a\\b", "a\0b", "a//b", "", ".", "a/", "a\nb",
    "artifact.json", "x" * 256, "\ud800",
]  # fmt: skip

ODD_PATHS = [
    "a b/c", "ü/模型/🔥", "50%/%2e%2e/x", "a#b?c&d=e", "~/x", "CON/aux", "-rf/*", "a'b\"c",
    "'; DROP TABLE x; --", "...", "a/.hidden", "+/@/:",
]  # fmt: skip


class StoreBackend(Protocol):
    """The files below the root of a store, by the backend's own means; names have ``/``."""

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""

    def read(self, name: str) -> bytes:
        """Return the content of a file."""

    def write(self, name: str, content: bytes) -> None:
        """Put a file there, in place of the one that is there."""

    def remove(self, name: str) -> None:
        """Take a file away."""


@frozen
class FolderBackend:
    """The backend of a store that keeps its files in a folder."""

    root: Path

    def names(self) -> list[str]:
        """Return the names of all files."""
        found = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def read(self, name: str) -> bytes:
        """Read a file."""
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(content)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.root / name).unlink()


def plant(
    backend: StoreBackend, path: str = PATH, files: Mapping[str, bytes] = FILES, **changes: Any
) -> Manifest:
    """Lay an artifact into a backend, past the store; return its manifest."""
    told = [
        StoredFile(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in sorted(files.items())
    ]
    manifest = attrs.evolve(DRAFT, files=tuple(told), key="planted", **changes)
    for name, content in files.items():
        backend.write(f"{path}/{name}", content)
    backend.write(f"{path}/{MANIFEST_NAME}", manifest_bytes(manifest))
    return manifest


@frozen
class Put:
    """Stores files as a run does."""

    new_store: NewStore
    deliveries: Deliveries

    def __call__(
        self,
        path: str = PATH,
        files: Mapping[str, bytes] = FILES,
        *,
        key: str = "first",
        overwrite: bool = False,
    ) -> StoredArtifact:
        """Store files at a path, under the key of a word."""
        return self.request(a_request(path, files, overwrite=overwrite), key=key)

    def request(self, request: StoreRequest, key: str = "first") -> StoredArtifact:
        """Store what is asked for, by a store of its own."""
        context = attrs.evolve(self.deliveries.context(), key=self.key(key))
        return self.new_store().store_artifact(request=request, context=context)

    def key(self, word: str) -> str:
        """Return the idempotency key of a word."""
        return hashlib.sha256(word.encode()).hexdigest()
