"""Reading a stored artifact: nothing is given out before its size and digest were compared."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from attrs import define, field

from flowyml.errors import IntegrityError, NotFoundError
from flowyml.records import Manifest, StoredFile
from flowyml.storage.buckets import Bucket
from flowyml.storage.hashing import hash_file
from flowyml.storage.links import refuse_links
from flowyml.storage.scratch import scratch_home
from flowyml.storage.transfers import transfer

__all__ = ["SMALL", "BucketSource", "DiskSource", "by_name", "find_file", "refuse_encoded"]

SMALL = 4 * 2**20
"""Up to this size a file is read into memory, so that nothing can change it after it is checked."""

BLOCK = 512
"""Bytes in what ``stat`` counts as a block."""


def by_name(manifest: Manifest) -> dict[str, StoredFile]:
    """Return the data files by their names."""
    return {file.name: file for file in manifest.files}


def find_file(files: Mapping[str, StoredFile], name: str, uri: str) -> StoredFile:
    """Find a data file by name.

    Raises:
        NotFoundError: There is no such file.
    """
    try:
        return files[name]
    except KeyError as cause:
        known = ", ".join(list(files)[:10]) or "none"
        message = f"{uri} has no file {name!r}; it has {known}"
        raise NotFoundError(message) from cause


def refuse_encoded(manifest: Manifest, remaining: tuple[str, ...], uri: str) -> None:
    """Refuse to give out bytes that a stream filter changed.

    Raises:
        IntegrityError: Filters remain; the message names the one that has to be undone.
    """
    if remaining:
        message = (
            f"{uri} ({manifest.name!r}) is stored through the filter {remaining[-1]!r}, and no "
            "extension of this stack undoes it; name the extension under `extensions:`"
        )
        raise IntegrityError(message)


def _compare(file: StoredFile, size: int, sha256: str, uri: str) -> None:
    if size != file.size:
        message = (
            f"{file.name!r} of {uri} has {size} bytes, and {file.size} were written; "
            "restore it from a copy, or run its pipeline again"
        )
        raise IntegrityError(message)
    if sha256 != file.sha256:
        message = (
            f"{file.name!r} of {uri} has the SHA-256 {sha256}, and what was written had "
            f"{file.sha256}; restore it from a copy, or run its pipeline again"
        )
        raise IntegrityError(message)


def _missing(file: StoredFile, uri: str) -> IntegrityError:
    return IntegrityError(
        f"{file.name!r} of {uri} is missing; if the artifact was replaced or deleted just now, "
        "load it again, else restore it from a copy"
    )


@define(eq=False)
class DiskSource:
    """The files of an artifact on a local disk, read where they lie.

    A file that was verified is verified again only when the operating system says it has changed.
    """

    manifest: Manifest
    uri: str
    root: str
    folder: str
    _files: dict[str, StoredFile] = field(init=False)
    _verified: dict[str, tuple[int, ...]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Make the files easy to find."""
        self._files = by_name(self.manifest)

    @property
    def remaining(self) -> tuple[str, ...]:
        """Names of the filters that are not undone, the innermost first."""
        return self.manifest.filters

    def open(self, name: str) -> BinaryIO:
        """Open a verified file."""
        refuse_encoded(self.manifest, self.remaining, self.uri)
        return self.encoded(name)

    def encoded(self, name: str) -> BinaryIO:
        """Open a verified file as it lies in the store."""
        file = find_file(self._files, name, self.uri)
        raw = self._raw(file)
        try:
            if os.fstat(raw.fileno()).st_size == file.size <= SMALL:
                state = _state(raw)
                content = raw.read(file.size + 1) or b""
                _compare(file, len(content), hashlib.sha256(content).hexdigest(), self.uri)
                self._verified[file.name] = state
                raw.close()
                return io.BytesIO(content)
            self._verify(file, raw)
        except BaseException:
            raw.close()
            raise
        return cast("BinaryIO", io.BufferedReader(raw))

    def path(self, name: str) -> Path:
        """Return the file's own path, so that it can be mapped into memory."""
        refuse_encoded(self.manifest, self.remaining, self.uri)
        file = find_file(self._files, name, self.uri)
        with self._raw(file) as raw:
            self._verify(file, raw)
        return Path(self.folder, name)

    def _raw(self, file: StoredFile) -> io.FileIO:
        place = f"{self.folder}/{file.name}"
        refuse_links(self.root, place[len(self.root) + 1 :])
        try:
            return io.FileIO(place)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as cause:
            raise _missing(file, self.uri) from cause

    def _verify(self, file: StoredFile, raw: io.FileIO) -> None:
        """Compare an open file and leave it at its beginning."""
        state = _state(raw)
        if self._verified.get(file.name) == state:
            return
        size = os.fstat(raw.fileno()).st_size
        sha256 = ""
        if size == file.size:
            with transfer(f"reading {self.manifest.name}", size) as going:
                sha256 = hash_file(raw, going.advance)[1]
        _compare(file, size, sha256, self.uri)
        raw.seek(0)
        self._verified[file.name] = state


