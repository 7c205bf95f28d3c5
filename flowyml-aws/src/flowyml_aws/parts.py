"""Multipart uploads: parallel, checked by the server, and continued where a killed one stopped."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from flowyml.storage.hashing import PIECE
from flowyml.storage.transfers import moved

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = [
    "ORPHANED",
    "PART_SIZE",
    "Part",
    "Window",
    "base64_sha256",
    "orphans",
    "parts_there",
    "upload_parts",
]

PART_SIZE: Final = 8 * 2**20
MOST_PARTS: Final = 10_000
THREADS: Final = 8
ORPHANED: Final = timedelta(days=7)
"""An upload that nobody went on with for so long belongs to nobody."""


class Window(io.RawIOBase):
    """A part of a local file, as a file of its own: what is sent is never held in memory."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        """Open the file; the caller closes this."""
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._start = start
        self._size = size
        self._place = 0
        self._file.seek(start)

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: a call that is tried again starts again."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move within the part."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        self._file.seek(self._start + self._place)
        return self._place

    def tell(self) -> int:
        """Return the place within the part."""
        return self._place

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read no further than the part goes."""
        with memoryview(buffer).cast("B") as view:
            wanted = min(len(view), self._size - self._place)
            if wanted <= 0:
                return 0
            count = self._file.readinto(view[:wanted])
        self._place += count
        return count

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            super().close()
            self._file.close()


@frozen
class Part:
    """A part of a file that goes up.

    Attributes:
        number: Counted from 1.
        start: First byte.
        size: Length in bytes.
    """

    number: int
    start: int
    size: int

    def crc32(self, path: Path) -> str:
        """Return the CRC-32 in base64, as S3 writes it.

        It only has to tell what the line did to a part: the SHA-256 of the whole is known already,
        and taking another one of each part would cost as much again, here and on the server.
        """
        crc = 0
        for piece in self._pieces(path):
            crc = zlib.crc32(piece, crc)
        return base64.b64encode(crc.to_bytes(4, "big")).decode()

    def md5(self, path: Path) -> str:
        """Return the MD5 in hexadecimal, as in an ETag."""
        hashed = hashlib.md5(usedforsecurity=False)
        for piece in self._pieces(path):
            hashed.update(piece)
        return hashed.hexdigest()

    def _pieces(self, path: Path) -> Iterator[memoryview]:
        buffer = bytearray(PIECE)
        with Window(path, self.start, self.size) as file, memoryview(buffer) as view:
            while count := file.readinto(buffer):
                yield view[:count]


def base64_sha256(hexadecimal: str) -> str:
    """Return a digest in the form that S3's headers have."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def split(size: int) -> list[Part]:
    """Cut a length into parts, larger ones where there would be too many."""
    length = max(PART_SIZE, -(-size // MOST_PARTS))
    starts = range(0, size, length)
    return [
        Part(number, start, min(length, size - start)) for number, start in enumerate(starts, 1)
    ]


def upload_parts(
    client: Any,
    target: Mapping[str, str],
    upload_id: str,
    path: Path,
    size: int,
    there: Mapping[int, Any],
) -> list[dict[str, Any]]:
    """Send all parts of a file that are not there yet.

    Args:
        client: Client for S3.
        target: ``Bucket``, ``Key`` and whatever else every call needs.
        upload_id: The multipart upload.
        path: The file.
        size: Its length in bytes.
        there: What an earlier attempt sent, as `parts_there` found it.

    Returns:
        The list of parts that completes the upload.
    """
    parts = split(size)
    with ThreadPoolExecutor(THREADS, "flowyml-s3") as threads:
        sending = [
            threads.submit(_send, client, target, upload_id, path, part, there.get(part.number))
            for part in parts
        ]
        sent = []
        try:
            for part, done in zip(parts, sending, strict=True):
                sent.append(done.result())
                moved(part.size)
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    return sent


def _send(
    client: Any,
    target: Mapping[str, str],
    upload_id: str,
    path: Path,
    part: Part,
    there: Mapping[str, Any] | None,
) -> dict[str, Any]:
    crc32 = part.crc32(path)
    if there is not None and there["Size"] == part.size and _is_same(there, part, path, crc32):
        return {"PartNumber": part.number, "ETag": there["ETag"], "ChecksumCRC32": crc32}
    with Window(path, part.start, part.size) as body:
        sent = client.upload_part(
            **target,
            UploadId=upload_id,
            PartNumber=part.number,
            Body=body,
            ContentLength=part.size,
            ChecksumCRC32=crc32,
        )
    return {"PartNumber": part.number, "ETag": sent["ETag"], "ChecksumCRC32": crc32}


def _is_same(there: Mapping[str, Any], part: Part, path: Path, crc32: str) -> bool:
    """Whether a part that lies there is this one; not every server tells its CRC-32."""
    return there.get("ChecksumCRC32") == crc32 or there["ETag"].strip('"') == part.md5(path)


def parts_there(client: Any, target: Mapping[str, str], upload_id: str) -> dict[int, Any]:
    """Return what an earlier attempt sent of an upload, by number."""
    pages = client.get_paginator("list_parts").paginate(**target, UploadId=upload_id)
    return {part["PartNumber"]: part for page in pages for part in page.get("Parts", ())}


def orphans(client: Any, bucket: str, prefix: str) -> Iterator[tuple[str, str, bool]]:
    """List unfinished uploads below a prefix: key, id, and whether it belongs to nobody any more.

    Those that were begun last come first.
    """
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    found = [upload for page in pages for upload in page.get("Uploads", ())]
    found.sort(key=lambda upload: upload["Initiated"], reverse=True)
    limit = datetime.now(UTC) - ORPHANED
    for upload in found:
        yield upload["Key"], upload["UploadId"], upload["Initiated"] < limit
