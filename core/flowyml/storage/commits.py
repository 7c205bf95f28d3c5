"""From staged files to a committed artifact in a bucket.

The data files first, ``artifact.json`` last: it is written only if the path is still in the state
that was decided upon. On a free path the data files lie beside it under their own names, where
serving backends look for them. What replaces another artifact goes to a folder of its own, a
generation, so that the old one stays readable until the new manifest stands in place of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
from attrs import frozen

from flowyml.errors import DeliveryError
from flowyml.records import Manifest, StoredFile
from flowyml.storage.buckets import Bucket
from flowyml.storage.committed import Committed, data_names, read_committed
from flowyml.storage.intents import note, sweep
from flowyml.storage.manifests import MANIFEST_NAME, manifest_bytes
from flowyml.storage.transfers import Transfer, moving

__all__ = ["LEFTOVER_AGE", "Commit"]

LEFTOVER_AGE: Final = timedelta(days=1)
"""From this age on, what was never committed counts as left by a killed writer.

No single artifact may take longer to go up.
"""

_ADOPTED_UNTIL = LEFTOVER_AGE / 2
"""Younger files of a killed writer are taken over: nothing removes them before the commit."""

_TOGETHER = 8
"""Files that go up at the same time."""

_LARGE = 64 * 2**20
"""A larger file goes up alone, for its parts already go up in parallel."""

_TRIES = 5


@frozen
class _Job:
    """A data file, the object that it becomes, and the object that it may be copied from."""

    file: StoredFile
    name: str
    source: str


@frozen
class Commit:
    """One artifact on its way into a bucket.

    Attributes:
        bucket: The bucket.
        path: Where it goes.
        manifest: What it is, its files included.
        place: Tells where a data file lies on the local disk.
        overwrite: Whether it may replace any other artifact.
        intact: Tells whether the files of what is committed can be taken to be there.
        going: Is told how far the files are.
        copy_from: Objects with the same files, where the bucket has them already.
    """

    bucket: Bucket
    path: str
    manifest: Manifest
    place: Callable[[str], Path]
    overwrite: bool
    intact: Callable[[Manifest], bool]
    going: Transfer
    copy_from: Sequence[str] = ()

    def run(self) -> Manifest:
        """Commit it, and return the manifest that is committed at the path now.

        Raises:
            DeliveryError: Another artifact lies there and may not be replaced.
        """
        for _ in range(_TRIES):
            committed = read_committed(self.bucket, self.path)
            if committed and self._is_same(committed):
                assert committed.manifest is not None  # noqa: S101  # for the type checker
                return committed.manifest
            if committed:
                self._refuse(committed)
            try:
                return self._place(committed)
            except FileExistsError:
                continue  # somebody else was faster: decide again
        message = (
            f"{self._uri} cannot be committed, because other writers replace it again and again; "
            "give their outputs paths of their own"
        )
        raise DeliveryError(message, transient=True)

    @property
    def _uri(self) -> str:
        return f"{self.bucket.uri}/{self.path}"

    def _is_same(self, committed: Committed) -> bool:
        found = committed.manifest
        return found is not None and found.digest == self.manifest.digest and self.intact(found)

    def _refuse(self, committed: Committed) -> None:
        """Raise unless what is committed may be replaced."""
        found = committed.manifest
        if self.overwrite:
            return
        if found is None:
            message = f"{self._uri} is taken; {committed.fault}"
            raise DeliveryError(message) from committed.fault
        if found.digest == self.manifest.digest:
            return  # its files were lost: they are written again
        if found.key is None or found.key != self.manifest.key:
            message = (
                f"{self._uri} holds {found.digest} and is to hold {self.manifest.digest}; "
                "give the output a path of its own, such as '{run_id}/{output_name}', or say "
                "`overwrite: true` in its rule"
            )
            raise DeliveryError(message)

    def _place(self, committed: Committed | None) -> Manifest:
        """Put the files into place, then the manifest.

        Raises:
            FileExistsError: What is committed has changed meanwhile.
        """
        fallback = secrets.token_hex(8)
        fresh = data_names(self.path, self.manifest, fallback)
        plain = data_names(self.path, self.manifest, "")
        old = committed.manifest if committed else None
        doomed = data_names(self.path, old) if old else []
        left = note(self.bucket, self.path, [*plain, *fresh, *doomed])
        free = committed is None and self._send(plain)
        if not free:
            self._send(fresh)
        done = attrs.evolve(self.manifest, generation="" if free else fallback)
        try:
            self.bucket.swap(
                f"{self.path}/{MANIFEST_NAME}",
                manifest_bytes(done),
                committed.version if committed else None,
            )
        except FileExistsError:
            self.bucket.delete(fresh)  # nobody else knows these names, unlike the plain ones
            raise
        if free:
            self.bucket.delete([left])
        else:
            # What was replaced is kept for a while for those who are reading it, and a plain name
            # that another writer may be using as well; older leftovers make room instead.
            sweep(self.bucket, datetime.now(UTC) - LEFTOVER_AGE)
        return done

    def _send(self, names: Sequence[str]) -> bool:
        """Put all data files under these names; False when one of them is taken."""
        sources = self.copy_from or [""] * len(names)
        jobs = [_Job(*job) for job in zip(self.manifest.files, names, sources, strict=True)]
        small = [job for job in jobs if job.file.size <= _LARGE]
        large = [job for job in jobs if job.file.size > _LARGE]
        return self._send_together(small) and all(self._send_together([job]) for job in large)

    def _send_together(self, jobs: Sequence[_Job]) -> bool:
        if len(jobs) > 1:
            with ThreadPoolExecutor(_TOGETHER, "flowyml-upload") as threads:
                sending = [threads.submit(self._send_one, job) for job in jobs]
                try:
                    taken = [
                        job for job, one in zip(jobs, sending, strict=True) if not one.result()
                    ]
                finally:
                    for one in sending:
                        one.cancel()
        else:
            taken = [job for job in jobs if not self._send_one(job)]
        return not taken or self._are_left_by_an_attempt(taken)

    def _send_one(self, job: _Job) -> bool:
        """Put one file into place; False when its name is taken."""
        try:
            with moving(self.going, job.file.size):
                if not (job.source and self._copy_one(job)):
                    self.bucket.upload(job.name, self.place(job.file.name), job.file)
        except FileExistsError:
            return False
        return True

    def _copy_one(self, job: _Job) -> bool:
        """Copy one file; False when what lies there is not that file any more."""
        try:
            if self.bucket.sha256(job.source) != job.file.sha256:
                return False  # whoever replaced it left no digest, or another one
            self.bucket.copy(job.source, job.name, job.file)
        except FileNotFoundError:  # deleted meanwhile
            return False
        return True

    def _are_left_by_an_attempt(self, jobs: Sequence[_Job]) -> bool:
        """Whether names are taken by the very same content, which an earlier attempt put there."""
        there = {one.name: one for one in self.bucket.find(f"{self.path}/")}
        young = datetime.now(UTC) - _ADOPTED_UNTIL
        return all(
            (found := there.get(job.name)) is not None
            and found.size == job.file.size
            and found.modified > young
            and self.bucket.sha256(job.name) == job.file.sha256
            for job in jobs
        )
