"""Polars frames and series: parquet, or Arrow IPC for types that parquet has no word for."""

from __future__ import annotations

import io
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource

__all__ = [
    "LazyParquet",
    "PolarsArrow",
    "PolarsParquet",
    "PolarsSeriesArrow",
    "PolarsSeriesParquet",
]

TRIED = 8
"""Rows that are written and read back in memory before the format is chosen."""


@frozen
class PolarsParquet:
    """``data.parquet``: a `polars.DataFrame`."""

    name: ClassVar[str] = "parquet"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.parquet"

    def writer(self, value: object) -> Write:
        """Write and read a few rows first: not every type comes back."""
        frame = self._frame(value)
        self._try(frame.head(TRIED))
        return lambda sink: self._write(sink, frame)

    def _frame(self, value: object) -> Any:
        import polars as pl

        if type(value) is not pl.DataFrame:
            message = f"{self.name} holds a polars.DataFrame, not a {type(value).__qualname__}"
            raise SerializationError(message)
        return value

    def _try(self, head: Any) -> None:
        import polars as pl

        file = io.BytesIO()
        try:
            self._write_frame(head, file)
            file.seek(0)
            again = self._read_frame(file)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OSError) as cause:
            message = f"the frame has no exact form in {self.name}: {cause}"
            raise SerializationError(message) from cause
        for name, dtype in head.schema.items():
            if again.schema.get(name) != dtype or not again[name].equals(head[name]):
                found = again.schema.get(name)
                message = (
                    f"the column {name!r} of type {dtype} would come back as {found} "
                    f"from {self.name}; cast it, or ask for `format: pickle`"
                )
                raise SerializationError(message)
        if again.shape != head.shape:
            message = f"a frame of the shape {head.shape} would come back as {again.shape}"
            raise SerializationError(message)

    def _write(self, sink: FileSink, frame: Any) -> None:
        with sink.open(self.FILE) as file:
            self._write_frame(frame, file)

    def _write_frame(self, frame: Any, file: Any) -> None:
        frame.write_parquet(file)

    def _read_frame(self, file: Any) -> Any:
        import polars as pl

        return pl.read_parquet(file)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Read the whole frame."""
        del trusted
        import polars as pl

        path = source.path(self.FILE)
        try:
            return self._read_frame(path)
        except (pl.exceptions.PolarsError, OSError) as cause:
            message = f"{self.FILE} is not a frame that FlowyML wrote: {cause}"
            raise SerializationError(message) from cause


@frozen
class PolarsArrow(PolarsParquet):
    """``data.arrow``: a `polars.DataFrame` as Arrow IPC."""

    name: ClassVar[str] = "arrow"

    FILE: ClassVar[str] = "data.arrow"

    def _write_frame(self, frame: Any, file: Any) -> None:
        frame.write_ipc(file)

    def _read_frame(self, file: Any) -> Any:
        import polars as pl

        return pl.read_ipc(file)


class _OfSeries:
    """Puts a series into a frame of one column, and takes it out again."""

    def _frame(self, value: object) -> Any:
        import polars as pl

        if type(value) is not pl.Series:
            message = f"this holds a polars.Series, not a {type(value).__qualname__}"
            raise SerializationError(message)
        series: Any = value
        return series.to_frame()

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Take the only column of the frame."""
        frame: Any = super().read(source, trusted=trusted)  # type: ignore[misc]  # of the frame's
        return frame.to_series()


@frozen
class PolarsSeriesParquet(_OfSeries, PolarsParquet):
    """``data.parquet``: a `polars.Series`."""


@frozen
class PolarsSeriesArrow(_OfSeries, PolarsArrow):
    """``data.arrow``: a `polars.Series` as Arrow IPC."""


@frozen
class LazyParquet:
    """``data.parquet``: a `polars.LazyFrame`, computed straight into the file."""

    name: ClassVar[str] = "parquet"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.parquet"

    def writer(self, value: Any) -> Write:
        """Take the query; it runs while its result is written."""
        return lambda sink: self._write(sink, value)

    def _write(self, sink: FileSink, query: Any) -> None:
        import polars as pl

        with sink.reserve(self.FILE) as path:
            query.sink_parquet(path)
            wanted, found = query.collect_schema(), pl.read_parquet_schema(path)
            for name, dtype in wanted.items():
                if found.get(name) != dtype:
                    message = (
                        f"the column {name!r} of type {dtype} would come back from parquet as "
                        f"{found.get(name)}; cast it"
                    )
                    raise SerializationError(message)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Return a lazy frame over the file's content."""
        frame: Any = PolarsParquet().read(source, trusted=trusted)
        return frame.lazy()
