"""The data files of one artifact on their way into a store and out of it.

Serializers and stores meet here and nowhere else: a serializer writes named files into a
`FileSink` and reads them from a `FileSource`; whether they lie on a disk or in a bucket, how they
are hashed and when they become visible is the store's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from attrs import field, frozen

from flowyml.records import Manifest, StoredArtifact

__all__ = ["FileSink", "FileSource", "StoreRequest", "StreamFilter"]


class FileSink(Protocol):
    """Takes the data files of one artifact, hashing them as they are written."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open one new data file for writing; leaving the block normally completes it."""

    def put(self, name: str, content: bytes) -> None:
        """Write one new data file whose content is in memory already."""

    def add(self, name: str, path: Path) -> None:
        """Copy an existing file, in pieces of bounded size."""

    def reserve(self, name: str) -> AbstractContextManager[Path]:
        """Give a local path to a library that only writes to paths.

        Leaving the block normally takes over the file, or the folder with all that is in it,
        that lies at the path by then.
        """


class FileSource(Protocol):
    """Gives the data files of one stored artifact; nothing it gives is unverified."""

    @property
    def manifest(self) -> Manifest:
        """What the artifact is."""

    def open(self, name: str) -> BinaryIO:
        """Open a data file for reading, seekable, its size and digest already compared.

        Raises:
            IntegrityError: The bytes are not those that were written.
        """

    def path(self, name: str) -> Path:
        """Return a local path with the verified content, for a library that only reads paths.

        It lives as long as the source does.
        """


@frozen
class StreamFilter:
    """A transformation around every data file, such as encryption.

    Attributes:
        name: Recorded in the manifest, so that a reader knows what to undo.
        encode: Given the stream to write to, returns the stream that the serializer writes to;
            closing the returned stream flushes it and leaves the given one open.
    """

    name: str
    encode: Callable[[BinaryIO], BinaryIO]


@frozen
class StoreRequest:
    """An artifact that wants to be stored.

    Attributes:
        path: Where, relative to the store's root, with ``/``.
        manifest: What it is, still without files, filters and digest.
        write: Writes all data files; called once for each attempt.
        overwrite: Whether another artifact at this path may be replaced. One that was stored
            under the same idempotency key always may: nobody was told of it.
        filters: Extensions that wrap ``store_artifact`` append theirs before they yield.
        find_copy: Given a digest, returns the URI of an artifact of this store that may have it,
            or None: an object store then copies it on the server's side instead of uploading.
        copy_of: A stored artifact whose files are stored once more. A store that has it copies them
            as they lie there, filters included, so that the digest stays; ``write`` writes them
            where another store has it, or was given other filters.
    """

    path: str
    manifest: Manifest
    write: Callable[[FileSink], None]
    overwrite: bool = False
    filters: list[StreamFilter] = field(factory=list)
    find_copy: Callable[[str], str | None] | None = None
    copy_of: StoredArtifact | None = None
