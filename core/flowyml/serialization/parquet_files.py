"""Writing parquet, the same way for every library."""

from __future__ import annotations

from typing import Any

__all__ = ["write_parquet"]


def write_parquet(table: Any, file: Any) -> None:
    """Write an Arrow table as parquet.

    Measured numbers hardly ever repeat, so columns of floating-point numbers get no dictionary:
    trying one takes longer than writing them, and 64 MiB of memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    repeating = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    pq.write_table(table, file, use_dictionary=repeating)
