"""Undoing a stream filter: what an extension that encrypts or compresses does when it loads.

An extension wraps ``store_artifact`` and appends its `StreamFilter` to the request; it wraps
``load_artifact`` as well and returns `unfiltered` around what comes out. Filters are undone in the
opposite order, which the nesting of the wrappers gives by itself.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from attrs import define, field

from flowyml.errors import IntegrityError
from flowyml.records import Manifest
from flowyml.storage.files import FileSource
from flowyml.storage.hashing import PIECE
from flowyml.storage.scratch import scratch_home
from flowyml.storage.sources import SMALL, by_name, find_file, refuse_encoded

__all__ = ["EncodedSource", "unfiltered"]


class EncodedSource(FileSource, Protocol):
    """A source whose files may still have filters around them; every store gives such a one."""

    @property
    def uri(self) -> str:
        """The artifact."""

    @property
    def remaining(self) -> tuple[str, ...]:
        """Names of the filters that are not undone, the innermost first."""

    def encoded(self, name: str) -> BinaryIO:
        """Open a verified file with the remaining filters around it."""


def unfiltered(
    source: EncodedSource, name: str, decode: Callable[[BinaryIO], BinaryIO]
) -> EncodedSource:
    """Undo one filter, if the artifact was stored through it.

    Args:
        source: What the wrapped ``load_artifact`` returned.
        name: Name of the filter.
        decode: Given a stream to read the filtered bytes from, returns one with the plain bytes.

    Returns:
        A source with one filter less, or the given one where the artifact does not have it.

    Raises:
        IntegrityError: Another filter is around this one and has to be undone first.
    """
    if name not in source.remaining:
        return source
    if source.remaining[-1] != name:
        message = (
            f"the filter {name!r} of {source.uri} lies below {source.remaining[-1]!r}, which is "
            "not undone; name the extensions in the order in which the artifact was stored"
        )
        raise IntegrityError(message)
    return _Unfiltered(source, decode)


@define(eq=False)
class _Unfiltered:
    """A source with one filter less. The manifest, and so the digest, stays that of the store."""

    _source: EncodedSource
    _decode: Callable[[BinaryIO], BinaryIO]
    _folder: Path | None = field(default=None, init=False)

    @property
    def manifest(self) -> Manifest:
        return self._source.manifest

    @property
    def uri(self) -> str:
        return self._source.uri

    @property
    def remaining(self) -> tuple[str, ...]:
        return self._source.remaining[:-1]

    def open(self, name: str) -> BinaryIO:
        refuse_encoded(self.manifest, self.remaining, self.uri)
        return self.encoded(name)

    def encoded(self, name: str) -> BinaryIO:
        with self._source.encoded(name) as stored, self._decode(stored) as decoded:
            head = io.BytesIO()
            while head.tell() <= SMALL and (piece := decoded.read(PIECE)):
                head.write(piece)
            head.seek(0)
            return head if len(head.getbuffer()) <= SMALL else _on_disk(head, decoded)

    def path(self, name: str) -> Path:
        find_file(by_name(self.manifest), name, self.uri)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(dir=scratch_home()))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        place, draft = self._folder / "files" / name, self._folder / "draft"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with self.open(name) as stored, draft.open("xb") as file:
                shutil.copyfileobj(stored, file, PIECE)
            draft.rename(place)
        return place


def _on_disk(head: BinaryIO, rest: BinaryIO) -> BinaryIO:
    """Return a temporary file, gone when it is closed, with all that two streams have."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # given to the caller
    try:
        shutil.copyfileobj(head, file, PIECE)
        shutil.copyfileobj(rest, file, PIECE)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return cast("BinaryIO", file)