def _state(raw: io.FileIO) -> tuple[int, ...]:
    found = os.fstat(raw.fileno())
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@define(eq=False)
class BucketSource:
    """The files of an artifact in an object store, fetched once and verified.

    Large ones, and those whose path is asked for, lie in a temporary folder that lives as long as
    the source does.
    """

    manifest: Manifest
    uri: str
    bucket: Bucket
    prefix: str
    _files: dict[str, StoredFile] = field(init=False)
    _folder: Path | None = field(default=None, init=False)
    _fetching: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        """Make the files easy to find."""
        self._files = by_name(self.manifest)

    @property
    def remaining(self) -> tuple[str, ...]:
        """Names of the filters that are not undone, the innermost first."""
        return self.manifest.filters

    def open(self, name: str) -> BinaryIO:
        """Open a verified file."""
        refuse_encoded(self.manifest, self.remaining, self.uri)
        return self.encoded(name)

    def encoded(self, name: str) -> BinaryIO:
        """Open a verified file as it lies in the store."""
        file = find_file(self._files, name, self.uri)
        if file.size > SMALL:
            return _OwnedFile(self._fetch(file), self)
        with self._present(file):
            content = self.bucket.read(self.prefix + name, file.size).content
        _compare(file, len(content), hashlib.sha256(content).hexdigest(), self.uri)
        return io.BytesIO(content)

    def path(self, name: str) -> Path:
        """Return a local path with the verified content."""
        refuse_encoded(self.manifest, self.remaining, self.uri)
        return self.place(name)

    def place(self, name: str) -> Path:
        """Return a local path with the verified file as it lies in the store."""
        return self._fetch(find_file(self._files, name, self.uri))

    def _fetch(self, file: StoredFile) -> Path:
        with self._fetching:
            folder = self._temporary()
            place, draft = folder / "files" / file.name, folder / "draft"
            if place.exists():
                return place
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._compare_length(file)
                what = f"loading {self.manifest.name}"
                with self._present(file), transfer(what, file.size, partial(_arrived, folder)):
                    self.bucket.download(self.prefix + file.name, draft)
                with io.FileIO(draft) as raw:
                    _compare(file, *hash_file(raw), self.uri)
                return draft.rename(place)
            finally:
                draft.unlink(missing_ok=True)

    def _compare_length(self, file: StoredFile) -> None:
        """Refuse an object of another length before it fills the disk."""
        name = self.prefix + file.name
        found = next((one for one in self.bucket.find(name) if one.name == name), None)
        if found is not None and found.size != file.size:
            _compare(file, found.size, "", self.uri)

    @contextmanager
    def _present(self, file: StoredFile) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as cause:
            raise _missing(file, self.uri) from cause

    def _temporary(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(dir=scratch_home()))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder


def _arrived(folder: Path) -> int:
    """Return the length of what was downloaded so far; clients write it in any order."""
    size = 0
    for draft in folder.glob("draft*"):
        with suppress(OSError):  # it has just got its name
            found = draft.stat()
            size += getattr(found, "st_blocks", found.st_size // BLOCK) * BLOCK
    return size


class _OwnedFile(io.BufferedReader):
    """A file that keeps its source, and with it the temporary folder, alive."""

    def __init__(self, path: Path, source: BucketSource) -> None:
        super().__init__(io.FileIO(path))
        self._source = source
