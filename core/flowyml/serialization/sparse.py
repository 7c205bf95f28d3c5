"""SciPy sparse matrices and arrays."""

from __future__ import annotations

import zipfile
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.arrays import check_members, damage
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource

__all__ = ["SparseNpz"]

FORMATS = frozenset({"bsr", "coo", "csc", "csr", "dia"})


@frozen
class SparseNpz:
    """``data.npz``, the form that SciPy gives them itself, uncompressed."""

    name: ClassVar[str] = "npz"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.npz"

    def writer(self, value: Any) -> Write:
        """Refuse the formats that SciPy's file does not know, and elements that are objects."""
        if type(value).__module__.partition(".")[0] != "scipy" or value.format not in FORMATS:
            message = f"npz holds no {type(value).__qualname__}; convert it with tocsr() or tocoo()"
            raise SerializationError(message)
        if value.dtype.hasobject:
            message = "npz holds no sparse matrix of Python objects; give it a dtype"
            raise SerializationError(message)
        return lambda sink: self._write(sink, value)

    def _write(self, sink: FileSink, matrix: Any) -> None:
        import scipy.sparse

        with sink.open(self.FILE) as file:
            scipy.sparse.save_npz(file, matrix, compressed=False)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Read it whole."""
        del trusted
        import scipy.sparse

        with damage(self.FILE), source.open(self.FILE) as file:
            with zipfile.ZipFile(file) as archive:
                check_members(self.FILE, archive)
            file.seek(0)
            return scipy.sparse.load_npz(file)
