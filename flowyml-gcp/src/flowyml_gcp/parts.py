"""A large file goes up as parts, objects of their own, which the server composes to one.

They are named after the content, so that those which an earlier attempt sent are found and not sent
again.
"""

from __future__ import annotations

import base64
import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from flowyml.errors import IntegrityError
from flowyml.records import StoredFile
from flowyml.storage.hashing import PIECE
from flowyml.storage.names import STAGING
from flowyml.storage.transfers import moved

if TYPE_CHECKING:
    from flowyml_gcp.buckets import GCSBucket

__all__ = ["Composition", "Part", "cut", "making"]

MOST_PARTS: Final = 32
"""What Cloud Storage composes in one call."""

MOST_TRIES: Final = 3
"""How often parts are sent that somebody else took away."""

TOGETHER: Final = 8
"""Calls that compose, at a time."""

IN_MEMORY: Final = 3
"""Parts that are sent at a time, each of them in memory."""


@frozen
class Composition:
    """One object that is composed of parts.

    Attributes:
        bucket: Where.
        name: The object's name.
        path: The local file.
        file: Its size and digest.
        part_size: Bytes of a part.
    """

    bucket: GCSBucket
    name: str
    path: Path
    file: StoredFile
    part_size: int

    def make(self, blob: Any) -> None:
        """Send what is not there, and compose it to a new object.

        Args:
            blob: The client's handle for the object, with what it is made with.

        Raises:
            FileExistsError: The object is there already.
            IntegrityError: It came together as other bytes.
        """
        try:
            whole = self._composed(blob)
        except FileExistsError:
            self._tidy()  # an attempt that was killed may have been as far as this
            raise
        if blob.crc32c != whole:
            blob.delete(**self.bucket.calling)
        self._tidy()
        if blob.crc32c != whole:
            message = (
                f"{self.bucket.uri}/{self.name} came together as other bytes than were sent; "
                "try again"
            )
            raise IntegrityError(message)

    def _composed(self, blob: Any) -> str:
        """Send the parts that are not there, then compose them; return the CRC-32C to expect.

        Whoever uploads the same content to another name takes the parts away once it is done with
        them; they are sent again then.
        """
        from google.api_core.exceptions import NotFound

        if blob.exists(**self.bucket.calling):
            raise FileExistsError(self.name)  # before hours of uploading, not after
        parts, whole = cut(self.path, self.file, self.part_size)
        for left in range(MOST_TRIES - 1, -1, -1):
            self._send_missing(parts)
            try:
                sources = self._joined([part.name for part in parts])
                with making(blob, self.name):
                    self._join(blob, sources, if_generation_match=0)
                break
            except NotFound:
                if not left:
                    raise
        return whole

    def _joined(self, names: Sequence[str]) -> Sequence[str]:
        """Compose more objects than go into one call until they do; return what is left."""
        rounds = 0
        while len(names) > MOST_PARTS:
            rounds += 1
            groups = [names[n : n + MOST_PARTS] for n in range(0, len(names), MOST_PARTS)]
            names = [f"{_parts_of(self.file)}joined.{rounds}.{n}" for n in range(len(groups))]
            with ThreadPoolExecutor(TOGETHER) as threads:
                deque(threads.map(self._join, map(self.bucket.blob, names), groups), maxlen=0)
        return names

    def _join(self, blob: Any, names: Sequence[str], **condition: int) -> None:
        blob.content_type = "application/octet-stream"
        sources = [self.bucket.blob(name) for name in names]
        blob.compose(sources, **condition, **self.bucket.calling)

    def _send_missing(self, parts: Sequence[Part]) -> None:
        sent = {one.name: one.size for one in self.bucket.find(_parts_of(self.file))}
        missing = [part for part in parts if sent.get(part.name) != part.size]
        with ThreadPoolExecutor(IN_MEMORY) as threads:
            sending = [threads.submit(self.send, part) for part in missing]
            try:
                for part, done in zip(missing, sending, strict=True):
                    done.result()
                    moved(part.size)
            except BaseException:
                threads.shutdown(wait=True, cancel_futures=True)
                raise

    def send(self, part: Part) -> None:
        """Send one part, whatever lies there."""
        with self.path.open("rb") as content:
            content.seek(part.offset)
            blob = self.bucket.blob(part.name)
            blob.crc32c = part.crc32c
            blob.upload_from_string(
                content.read(part.size),
                content_type="application/octet-stream",
                checksum="crc32c",
                **self.bucket.calling,
            )

    def _tidy(self) -> None:
        """Take away the parts."""
        self.bucket.delete([one.name for one in self.bucket.find(_parts_of(self.file))])


@contextlib.contextmanager
def making(blob: Any, name: str) -> Iterator[None]:
    """Tell that a new object is there already, or that something else than the service answered.

    Args:
        blob: The client's handle for it, which learns its generation from the answer.
        name: The object's name.
    """
    from google.api_core.exceptions import PreconditionFailed
    from google.cloud.storage.exceptions import InvalidResponse

    try:
        yield
    except PreconditionFailed as cause:
        raise FileExistsError(name) from cause
    if blob.generation is None:
        message = "the answer names no generation"
        raise InvalidResponse(None, message)


@frozen
class Part:
    """A part of a file, and the object that it becomes.

    Attributes:
        name: Name of the object.
        offset: Where it begins in the file.
        size: How many bytes it has.
        crc32c: Its CRC-32C, as Cloud Storage writes it.
    """

    name: str
    offset: int
    size: int
    crc32c: str


def cut(path: Path, file: StoredFile, size: int) -> tuple[list[Part], str]:
    """Cut a file into parts of one size; return them and the CRC-32C of the whole.

    Raises:
        IntegrityError: The file is shorter than it was.
    """
    import google_crc32c

    parts, whole = [], 0
    with path.open("rb") as content:
        for offset in range(0, file.size, size):
            crc, length = 0, min(size, file.size - offset)
            left = length
            while left:
                piece = content.read(min(PIECE, left))
                if not piece:
                    message = f"{path} became shorter while it was stored"
                    raise IntegrityError(message)
                crc, whole = google_crc32c.extend(crc, piece), google_crc32c.extend(whole, piece)
                left -= len(piece)
            parts.append(Part(f"{_parts_of(file)}{size}.{offset}", offset, length, _base64(crc)))
    return parts, _base64(whole)


def _parts_of(file: StoredFile) -> str:
    """Return what the names of all parts of a file begin with."""
    return f"{STAGING}/{file.sha256}."


def _base64(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()
