"""Where serializers write: a local folder that no reader sees yet."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from attrs import define, field, frozen

from flowyml.errors import DeliveryError, SerializationError
from flowyml.records import Manifest, StoredFile
from flowyml.storage.files import FileSink, StreamFilter
from flowyml.storage.hashing import PIECE, HashingWriter, hash_file, write_new
from flowyml.storage.names import MANIFEST_NAME, check_names, fault_of_path

__all__ = ["Staged", "StagingSink", "copy_files"]


@frozen
class Staged:
    """The data files of an artifact, ready to be committed.

    Attributes:
        files: What they are, in the order of their names.
        place: Tells where one of them lies on the local disk.
        copy_from: Objects of the same bucket that have their content, in the same order.
    """

    files: tuple[StoredFile, ...]
    place: Callable[[str], Path]
    copy_from: Sequence[str] = ()


@define
class StagingSink:
    """Takes data files into a folder under their own names, hashing them as they are written.

    Attributes:
        folder: The folder, empty at first.
        filters: What goes around every file, the innermost first.
        copies: Whether `add` copies a file into the folder, or only notes where it lies. The file
            must then not change until it is uploaded.
        told: Is told of every number of bytes that were written, or read to be hashed.
    """

    folder: str
    filters: Sequence[StreamFilter] = ()
    copies: bool = True
    told: Callable[[int], None] = lambda _: None
    _files: dict[str, StoredFile] = field(factory=dict)
    _places: dict[str, str] = field(factory=dict)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open one new data file for writing."""
        place = self._place(name)
        try:
            raw = HashingWriter(place, self.told)
        except (FileExistsError, IsADirectoryError) as cause:
            raise _both(name) from cause
        try:
            with io.BufferedWriter(raw, PIECE) as writer:
                file = cast("BinaryIO", writer)
                if self.filters:
                    with self._filtered(file) as outermost:
                        yield outermost
                else:
                    yield file
        except BaseException:
            Path(place).unlink(missing_ok=True)
            raise
        self._keep(name, place, *raw.digest())

    @contextmanager
    def _filtered(self, file: BinaryIO) -> Iterator[BinaryIO]:
        """Put the filters around a file; what the serializer writes meets the innermost first."""
        with ExitStack() as streams:
            stream = file
            for layer in reversed(self.filters):
                stream = layer.encode(stream)
                streams.callback(stream.close)
            yield stream

    def put(self, name: str, content: bytes) -> None:
        """Write one new data file whose content is in memory already."""
        view = memoryview(content).cast("B")
        if self.filters or len(view) > PIECE:
            with self.open(name) as file:
                file.write(view)
            return
        place = self._place(name)
        try:
            write_new(place, view)
        except (FileExistsError, IsADirectoryError) as cause:
            raise _both(name) from cause
        self.told(len(view))
        self._keep(name, place, len(view), hashlib.sha256(view).hexdigest())

    def add(self, name: str, path: Path) -> None:
        """Take an existing file."""
        with path.open("rb", buffering=0) as file:
            if self.copies or self.filters:
                with self.open(name) as target:
                    shutil.copyfileobj(file, target, PIECE)
            else:
                self._check(name)
                before = os.fstat(file.fileno())
                size, sha256 = hash_file(file, self.told)
                after = os.fstat(file.fileno())
                if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    message = f"{path} changed while it was stored; let its writer finish first"
                    raise DeliveryError(message, transient=True)
                self._keep(name, str(path.absolute()), size, sha256)

    @contextmanager
    def reserve(self, name: str) -> Iterator[Path]:
        """Give a path to write a file or a folder to."""
        place = Path(self._place(name))
        yield place
        for path in _written(name, place):
            below = path.relative_to(place).as_posix()
            self._take(name if path == place else f"{name}/{below}", path)

    def files(self) -> tuple[StoredFile, ...]:
        """Return what was written, in the order of the names.

        Raises:
            SerializationError: The names cannot lie in one folder together.
        """
        try:
            check_names(self._files)
        except ValueError as cause:
            raise SerializationError(str(cause)) from cause
        return tuple(self._files[name] for name in sorted(self._files))

    def place(self, name: str) -> Path:
        """Return where a data file lies now."""
        return Path(self._places[name])

    def staged(self) -> Staged:
        """Return all that was written.

        Raises:
            SerializationError: The names cannot lie in one folder together.
        """
        return Staged(self.files(), self.place)

    def _check(self, name: str) -> None:
        fault = fault_of_path(name)
        if fault is None and name in self._files:
            fault = "it is written twice"
        if fault is None and name.partition("/")[0] == MANIFEST_NAME:
            fault = "it is the manifest's own"
        if fault is not None:
            message = f"the file name {name!r} cannot be stored: {fault}"
            raise SerializationError(message)

    def _place(self, name: str) -> str:
        self._check(name)
        place = f"{self.folder}/{name}"
        if "/" in name:
            try:
                os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120  # hot
            except (FileExistsError, NotADirectoryError) as cause:
                raise _both(name) from cause
        return place

    def _keep(self, name: str, place: str, size: int, sha256: str) -> None:
        self._files[name] = StoredFile(name, size, sha256)
        self._places[name] = place

    def _take(self, name: str, path: Path) -> None:
        """Hash a file that a library wrote into the folder, or replace it by its filtered form."""
        self._check(name)
        if not self.filters:
            with path.open("rb", buffering=0) as file:
                self._keep(name, str(path), *hash_file(file, self.told))
            return
        plain = path.rename(path.with_name(path.name + ".unfiltered"))
        try:
            self.add(name, plain)
        finally:
            plain.unlink()


def copy_files(manifest: Manifest, opened: Callable[[str], BinaryIO], sink: FileSink) -> None:
    """Write the data files of a stored artifact once more.

    Args:
        manifest: What its files are.
        opened: Opens one of them, verified.
        sink: Takes them.
    """
    for file in manifest.files:
        with opened(file.name) as source, sink.open(file.name) as target:
            shutil.copyfileobj(source, target, PIECE)


def _both(name: str) -> SerializationError:
    message = f"the file name {name!r} cannot be stored: it, or a folder in it, is another file's"
    return SerializationError(message)


def _written(name: str, place: Path) -> Iterator[Path]:
    """List the files that were written to a reserved path; links and the like are refused."""
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError as cause:
        message = f"nothing was written to {name!r}"
        raise SerializationError(message) from cause
    if stat.S_ISDIR(mode):
        for entry in sorted(place.iterdir()):
            yield from _written(f"{name}/{entry.name}", entry)
    elif stat.S_ISREG(mode):
        yield place
    else:
        message = f"{name!r} is neither a file nor a folder and cannot be stored"
        raise SerializationError(message)
