"""PyArrow tables and batches: parquet or Arrow IPC, batch after batch."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar

from attrs import define, frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import RefusedError, Write
from flowyml.serialization.parquet_files import write_parquet
from flowyml.serialization.table_kinds import arrow_difference
from flowyml.storage.files import FileSink, FileSource

__all__ = ["BatchArrow", "GeneratorArrow", "ReaderArrow", "TableArrow", "TableParquet"]

TRIED = 8
"""Rows that are written and read back in memory before the format is chosen."""


@frozen
class TableParquet:
    """``data.parquet``: a `pyarrow.Table`, where parquet has all of its types."""

    name: ClassVar[str] = "parquet"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.parquet"

    def writer(self, value: object) -> Write:
        """Write and read a few rows first: parquet has no word for some types."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = _checked(value, pa.Table, self.name)
        file = io.BytesIO()
        try:
            write_parquet(table.slice(0, TRIED), file)
            again = pq.read_table(pa.BufferReader(file.getvalue()))
        except (pa.ArrowException, TypeError, ValueError) as cause:
            message = f"the table has no exact form in parquet: {cause}; ask for `format: arrow`"
            raise SerializationError(message) from cause
        _refuse_changes(table, again)
        return lambda sink: self._write(sink, table)

    def _write(self, sink: FileSink, table: Any) -> None:
        with sink.open(self.FILE) as file:
            write_parquet(table, file)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Read the whole table."""
        del trusted
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = source.path(self.FILE)
        try:
            return pq.read_table(path, memory_map=True)
        except (pa.ArrowException, OSError) as cause:
            raise _damaged(self.FILE, cause) from cause


@frozen
class TableArrow:
    """``data.arrow``: a `pyarrow.Table` as Arrow IPC, mapped into memory when it is read."""

    name: ClassVar[str] = "arrow"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.arrow"

    def writer(self, value: object) -> Write:
        """Take a table."""
        import pyarrow as pa

        table = _checked(value, pa.Table, self.name)
        return lambda sink: _write_file(sink, self.FILE, table.schema, table.to_batches())

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Map the table."""
        del trusted
        return _mapped(source, self.FILE).read_all()


@frozen
class BatchArrow(TableArrow):
    """``data.arrow``: one `pyarrow.RecordBatch`."""

    def writer(self, value: object) -> Write:
        """Take a batch."""
        import pyarrow as pa

        batch = _checked(value, pa.RecordBatch, self.name)
        return lambda sink: _write_file(sink, self.FILE, batch.schema, [batch])

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Map the only batch."""
        del trusted
        return _mapped(source, self.FILE).get_batch(0)


@frozen
class ReaderArrow:
    """``data.arrow``: a `pyarrow.RecordBatchReader`, never whole in memory."""

    name: ClassVar[str] = "arrow-reader"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.arrow"

    def writer(self, value: object) -> Write:
        """Take a reader; it can be read, and so stored, once."""
        import pyarrow as pa

        if not isinstance(value, pa.RecordBatchReader):
            message = f"this holds a pyarrow.RecordBatchReader, not a {type(value).__qualname__}"
            raise SerializationError(message)
        return _Once(self.FILE, value.schema, _yielded(value))

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Return a reader over the mapped file."""
        del trusted
        import pyarrow as pa

        file = _mapped(source, self.FILE)
        return pa.RecordBatchReader.from_batches(file.schema, _batches(file))


@frozen
class GeneratorArrow(ReaderArrow):
    """``data.arrow``: a generator of record batches, never whole in memory."""

    name: ClassVar[str] = "arrow-generator"

    def writer(self, value: Any) -> Write:
        """Look at the first batch for the schema; whatever else is generated is refused."""
        import pyarrow as pa

        batches = _yielded(value)
        first = next(batches, None)
        if not isinstance(first, pa.RecordBatch):
            made = "yielded nothing" if first is None else f"yields {type(first).__qualname__}"
            message = (
                f"the generator {made}, and only one of pyarrow.RecordBatch can be stored; "
                "return a list instead"
            )
            raise RefusedError(message)
        return _Once(self.FILE, first.schema, chain([first], batches))

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Return a generator over the mapped file."""
        del trusted
        return _batches(_mapped(source, self.FILE))


@define
class _Once:
    """Writes batches that can be had only once: a second attempt says so instead of losing them."""

    file: str
    schema: Any
    batches: Iterable[Any]
    begun: bool = False

    def __call__(self, sink: FileSink) -> None:
        if self.begun:
            message = (
                "the batches were read by an attempt to store them that failed, and cannot be "
                "read again; run the step again, or return a table"
            )
            raise SerializationError(message)
        self.begun = True
        _write_file(sink, self.file, self.schema, self.batches)


def _yielded(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield batches; what their maker raises is no failure of the store, and is not tried again."""
    try:
        yield from batches
    except Exception as cause:
        message = f"what yields its batches failed: {type(cause).__name__}: {cause}"
        raise RefusedError(message) from cause


def _checked(value: Any, cls: type, format_: str) -> Any:
    if type(value) is not cls:
        message = f"{format_} holds a pyarrow.{cls.__name__}, not a {type(value).__qualname__}"
        raise SerializationError(message)
    return value


def _refuse_changes(table: Any, again: Any) -> None:
    """Name the first column that parquet would give another type, or other values."""
    if found := arrow_difference(table.slice(0, TRIED), again):
        message = f"{found} would not come back from parquet as it is; ask for `format: arrow`"
        raise SerializationError(message)


def _write_file(sink: FileSink, name: str, schema: Any, batches: Iterable[Any]) -> None:
    import pyarrow as pa

    with sink.open(name) as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _mapped(source: FileSource, name: str) -> Any:
    import pyarrow as pa

    path = source.path(name)
    try:
        return pa.ipc.open_file(pa.memory_map(str(path)))
    except (pa.ArrowException, OSError) as cause:
        raise _damaged(name, cause) from cause


def _batches(file: Any) -> Iterator[Any]:
    return (file.get_batch(position) for position in range(file.num_record_batches))


def _damaged(name: str, cause: Exception) -> SerializationError:
    return SerializationError(f"{name} is not a table that FlowyML wrote: {cause}")
