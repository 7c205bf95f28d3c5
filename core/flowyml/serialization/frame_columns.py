"""One column of a frame as an Arrow array and back, in its dtype."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.frame_labels import labels_from_json, labels_to_json
from flowyml.serialization.frame_objects import ObjectColumn, hold_objects

__all__ = ["Columns", "TableColumns", "column_from_arrow", "column_to_arrow"]

Kept = dict[str, Any]


class Columns(Protocol):
    """The columns of a file or a table, read when they are asked for."""

    @property
    def rows(self) -> int:
        """How many rows each of them has."""

    def whole(self, name: str) -> Any:
        """Return a column as a `pyarrow.ChunkedArray`."""

    def pieces(self, name: str) -> Iterable[Any]:
        """Return a column as one `pyarrow.Array` after the other, none of them large."""


@frozen
class TableColumns:
    """The columns of a `pyarrow.Table`."""

    table: Any

    @property
    def rows(self) -> int:
        """How many rows each of them has."""
        count: int = self.table.num_rows
        return count

    def whole(self, name: str) -> Any:
        """Return a column."""
        return self.table.column(name)

    def pieces(self, name: str) -> Iterable[Any]:
        """Return the chunks of a column, which are there already."""
        chunks: list[Any] = self.whole(name).chunks
        return chunks


def column_to_arrow(label: object, column: Any) -> tuple[Any, Kept]:
    """Return the Arrow array for a column, and what is needed to make the column again.

    Args:
        label: Of the column, for messages.
        column: A `pandas.Series`.

    Raises:
        SerializationError: No Arrow array holds it exactly.
    """
    import pyarrow as pa

    if column.dtype == object:
        way, array = hold_objects(label, column.to_numpy())
        return array, {"kind": "object", "missing": way.missing, "arrays": way.arrays}
    try:
        kept = _kept(column.dtype)
        _refuse_hidden_nan(column)
        array = pa.array(_native(column), from_pandas=True)
    except (pa.ArrowException, SerializationError, TypeError, ValueError) as cause:
        message = (
            f"the column {label!r} of the dtype {column.dtype} has no exact form in parquet: "
            f"{cause}; change its dtype, or ask for `format: pickle`"
        )
        raise SerializationError(message) from cause
    return array, kept


def column_from_arrow(name: str, columns: Columns, kept: Mapping[str, Any]) -> Any:
    """Return the values that `column_to_arrow` was given, as an array of NumPy's or pandas'.

    Args:
        name: Of the column.
        columns: Where it is read.
        kept: What was kept beside it.
    """
    if kept["kind"] == "numpy":
        return _numpy(name, columns, kept)
    return _READERS[kept["kind"]](columns.whole(name), kept)


def _kept(dtype: Any) -> Kept:
    import numpy as np
    import pandas as pd

    if isinstance(dtype, np.dtype):
        return {"kind": "numpy", "dtype": dtype.str}
    if isinstance(dtype, pd.CategoricalDtype):
        categories = labels_to_json(dtype.categories)
        return {"kind": "category", "categories": categories, "ordered": dtype.ordered}
    if isinstance(dtype, pd.StringDtype):
        missing = "NA" if dtype.na_value is pd.NA else "nan"
        return {"kind": "string", "storage": dtype.storage, "missing": missing}
    if isinstance(dtype, pd.ArrowDtype):
        return {"kind": "arrow"}
    if isinstance(dtype, pd.DatetimeTZDtype):
        return {"kind": "zoned", "unit": dtype.unit}
    if not hasattr(dtype, "__from_arrow__") or pd.api.types.pandas_dtype(str(dtype)) != dtype:
        message = "Arrow does not know this dtype"
        raise SerializationError(message)
    return {"kind": "extension", "dtype": str(dtype)}


def _native(column: Any) -> Any:
    """Swap the bytes of a foreign byte order, which Arrow does not take; the dtype is kept."""
    import numpy as np

    dtype = column.dtype
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return column.to_numpy().astype(dtype.newbyteorder("="))
    return column


def _refuse_hidden_nan(column: Any) -> None:
    """Nullable floats may hold both NaN and NA, which Arrow makes one of."""
    import numpy as np
    import pandas as pd

    if isinstance(column.dtype, pd.Float32Dtype | pd.Float64Dtype):
        values = column.array.to_numpy(dtype="f8", na_value=0.0)
        if np.isnan(values).any():
            message = "it holds NaN beside NA"
            raise SerializationError(message)


def _objects(column: Any, kept: Mapping[str, Any]) -> Any:
    return ObjectColumn(kept["missing"], kept["arrays"]).values(column)


def _numpy(name: str, columns: Columns, kept: Mapping[str, Any]) -> Any:
    """Return an array of its own: one that shares Arrow's memory could not be written to.

    It is filled piece by piece, so that a long column is not in memory twice.
    """
    import numpy as np

    dtype, filled = np.dtype(kept["dtype"]), 0
    values = np.empty(columns.rows, dtype)
    for piece in columns.pieces(name):
        found = piece.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
        values[filled : filled + len(found)] = found
        filled += len(found)
    if filled != columns.rows:
        message = f"the column {name!r} has {filled} rows, and there are {columns.rows}"
        raise SerializationError(message)
    return values


def _category(column: Any, kept: Mapping[str, Any]) -> Any:
    import pandas as pd

    dtype = pd.CategoricalDtype(labels_from_json(kept["categories"]), ordered=kept["ordered"])
    values = column.to_pandas(integer_object_nulls=True)
    return pd.Categorical(values, dtype=dtype)


def _string(column: Any, kept: Mapping[str, Any]) -> Any:
    import numpy as np
    import pandas as pd

    missing = pd.NA if kept["missing"] == "NA" else np.nan
    dtype: Any = pd.StringDtype(kept["storage"], na_value=missing)
    return dtype.__from_arrow__(column)


def _zoned(column: Any, kept: Mapping[str, Any]) -> Any:
    import pandas as pd

    dtype = pd.DatetimeTZDtype(column.type.unit, column.type.tz)
    return pd.Series(dtype.__from_arrow__(column)).dt.as_unit(kept["unit"]).array


def _arrow(column: Any, kept: Mapping[str, Any]) -> Any:
    del kept
    import pandas as pd

    return pd.arrays.ArrowExtensionArray(column)


def _extension(column: Any, kept: Mapping[str, Any]) -> Any:
    import pandas as pd

    dtype: Any = pd.api.types.pandas_dtype(kept["dtype"])
    return dtype.__from_arrow__(column)


_READERS = {
    "arrow": _arrow,
    "category": _category,
    "extension": _extension,
    "object": _objects,
    "string": _string,
    "zoned": _zoned,
}
