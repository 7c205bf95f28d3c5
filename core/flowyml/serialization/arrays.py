"""NumPy arrays: ``.npy`` for one, ``.npz`` for a dict of them, always without pickle."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, ClassVar, cast

from attrs import frozen

from flowyml.errors import FlowyMLError, SerializationError
from flowyml.serialization.contract import RefusedError, Write
from flowyml.storage.files import FileSink, FileSource

__all__ = ["Npy", "Npz", "check_members", "damage"]

PIECE = 4 * 2**20
"""Bytes handed over at once, so that hashing and writing take turns in the processor's cache."""

LONGEST_HEADER = 9_000
"""Characters of a dtype's description; NumPy reads headers of up to 10,000 from strangers."""

MAPPED_FROM = 2**20
"""Bytes from which an array is mapped into memory rather than read."""


@frozen
class Npy:
    """``data.npy``: one array, mapped into memory when it is read.

    What comes back is a private copy as far as anybody can tell: it may be written to, and the file
    never changes.
    """

    name: ClassVar[str] = "npy"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.npy"

    def writer(self, value: object) -> Write:
        """Refuse arrays whose elements are Python objects, and classes derived from arrays."""
        array = _plain(value)
        return lambda sink: self._write(sink, array)

    def _write(self, sink: FileSink, array: Any) -> None:
        with sink.open(self.FILE) as file:
            write_array(file, array)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Check that the header promises as much as the file holds, then map it."""
        del trusted
        import numpy as np

        with damage(self.FILE), source.open(self.FILE) as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            if size < MAPPED_FROM:
                check_promise(file, size)
                return np.lib.format.read_array(file, allow_pickle=False)
        path = source.path(self.FILE)
        with damage(self.FILE):
            return np.lib.format.open_memmap(path, mode="c").view(np.ndarray)


@frozen
class Npz:
    """``data.npz``: a dict of arrays by name, uncompressed."""

    name: ClassVar[str] = "npz"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.npz"

    def writer(self, value: object) -> Write:
        """Refuse anything but a dict from text to arrays."""
        if type(value) is not dict or not all(type(key) is str for key in value):
            message = f"npz holds a dict of arrays by name, not this {type(value).__qualname__}"
            raise SerializationError(message)
        arrays = {key: _named_array(key, item) for key, item in value.items()}
        return lambda sink: self._write(sink, arrays)

    def _write(self, sink: FileSink, arrays: dict[str, Any]) -> None:
        with sink.open(self.FILE) as file, zipfile.ZipFile(file, "w") as archive:
            for key, array in arrays.items():
                entry = zipfile.ZipInfo(
                    f"{key}.npy"
                )  # its date is fixed: equal arrays, equal bytes
                with archive.open(entry, "w", force_zip64=True) as member:
                    write_array(cast("BinaryIO", member), array)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Read member by member; a compressed one is none of ours and could be a bomb."""
        del trusted
        import numpy as np

        arrays: dict[str, Any] = {}
        with (
            damage(self.FILE),
            source.open(self.FILE) as file,
            zipfile.ZipFile(file) as archive,
        ):
            check_members(self.FILE, archive)
            for entry in archive.infolist():
                with archive.open(entry) as member:
                    array = np.lib.format.read_array(member, allow_pickle=False)
                    arrays[entry.filename.removesuffix(".npy")] = array
        return arrays


def write_array(file: BinaryIO, array: Any) -> None:
    """Write an array in pieces that are not copied, unless its elements lie scattered."""
    import numpy as np

    flat = array if array.flags.c_contiguous else array.T
    header = _common_header(array)
    if header and array.nbytes and flat.flags.c_contiguous:
        file.write(header)
        content = memoryview(flat.reshape(-1).view(np.uint8))
        file.writelines(content[start : start + PIECE] for start in range(0, len(content), PIECE))
    else:
        version = (1, 0) if header else (3, 0)
        np.lib.format.write_array(file, array, version=version, allow_pickle=False)


def _common_header(array: Any) -> bytes | None:
    """Return the header of version 1, or None where it is too long or in another script."""
    import numpy as np

    header = io.BytesIO()
    try:
        np.lib.format.write_array_header_1_0(
            header, np.lib.format.header_data_from_array_1_0(array)
        )
    except ValueError:
        return None
    return header.getvalue()


def check_promise(file: BinaryIO, size: int) -> None:
    """Refuse an array whose header promises more than there is, before room is made for it.

    Args:
        file: At the beginning of the array, where it is left as well.
        size: Length of header and content together, in bytes.

    Raises:
        ValueError: It is no array, or its content is shorter than its header says.
    """
    import numpy as np

    form = np.lib.format
    # Version 3 is version 2 with names in UTF-8, which have no say in how long the content is.
    first = form.read_magic(file) == (1, 0)
    read_header = form.read_array_header_1_0 if first else form.read_array_header_2_0
    shape, _, dtype = read_header(file)
    promised, there = dtype.itemsize * math.prod(shape), size - file.tell()
    if promised > there and not dtype.hasobject:
        message = f"its header promises {promised} bytes, and {there} are there"
        raise ValueError(message)
    file.seek(0)


def check_members(name: str, archive: zipfile.ZipFile) -> None:
    """Refuse what would become more than it is: FlowyML compresses no member, and none lies.

    Raises:
        SerializationError: A member is compressed.
        ValueError: A member is no array, or shorter than it says.
    """
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            message = f"{name}: {entry.filename!r} is compressed, which FlowyML never does"
            raise SerializationError(message)
        with archive.open(entry) as member:
            check_promise(cast("BinaryIO", member), entry.file_size)


def _plain(value: Any) -> Any:
    """Return the array itself if ``.npy`` holds it exactly."""
    import numpy as np

    if type(value) is np.memmap:
        return value.view(np.ndarray)  # what it maps is what is stored
    if type(value) is not np.ndarray:
        message = (
            f"npy holds a numpy.ndarray, not a {type(value).__module__}.{type(value).__qualname__}"
        )
        raise SerializationError(message)
    if value.dtype.hasobject and value.dtype.kind != "T":
        message = (
            "an array of Python objects has no format that is exact and safe; give it a dtype "
            "(astype), return a list, or ask for `format: pickle`"
        )
        raise RefusedError(message)
    if not _is_described(value.dtype):
        message = f"npy cannot describe the dtype {value.dtype!r} exactly; ask for `format: pickle`"
        raise RefusedError(message)
    return value


def _is_described(dtype: Any) -> bool:
    """Whether a dtype survives the header; offsets, titles and attached metadata may not."""
    import numpy as np

    if dtype.metadata or dtype.kind == "T":
        return False
    try:
        described = np.lib.format.dtype_to_descr(dtype)
        again = np.lib.format.descr_to_dtype(described)
    except (TypeError, ValueError):
        return False
    return bool(again == dtype) and len(repr(described)) < LONGEST_HEADER


def _named_array(key: str, item: object) -> Any:
    try:
        return _plain(item)
    except SerializationError as cause:
        message = f"{key!r}: {cause}"
        raise type(cause)(message) from cause


@contextmanager
def damage(name: str) -> Iterator[None]:
    """Turn whatever NumPy and zipfile say about a bad file into an error that names it."""
    try:
        yield
    except FlowyMLError:
        raise
    except (
        ValueError,
        TypeError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        OverflowError,
    ) as cause:
        message = f"{name} is not an array that FlowyML wrote: {cause}"
        raise SerializationError(message) from cause
