"""pandas frames and series: parquet, or Arrow IPC on request."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, ClassVar

from attrs import define, field, frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.serialization.frame_columns import Columns, TableColumns
from flowyml.serialization.frame_tables import (
    difference,
    frame_to_table,
    make_frame,
    spec_of,
)
from flowyml.serialization.parquet_files import write_parquet
from flowyml.storage.files import FileSink, FileSource

__all__ = ["FrameArrow", "FrameParquet", "SeriesArrow", "SeriesParquet"]

TRIED = 8
"""Rows that are written and read back in memory before the format is chosen."""

AT_ONCE = 48 * 2**20
"""Bytes of columns that are in memory twice at once while a frame is read."""

PIECE = 2**18
"""Rows of a long column that are read at once."""


@frozen
class FrameParquet:
    """``data.parquet``: a `pandas.DataFrame`."""

    name: ClassVar[str] = "parquet"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.parquet"

    def writer(self, value: object) -> Write:
        """Make the Arrow table, which shares the frame's memory, and see that it comes back."""
        frame = self._frame(value)
        table = frame_to_table(frame)
        self._try(frame.iloc[:TRIED], table.slice(0, TRIED))
        return lambda sink: self._write(sink, table)

    def _frame(self, value: object) -> Any:
        import pandas as pd

        if type(value) is not pd.DataFrame:
            message = f"{self.name} holds a pandas.DataFrame, not a {type(value).__qualname__}"
            raise SerializationError(message)
        return value

    def _try(self, frame: Any, table: Any) -> None:
        """Write and read a few rows: dtypes, labels and index must come back as they are."""
        import pyarrow as pa

        file = io.BytesIO()
        try:
            self._write_table(table, file)
            with self._reader(pa.BufferReader(file.getvalue())) as (metadata, columns):
                again = make_frame(spec_of(metadata), columns, len(frame))
        except (pa.ArrowException, TypeError, ValueError) as cause:
            message = f"the frame has no exact form in {self.name}: {cause}"
            raise SerializationError(message) from cause
        if found := difference(frame, again):
            message = f"{found} would not come back from {self.name} as it is"
            raise SerializationError(message)

    def _write(self, sink: FileSink, table: Any) -> None:
        with sink.open(self.FILE) as file:
            self._write_table(table, file)

    def _write_table(self, table: Any, file: Any) -> None:
        write_parquet(table, file)

    @contextmanager
    def _reader(self, file: Any) -> Iterator[tuple[dict[bytes, bytes], Columns]]:
        """Open the file for reading a few columns at a time."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(file, memory_map=True) as parquet:
            metadata = parquet.schema_arrow.metadata
            yield metadata, _ParquetColumns(parquet, tuple(spec_of(metadata)["names"]))

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Read, and give back the labels and types that parquet forgot."""
        del trusted
        import pyarrow as pa

        path = source.path(self.FILE)
        try:
            with self._reader(path) as (metadata, columns):
                return make_frame(spec_of(metadata), columns)
        except (pa.ArrowException, MemoryError, OSError) as cause:
            message = f"{self.FILE} is not a frame that FlowyML wrote: {cause}"
            raise SerializationError(message) from cause


@define
class _ParquetColumns:
    """The columns of a parquet file: several short ones are read at once, a long one in pieces."""

    parquet: Any
    names: tuple[str, ...]
    _sizes: dict[str, int] = field(init=False)
    _read: dict[str, Any] = field(factory=dict, init=False)

    @_sizes.default
    def _known_sizes(self) -> dict[str, int]:
        """Tell how long each column is; a nested one is several columns to parquet."""
        metadata, sizes = self.parquet.metadata, dict.fromkeys(self.names, 0)
        paths = [self.parquet.schema.column(i).path for i in range(metadata.num_columns)]
        roots = [path if path in sizes else path.partition(".")[0] for path in paths]
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            for i, root in enumerate(roots):
                sizes[root] = sizes.get(root, 0) + group.column(i).total_uncompressed_size
        return sizes

    @property
    def rows(self) -> int:
        """How many rows each of them has."""
        count: int = self.parquet.metadata.num_rows
        return count

    def whole(self, name: str) -> Any:
        """Return a column, reading those after it along where they are short."""
        if name not in self._read:
            wanted = self._from(name)
            table = self.parquet.read(columns=wanted)
            self._read = {one: table.column(one) for one in wanted}
        return self._read.pop(name)

    def pieces(self, name: str) -> Iterable[Any]:
        """Return a column in pieces."""
        if self._sizes[name] <= AT_ONCE:
            chunks: list[Any] = self.whole(name).chunks
            return chunks
        batches = self.parquet.iter_batches(batch_size=PIECE, columns=[name])
        return (batch.column(0) for batch in batches)

    def _from(self, name: str) -> list[str]:
        """Name a column and the next ones, as many as may be in memory twice."""
        start = self.names.index(name)
        ends = accumulate(self._sizes[one] for one in self.names[start:])
        return list(self.names[start : start + max(1, sum(end <= AT_ONCE for end in ends))])


@frozen
class FrameArrow(FrameParquet):
    """``data.arrow``: a `pandas.DataFrame` as Arrow IPC, for other programs to map."""

    name: ClassVar[str] = "arrow"

    FILE: ClassVar[str] = "data.arrow"

    def _write_table(self, table: Any, file: Any) -> None:
        import pyarrow as pa

        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=2**20)

    @contextmanager
    def _reader(self, file: Any) -> Iterator[tuple[dict[bytes, bytes], Columns]]:
        import pyarrow as pa

        opened = file if isinstance(file, pa.NativeFile) else pa.memory_map(str(file))
        with opened, pa.ipc.open_file(opened) as reader:
            table = reader.read_all()
            yield table.schema.metadata, TableColumns(table)


class _OfSeries:
    """Puts a series into a frame of one column, and takes it out again."""

    def _frame(self, value: object) -> Any:
        import pandas as pd

        if type(value) is not pd.Series:
            message = f"this holds a pandas.Series, not a {type(value).__qualname__}"
            raise SerializationError(message)
        frame = pd.DataFrame({0: value}, copy=False)
        frame.columns = pd.Index([value.name], dtype=object, tupleize_cols=False)
        frame.attrs = value.attrs
        return frame.set_flags(allows_duplicate_labels=value.flags.allows_duplicate_labels)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Take the only column of the frame."""
        frame: Any = super().read(source, trusted=trusted)  # type: ignore[misc]  # of the frame's
        series = frame.iloc[:, 0]
        series.attrs = frame.attrs
        return series.set_flags(allows_duplicate_labels=frame.flags.allows_duplicate_labels)


@frozen
class SeriesParquet(_OfSeries, FrameParquet):
    """``data.parquet``: a `pandas.Series`."""


@frozen
class SeriesArrow(_OfSeries, FrameArrow):
    """``data.arrow``: a `pandas.Series` as Arrow IPC."""
