"""The vendor part of an object store: what S3, GCS and Azure each do in one short file.

The engine in `flowyml.storage.folders` decides what is written, in which order, and when an
artifact exists. A bucket moves bytes and answers conditional writes. Names are relative to the
store's root, with ``/``, already checked: they never climb, are never empty, and have no control
characters. `flowyml.storage.filesystems.FilesystemBucket` is a whole bucket over any fsspec
filesystem: a vendor subclasses it and overrides what its service does better.

Three things must be atomic on the server, or two writers can damage each other:

* `Bucket.swap` (S3 ``If-None-Match: *`` and ``If-Match``, GCS ``ifGenerationMatch``, Azure ETags),
* `Bucket.upload` and `Bucket.copy`, which never replace an object that is there.

Every error that is not named below leaves a bucket as the vendor's client raised it, so that the
component's ``is_transient`` can tell which ones are worth another attempt. What writes looks at the
answer: one that the service cannot have given, such as the page of a proxy, is such an error too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from attrs import frozen

from flowyml.records import StoredFile

__all__ = ["Bucket", "Listed", "Snapshot"]


@frozen
class Snapshot:
    """A small object as it was at one moment.

    Attributes:
        content: All its bytes.
        version: What the server calls this state of it: an ETag, a generation.
    """

    content: bytes
    version: str


@frozen
class Listed:
    """An object in a listing.

    Attributes:
        name: Relative to the store's root.
        size: Length in bytes.
        modified: When it was written, by the server's clock, in UTC.
    """

    name: str
    size: int
    modified: datetime


class Bucket(Protocol):
    """Objects below the root of a store. Threads share one bucket."""

    @property
    def uri(self) -> str:
        """URI of the root, with scheme and without a slash at its end: ``s3://bucket/prefix``."""

    def read(self, name: str, limit: int) -> Snapshot:
        """Read a small object with its version, past any cache.

        Args:
            name: The object.
            limit: Most bytes to read; the object's length is compared before the body is taken.

        Raises:
            FileNotFoundError: There is none.
            IntegrityError: It is longer than the limit.
        """

    def swap(self, name: str, content: bytes, version: str | None) -> None:
        """Write a small object if it is still in the state that the caller knows.

        A client that repeats the request by itself after a lost answer may find its own first
        attempt: that has to count as success (compare what is there with the content).

        Args:
            name: The object.
            content: All its bytes.
            version: The version to replace; None where there must be none yet.

        Raises:
            FileExistsError: It is in another state; somebody else was faster.
        """

    def upload(self, name: str, path: Path, file: StoredFile) -> None:
        """Put a local file into a new object, visible only as a whole.

        A large one goes up in a bounded number of parallel parts, each checked by the server, and
        goes on where an attempt of a killed process stopped, where the service has such uploads:
        ``file.sha256`` tells that it is the same content. The digest is kept with the object (as
        user metadata or the service's own checksum) for `sha256`. Whoever waits sees how it goes
        where each part that has arrived is told to `flowyml.storage.transfers.moved`.

        Args:
            name: The object.
            path: What to read. Its length and digest are those of ``file``.
            file: Size and SHA-256 of the content; its name is not the object's.

        Raises:
            FileExistsError: There is an object already, be it the same.
        """

    def copy(self, source: str, target: str, file: StoredFile) -> None:
        """Copy an object on the server's side into a new one, its kept digest included.

        Args:
            source: The object to copy.
            target: The new object.
            file: Size and SHA-256 of the source.

        Raises:
            FileNotFoundError: There is no such source.
            FileExistsError: There is a target already.
        """

    def sha256(self, name: str) -> str:
        """Return the hexadecimal SHA-256 of an object: the one kept by `upload`, else by reading.

        Raises:
            FileNotFoundError: There is none.
        """

    def download(self, name: str, path: Path) -> None:
        """Get an object into a new local file, in parallel ranges where that is faster.

        The caller compares size and digest.

        Raises:
            FileNotFoundError: There is none.
        """

    def find(self, prefix: str) -> Iterator[Listed]:
        """List all objects whose names begin with a prefix, page by page, past any cache.

        Args:
            prefix: Empty for all; ``a/`` does not list ``ab``.
        """

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects, in batches where the service has them; a missing one is no error."""
