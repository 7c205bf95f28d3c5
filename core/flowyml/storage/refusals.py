"""A bucket whose errors say what was done to which object, whoever meets them.

A vendor says what its own errors mean. What is alike for all of them is an answer that its client
cannot read, because something else answered: a proxy, a login page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from flowyml.errors import DeliveryError, FlowyMLError
from flowyml.records import StoredFile
from flowyml.storage.buckets import Bucket, Listed, Snapshot

__all__ = ["INSTEAD", "ExplainedBucket", "foreign_answer"]

STUMBLES: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What clients raise that did not expect such an answer."""

INSTEAD: Final = (
    "a proxy or a login page may answer in its place: try again, and where it stays so, see "
    "HTTPS_PROXY, NO_PROXY and the address in flowyml.yaml"
)
"""What to do where the service does not seem to be what answers."""

LONGEST: Final = 200
"""Most characters to repeat of what a client says: it may show a whole page."""


def foreign_answer(doing: str, cause: Exception) -> DeliveryError:
    """Return the error for an answer that the service itself does not give.

    Args:
        doing: What was being done, for the beginning of the message.
        cause: What the vendor's client, or the bucket, says of the answer.
    """
    said = " ".join(f"{type(cause).__name__}: {cause}".split())[:LONGEST]
    message = f"{doing} failed: the answer is none that the service gives ({said}); {INSTEAD}"
    return DeliveryError(message, transient=True)


@frozen
class ExplainedBucket:
    """Asks another bucket, and raises errors of FlowyML's tree where a vendor's client fails.

    Attributes:
        bucket: The bucket to ask.
        explained: Turns its vendor's errors into `DeliveryError`, as `BucketStore.explained`.
    """

    bucket: Bucket
    explained: Callable[[str], AbstractContextManager[None]]

    @property
    def uri(self) -> str:
        """URI of the root."""
        return self.bucket.uri

    @contextmanager
    def asking(self, doing: str) -> Iterator[None]:
        """Say of whatever fails in the block what was being done.

        Args:
            doing: What is done, for the beginning of the message.

        Raises:
            DeliveryError: The vendor refused, could not be reached, or something else answered.
        """
        try:
            with self.explained(doing):
                yield
        except FlowyMLError:
            raise
        except STUMBLES as cause:
            raise foreign_answer(doing, cause) from cause

    def read(self, name: str, limit: int) -> Snapshot:
        """Read a small object with its version."""
        with self.asking(f"reading {self.uri}/{name}"):
            return self.bucket.read(name, limit)

    def swap(self, name: str, content: bytes, version: str | None) -> None:
        """Write a small object if it is still in the state that the caller knows."""
        with self.asking(f"writing {self.uri}/{name}"):
            self.bucket.swap(name, content, version)

    def upload(self, name: str, path: Path, file: StoredFile) -> None:
        """Put a local file into a new object."""
        with self.asking(f"writing {self.uri}/{name}"):
            self.bucket.upload(name, path, file)

    def copy(self, source: str, target: str, file: StoredFile) -> None:
        """Copy an object on the server's side into a new one."""
        with self.asking(f"copying {self.uri}/{source} to {target}"):
            self.bucket.copy(source, target, file)

    def sha256(self, name: str) -> str:
        """Return the hexadecimal SHA-256 of an object."""
        with self.asking(f"reading {self.uri}/{name}"):
            return self.bucket.sha256(name)

    def download(self, name: str, path: Path) -> None:
        """Get an object into a new local file."""
        with self.asking(f"reading {self.uri}/{name}"):
            self.bucket.download(name, path)

    def find(self, prefix: str) -> Iterator[Listed]:
        """List all objects whose names begin with a prefix."""
        with self.asking(f"listing {self.uri}/{prefix}"):
            yield from self.bucket.find(prefix)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; a missing one is no error."""
        with self.asking(f"deleting {', '.join(names[:2])} in {self.uri}"):
            self.bucket.delete(names)
