"""The engine that all stores share: artifacts as folders, each committed as a whole or not at all.

`ArtifactFolders` works on any `Bucket`; `local_folders.LocalFolders` stages in the store's own
folder and commits by one rename.

A bucket below its root::

    {path}/artifact.json               the manifest; without it there is no artifact
    {path}/{file}                      data files
    {path}/{generation}/{file}         data files that replaced others
    .staging/                          unfinished work: staged files, notes of what may be left over
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import attrs
from attrs import define

from flowyml.errors import DeliveryError, IntegrityError, NotFoundError
from flowyml.records import Manifest, StoredArtifact
from flowyml.storage.buckets import Bucket
from flowyml.storage.commits import LEFTOVER_AGE, Commit
from flowyml.storage.committed import Committed, data_names, read_committed
from flowyml.storage.files import StoreRequest
from flowyml.storage.filters import EncodedSource
from flowyml.storage.intents import note, sweep
from flowyml.storage.listing import committed_paths
from flowyml.storage.manifests import MANIFEST_NAME
from flowyml.storage.names import STAGING, fault_of_path
from flowyml.storage.scratch import scratch_home
from flowyml.storage.sinks import Staged, StagingSink
from flowyml.storage.sources import BucketSource
from flowyml.storage.transfers import Transfer, transfer

__all__ = ["ArtifactFolders"]

_READ_TOGETHER = 16

_READ_AHEAD = 256


@define(eq=False)
class ArtifactFolders:
    """Stores, loads, lists and deletes artifacts in a bucket.

    Threads and processes may share one store. Two that store at one path at once both succeed when
    they bring the same digest; else one of them wins and the other one is told.

    Attributes:
        bucket: The vendor's part.
    """

    bucket: Bucket

    _copies: ClassVar[bool] = False

    @property
    def uri(self) -> str:
        """URI of the root."""
        return self.bucket.uri

    def store(self, request: StoreRequest, *, key: str | None) -> StoredArtifact:
        """Write all files of an artifact, then commit it.

        The files are written to a local disk first: only then is their digest known, with which it
        is decided whether they have to be sent at all. It needs as much room there as they take.

        Args:
            request: What to store and where.
            key: Idempotency key of the delivery; what was stored with the same key may be replaced.

        Returns:
            What is committed; its ``store`` is empty, for an engine does not know its name. Where
            the same digest lay already, that is what was stored then.

        Raises:
            DeliveryError: Another artifact lies at the path, or the path is none.
        """
        path = self._checked(request.path)
        name = request.manifest.name
        with self._stage() as folder, transfer(f"writing {name}") as going:
            staged = self._staged(request, folder, going)
            manifest = attrs.evolve(
                request.manifest,
                files=staged.files,
                filters=tuple(layer.name for layer in request.filters),
                key=key,
                generation="",
            )
            going.start_again(f"storing {name}", manifest.size)
            done = self._commit(path, manifest, folder, staged, request, going)
        return StoredArtifact(self._uri_of(path), "", done)

    def load(self, uri: str) -> EncodedSource:
        """Open a committed artifact.

        Args:
            uri: What `store` returned.

        Raises:
            NotFoundError: None is committed there.
            IntegrityError: Its manifest is damaged, forged or of a newer layout.
        """
        path = self._path_of(uri)
        committed = read_committed(self.bucket, path)
        if committed is None:
            message = (
                f"no artifact is committed at {uri}; `flowyml artifact list` shows those of the "
                "project"
            )
            raise NotFoundError(message)
        if committed.manifest is None:
            assert committed.fault is not None  # noqa: S101  # for the type checker
            raise committed.fault
        return self._source(path, committed.manifest)

    def list(self, prefix: str = "") -> Iterator[StoredArtifact]:
        """List the committed artifacts at a path and below it, in the order of their paths.

        Args:
            prefix: Relative to the root; empty for all.

        Warns:
            RuntimeWarning: A manifest is damaged; that artifact is left out.
        """
        prefix = prefix.strip("/")
        folder = f"{self._checked(prefix)}/" if prefix else ""
        paths = committed_paths(one.name for one in self.bucket.find(folder))
        nested: set[str] = set()
        with ThreadPoolExecutor(_READ_TOGETHER, "flowyml-list") as threads:
            for start in range(0, len(paths), _READ_AHEAD):
                some = paths[start : start + _READ_AHEAD]
                for path, found in zip(some, threads.map(self._committed_at, some), strict=True):
                    if found is None or f"{path}/{MANIFEST_NAME}" in nested:
                        continue  # deleted meanwhile, or a data file of the artifact around it
                    if found.manifest is None:
                        warnings.warn(f"not listed: {found.fault}", RuntimeWarning, stacklevel=2)
                        continue
                    names = data_names(path, found.manifest)
                    nested.update(name for name in names if name.endswith(f"/{MANIFEST_NAME}"))
                    yield StoredArtifact(self._uri_of(path), "", found.manifest)

    def delete(self, uri: str) -> bool:
        """Delete an artifact, its manifest first; return whether there was one."""
        path = self._path_of(uri)
        committed = read_committed(self.bucket, path)
        if committed is None:
            return False
        names = self._files_of(path, committed.manifest)
        left = note(self.bucket, path, names)
        self.bucket.delete([f"{path}/{MANIFEST_NAME}"])
        self.bucket.delete(names)
        self.bucket.delete([left])  # in a call of its own: a server deletes in any order
        return True

    def sweep(self, age: timedelta = LEFTOVER_AGE) -> int:
        """Remove what killed writers left behind, and the files of artifacts that were replaced.

        Nothing that is committed is ever touched, nor anything that FlowyML did not put there.

        Args:
            age: Younger leftovers may belong to a writer or a reader that still lives. On a local
                disk a living writer is known by its lock besides.

        Returns:
            How many leftovers there were.
        """
        return sweep(self.bucket, datetime.now(UTC) - age)

    def _files_of(self, path: str, manifest: Manifest | None) -> Sequence[str]:
        """Return the data files of an artifact; what lies there when a damaged one cannot tell."""
        if manifest is not None:
            return data_names(path, manifest)
        names = [one.name for one in self.bucket.find(f"{path}/")]
        others = [found for found in committed_paths(names) if found != path]
        return [
            name
            for name in names
            if name != f"{path}/{MANIFEST_NAME}"
            and not any(name.startswith(f"{other}/") for other in others)
        ]

    def _committed_at(self, path: str) -> Committed | None:
        return read_committed(self.bucket, path)

    def _checked(self, path: str) -> str:
        fault = fault_of_path(path)
        segments = path.split("/")
        if fault is None and (reserved := {STAGING, MANIFEST_NAME}.intersection(segments)):
            fault = f"{reserved.pop()!r} is the store's own name"
        if fault is not None:
            message = (
                f"the path {path!r} cannot be used in {self.uri}: {fault}; correct the rule's "
                "`path`, which is relative to the root of the store"
            )
            raise DeliveryError(message)
        return path

    def _stage(self) -> AbstractContextManager[str]:
        return _temporary_folder()

    def _staged(self, request: StoreRequest, folder: str, going: Transfer) -> Staged:
        """Have the data files ready for the commit: written, or taken as they lie here already."""
        original = self._original(request)
        if original is not None:
            return self._taken(*original, folder, going)
        sink = StagingSink(folder, tuple(request.filters), self._copies, going.advance)
        request.write(sink)
        return sink.staged()

    def _original(self, request: StoreRequest) -> tuple[str, Manifest] | None:
        """Find the artifact whose files are to be stored once more, as they would be written now.

        Returns:
            Its path and its manifest.
        """
        wanted = request.copy_of
        if wanted is None or wanted.manifest.filters != tuple(one.name for one in request.filters):
            return None
        try:
            path, found = self._path_of(wanted.uri), self.load(wanted.uri).manifest
        except (NotFoundError, IntegrityError):  # of another store; or who writes it tells
            return None
        return (path, found) if found.digest == wanted.digest else None

    def _taken(self, path: str, original: Manifest, folder: str, going: Transfer) -> Staged:
        """Let the server copy what lies at a path; it is fetched only where the server cannot."""
        del folder, going
        source = BucketSource(original, self._uri_of(path), self.bucket, _below(path, original))
        return Staged(original.files, source.place, data_names(path, original))

    def _commit(
        self,
        path: str,
        manifest: Manifest,
        folder: str,
        staged: Staged,
        request: StoreRequest,
        going: Transfer,
    ) -> Manifest:
        del folder
        return Commit(
            bucket=self.bucket,
            path=path,
            manifest=manifest,
            place=staged.place,
            overwrite=request.overwrite,
            intact=lambda found: self._intact(path, found),
            copy_from=staged.copy_from or self._copy_of(manifest, request),
            going=going,
        ).run()

    def _intact(self, path: str, manifest: Manifest) -> bool:
        """Tell whether what is committed needs no repair; a server does not lose single files."""
        del path, manifest
        return True

    def _copy_of(self, manifest: Manifest, request: StoreRequest) -> Sequence[str]:
        """Find the same files elsewhere in the bucket."""
        uri = request.find_copy and request.find_copy(manifest.digest)
        if not uri:
            return ()
        try:
            path = self._path_of(uri)
        except NotFoundError:  # of another store
            return ()
        committed = read_committed(self.bucket, path)
        found = committed and committed.manifest
        return data_names(path, found) if found and found.digest == manifest.digest else ()

    def _source(self, path: str, manifest: Manifest) -> EncodedSource:
        return BucketSource(manifest, self._uri_of(path), self.bucket, _below(path, manifest))

    def _uri_of(self, path: str) -> str:
        return f"{self.uri}/{path}"

    def _path_of(self, uri: str) -> str:
        path = uri.removeprefix(f"{self.uri}/").rstrip("/")
        if not uri.startswith(f"{self.uri}/") or fault_of_path(path):
            message = (
                f"{uri!r} is no address in the store at {self.uri}; where the store was moved in "
                "flowyml.yaml, have it there as it was (`path`, `bucket`, `prefix`), keep the old "
                "place under `artifact_stores:`, or name the stack that has it with --stack"
            )
            raise NotFoundError(message)
        return path


def _below(path: str, manifest: Manifest) -> str:
    return f"{path}/{manifest.generation}/" if manifest.generation else f"{path}/"


@contextmanager
def _temporary_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=scratch_home()) as folder:
        yield folder
