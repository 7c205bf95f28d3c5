"""Tables as text, on request: CSV, JSON and JSON lines.

Text forgets types, so the Arrow schema lies beside it, and what was written is read back at once:
what does not come back exactly is an error that names the column.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.serialization.table_kinds import TableKind, kind_of
from flowyml.serialization.tagged import Decoder, Encoder
from flowyml.storage.files import FileSink, FileSource

__all__ = ["TableCsv", "TableJson", "TableJsonLines"]

SCHEMA = "schema.arrow"

ROWS = 2**14
"""Rows that are Python objects at once."""

_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@frozen
class TableCsv:
    """``data.csv``: one line a row, after a line of names."""

    name: ClassVar[str] = "csv"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.csv"

    def writer(self, value: object) -> Write:
        """Make the Arrow table, which has the names and types of the columns."""
        kind = kind_of(type(value))
        table = kind.to_table(value)
        if len(set(table.column_names)) < table.num_columns:
            message = f"{self.name} holds no two columns of one name; ask for `format: arrow`"
            raise SerializationError(message)
        return lambda sink: self._write(sink, value, kind, table)

    def _write(self, sink: FileSink, value: object, kind: TableKind, table: Any) -> None:
        sink.put(SCHEMA, table.schema.serialize().to_pybytes())
        with sink.reserve(self.FILE) as path:
            self._write_table(table, path)
            if found := self._difference(value, kind, path, table.schema):
                message = (
                    f"{found} would not come back from {self.name} as it is; "
                    "ask for `format: parquet`"
                )
                raise SerializationError(message)

    def _difference(self, value: object, kind: TableKind, path: Path, schema: Any) -> str | None:
        import pyarrow as pa

        try:
            return kind.difference(value, kind.from_table(self._read_table(path, schema)))
        except (pa.ArrowException, SerializationError, TypeError, ValueError) as cause:
            return f"some column ({cause})"

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Read the text with the types that lie beside it."""
        del trusted
        import pyarrow as pa

        kind = kind_of(source.manifest.python_type)
        path = source.path(self.FILE)
        with source.open(SCHEMA) as file:
            content = file.read()
        try:
            schema = pa.ipc.read_schema(pa.BufferReader(content))
            return kind.from_table(self._read_table(path, schema))
        except (pa.ArrowException, OSError) as cause:
            message = f"{self.FILE} is not a table that FlowyML wrote: {cause}"
            raise SerializationError(message) from cause

    def _write_table(self, table: Any, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.csv

        plain = _without_dictionaries(table.schema)
        for field in plain:
            try:
                pa.csv.write_csv(pa.table({"a": pa.array([None], field.type)}), io.BytesIO())
            except pa.ArrowException as cause:
                message = (
                    f"csv cannot hold the column {field.name!r} of type {field.type}; "
                    "ask for `format: parquet`"
                )
                raise SerializationError(message) from cause
        try:
            pa.csv.write_csv(table.cast(plain), path)
        except pa.ArrowException as cause:
            message = f"csv cannot hold the table: {cause}; ask for `format: parquet`"
            raise SerializationError(message) from cause

    def _read_table(self, path: Path, schema: Any) -> Any:
        import pyarrow as pa
        import pyarrow.csv

        plain = _without_dictionaries(schema)
        if not plain.names:
            return schema.empty_table()
        convert = pa.csv.ConvertOptions(
            column_types={field.name: field.type for field in plain},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["true"],
            false_values=["false"],
        )
        parse = pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        table = pa.csv.read_csv(path, parse_options=parse, convert_options=convert)
        return table.cast(schema.remove_metadata()).replace_schema_metadata(schema.metadata)


@frozen
class TableJsonLines(TableCsv):
    """``data.jsonl``: one object a row."""

    name: ClassVar[str] = "jsonl"

    FILE: ClassVar[str] = "data.jsonl"

    def _write_table(self, table: Any, path: Path) -> None:
        with path.open("wb") as file:
            for line in _lines(table):
                file.write(line + b"\n")

    def _read_table(self, path: Path, schema: Any) -> Any:
        with path.open("rb") as file:
            return _table(_parsed(file), schema)


@frozen
class TableJson(TableCsv):
    """``data.json``: a list of objects, one a row."""

    name: ClassVar[str] = "json"

    FILE: ClassVar[str] = "data.json"

    def _write_table(self, table: Any, path: Path) -> None:
        with path.open("wb") as file:
            separator = b"[\n"
            for line in _lines(table):
                file.write(separator + line)
                separator = b",\n"
            file.write(b"\n]\n" if separator == b",\n" else b"[]\n")

    def _read_table(self, path: Path, schema: Any) -> Any:
        return _table(iter([Decoder().loads(path.read_bytes())]), schema)


def _lines(table: Any) -> Iterator[bytes]:
    encoder = Encoder()
    for batch in table.to_batches(max_chunksize=ROWS):
        for row in batch.to_pylist():
            yield _dump(encoder.encode(row)).encode()


def _parsed(file: BinaryIO) -> Iterator[list[Any]]:
    decoder = Decoder()
    rows: list[Any] = []
    for line in file:
        rows.append(decoder.loads(line))
        if len(rows) == ROWS:
            yield rows
            rows = []
    yield rows


def _table(groups: Iterator[list[Any]], schema: Any) -> Any:
    import pyarrow as pa

    batches = [pa.RecordBatch.from_pylist(rows, schema=schema) for rows in groups]
    return pa.Table.from_batches(batches, schema=schema)


def _without_dictionaries(schema: Any) -> Any:
    """Write the values that a dictionary column stands for."""
    import pyarrow as pa

    return pa.schema(
        pa.field(
            field.name,
            field.type.value_type if pa.types.is_dictionary(field.type) else field.type,
        )
        for field in schema
    )
