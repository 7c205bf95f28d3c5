"""The parts in which a large file goes up, named after its content, each with its CRC-32C."""

from __future__ import annotations

import base64
from pathlib import Path

from attrs import frozen

from flowyml.errors import IntegrityError
from flowyml.records import StoredFile
from flowyml.storage.hashing import PIECE
from flowyml.storage.names import STAGING

__all__ = ["Part", "cut", "parts_of"]


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
            parts.append(Part(f"{parts_of(file)}{size}.{offset}", offset, length, _base64(crc)))
    return parts, _base64(whole)


def parts_of(file: StoredFile) -> str:
    """Return what the names of all parts of a file begin with."""
    return f"{STAGING}/{file.sha256}."


def _base64(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()
