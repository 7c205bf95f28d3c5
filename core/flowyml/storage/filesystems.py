"""A bucket over any fsspec filesystem."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import define, field

from flowyml.errors import IntegrityError
from flowyml.records import StoredFile
from flowyml.storage.buckets import Listed, Snapshot
from flowyml.storage.hashing import PIECE

__all__ = ["FilesystemBucket"]

_MODIFIED = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")


@define(eq=False)
class FilesystemBucket:
    """Objects below a root in an fsspec filesystem.

    `swap`, `upload` and `copy` are atomic among the threads of this process only, because fsspec
    has no conditional writes that all filesystems keep: a vendor overrides these three.

    Attributes:
        filesystem: The filesystem. Its cache of listings is emptied before each listing.
        uri: URI of the root, without a slash at its end.
    """

    filesystem: Any
    uri: str
    _root: str = field(init=False)
    _writing: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        """Find the root as the filesystem writes it."""
        self._root = str(self.filesystem._strip_protocol(self.uri)).rstrip("/")  # noqa: SLF001

    def address(self, name: str) -> str:
        """Return an object's name as the filesystem writes it: ``bucket/prefix/name``."""
        return f"{self._root}/{name}"

    def read(self, name: str, limit: int) -> Snapshot:
        """Read a small object; its version is a digest of its content."""
        try:
            with self.filesystem.open(self.address(name), "rb") as file:
                content: bytes = file.read(limit + 1)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as cause:
            # What filesystems say of a name below an object, or of one that is only a folder.
            raise FileNotFoundError(name) from cause
        if len(content) > limit:
            message = f"{self.uri}/{name} is longer than the {limit} bytes that it may have"
            raise IntegrityError(message)
        return Snapshot(content, hashlib.sha256(content).hexdigest())

    def swap(self, name: str, content: bytes, version: str | None) -> None:
        """Write a small object if it is in a known state."""
        with self._writing:
            try:
                found = self.read(name, max(len(content), 2**28)).version
            except FileNotFoundError:
                found = None
            if found != version:
                raise FileExistsError(name)
            self.filesystem.pipe_file(self.address(name), content)

    def upload(self, name: str, path: Path, file: StoredFile) -> None:  # noqa: ARG002
        """Put a local file into a new object."""
        with self._writing:
            self._must_be_new(name)
            self.filesystem.put_file(str(path), self.address(name))

    def copy(self, source: str, target: str, file: StoredFile) -> None:  # noqa: ARG002
        """Copy an object into a new one."""
        with self._writing:
            self._must_be_new(target)
            self.filesystem.cp_file(self.address(source), self.address(target))

    def _must_be_new(self, name: str) -> None:
        if self.filesystem.exists(self.address(name)):
            raise FileExistsError(name)

    def sha256(self, name: str) -> str:
        """Read the object and hash it."""
        hashed = hashlib.sha256()
        with self.filesystem.open(self.address(name), "rb") as file:
            while piece := file.read(PIECE):
                hashed.update(piece)
        return hashed.hexdigest()

    def download(self, name: str, path: Path) -> None:
        """Get an object into a new local file."""
        if not self.filesystem.exists(self.address(name)):
            raise FileNotFoundError(name)  # get_file would leave an empty file behind
        self.filesystem.get_file(self.address(name), str(path))

    def find(self, prefix: str) -> Iterator[Listed]:
        """List the objects whose names begin with a prefix."""
        folder = prefix.rpartition("/")[0]
        start = len(self._root) + 1
        self.filesystem.invalidate_cache()
        found = self.filesystem.find(f"{self._root}/{folder}".rstrip("/"), detail=True)
        for address, info in found.items():
            name = address[start:]
            if name.startswith(prefix):
                yield Listed(name, int(info["size"]), _modified(info))

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects, one by one."""
        for name in names:
            try:
                self.filesystem.rm_file(self.address(name))
            except FileNotFoundError:
                continue


def _modified(info: Mapping[str, Any]) -> datetime:
    """Find the time of the last change among the names that filesystems have for it."""
    found = next((info[key] for key in _MODIFIED if info.get(key)), None)
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    if isinstance(found, int | float):
        found = datetime.fromtimestamp(found, UTC)
    if found is None:  # as good as just written: nothing that cleans up touches it
        return datetime.now(UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
