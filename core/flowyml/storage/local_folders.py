"""The engine for a folder of a local disk: what is staged gets its place by one rename."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, unquote

from attrs import define, field

from flowyml.errors import DeliveryError, FlowyMLError
from flowyml.records import Manifest, StoredArtifact
from flowyml.storage.commits import LEFTOVER_AGE
from flowyml.storage.committed import data_names
from flowyml.storage.disks import DiskBucket
from flowyml.storage.files import StoreRequest
from flowyml.storage.filters import EncodedSource
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.hashing import write_new
from flowyml.storage.manifests import MANIFEST_NAME, manifest_bytes
from flowyml.storage.names import is_plain
from flowyml.storage.sinks import Staged, StagingSink, copy_files
from flowyml.storage.sources import DiskSource
from flowyml.storage.transfers import Transfer

__all__ = ["LocalFolders"]


@define(eq=False)
class LocalFolders(ArtifactFolders):
    """Artifacts in a folder of a local disk.

    On a free path the staged folder, manifest and all, gets its name by one rename. Only where
    something lies there already do the general rules apply. What killed writers left is removed
    before the first artifact is stored.

    Attributes:
        bucket: The folder.
    """

    bucket: DiskBucket
    _looked: bool = field(default=False, init=False)

    _copies: ClassVar[bool] = True

    @classmethod
    def at(cls, root: Path, *, fsync: bool = False) -> LocalFolders:
        """Return the store at a root folder.

        Args:
            root: The folder.
            fsync: Whether to wait for the disk before each commit, so that a power cut loses
                nothing that was committed. A killed process never does.
        """
        return cls(DiskBucket(root.absolute(), fsync))

    def store(self, request: StoreRequest, *, key: str | None) -> StoredArtifact:
        """Write all files of an artifact below the root, then commit it.

        Raises:
            DeliveryError: Another artifact lies at the path, the path is none, or the disk refuses.
        """
        what = f"{request.manifest.name!r} cannot be stored at {self.uri}/{request.path}"
        with _explained(what):
            if not self._looked:
                self._looked = True
                with suppress(OSError):  # leftovers of somebody else are somebody else's affair
                    self.sweep()
            return super().store(request, key=key)

    def load(self, uri: str) -> EncodedSource:
        """Open a committed artifact.

        Raises:
            NotFoundError: None is committed there.
            IntegrityError: Its manifest is damaged, forged or of a newer layout.
            DeliveryError: The disk refuses.
        """
        with _explained(f"{uri} cannot be read"):
            return super().load(uri)

    def delete(self, uri: str) -> bool:
        """Delete an artifact, its manifest first; return whether there was one.

        Raises:
            DeliveryError: The disk refuses.
        """
        with _explained(f"{uri} cannot be deleted"):
            return super().delete(uri)

    def sweep(self, age: timedelta = LEFTOVER_AGE) -> int:
        """Remove what killed writers left behind, in the staging folder as well."""
        return super().sweep(age) + self.bucket.sweep(datetime.now(UTC) - age)

    def _stage(self) -> AbstractContextManager[str]:
        return self.bucket.stage()

    def _taken(self, path: str, original: Manifest, folder: str, going: Transfer) -> Staged:
        """Copy what lies at a path, verified, to where a written artifact would be staged."""
        sink = StagingSink(folder, told=going.advance)
        source = self._source(path, original)
        copy_files(original, source.encoded, sink)
        return sink.staged()

    def _commit(
        self,
        path: str,
        manifest: Manifest,
        folder: str,
        staged: Staged,
        request: StoreRequest,
        going: Transfer,
    ) -> Manifest:
        write_new(f"{folder}/{MANIFEST_NAME}", manifest_bytes(manifest))
        if self.bucket.publish(folder, path):
            return manifest
        return super()._commit(path, manifest, folder, staged, request, going)

    def _intact(self, path: str, manifest: Manifest) -> bool:
        """Tell whether all files have their length, which after a power cut they may not."""
        for file, name in zip(manifest.files, data_names(path, manifest), strict=True):
            try:
                if os.lstat(self.bucket.address(name)).st_size != file.size:
                    return False
            except FileNotFoundError:
                return False
        return True

    def _source(self, path: str, manifest: Manifest) -> EncodedSource:
        folder = f"{self.bucket.root}/{path}"
        if manifest.generation:
            folder = f"{folder}/{manifest.generation}"
        return DiskSource(manifest, self._uri_of(path), str(self.bucket.root), folder)

    def _uri_of(self, path: str) -> str:
        return f"{self.bucket.uri}/{path if is_plain(path) else quote(path)}"

    def _path_of(self, uri: str) -> str:
        start = f"{self.bucket.uri}/"
        if "%" in uri and uri.startswith(start):
            uri = start + unquote(uri.removeprefix(start))
        return super()._path_of(uri)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Say what cannot be done when the operating system refuses it."""
    try:
        yield
    except FlowyMLError:
        raise
    except OSError as cause:
        message = f"{what}: {cause}"
        raise DeliveryError(message) from cause
