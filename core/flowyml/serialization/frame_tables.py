"""A pandas frame as an Arrow table, with what Arrow and parquet would forget in its metadata.

Parquet holds columns of plain types under different names. A frame has labels of any kind, an index
with a type of its own, and dtypes that parquet has no word for. All of that is written beside the
columns, in the file's own metadata; any other program reads the file as the parquet it is.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from flowyml.errors import SerializationError
from flowyml.serialization.frame_columns import Columns, column_from_arrow, column_to_arrow
from flowyml.serialization.frame_labels import labels_from_json, labels_to_json, names_for
from flowyml.serialization.frame_objects import is_same
from flowyml.serialization.tagged import decode, encode

__all__ = ["difference", "frame_to_table", "make_frame", "spec_of"]

KEY = b"flowyml"

Spec = Mapping[str, Any]


def frame_to_table(frame: Any) -> Any:
    """Return an Arrow table that holds a frame exactly; numbers are not copied.

    Raises:
        SerializationError: It cannot; the message names the column.
    """
    import pyarrow as pa

    names = names_for(frame.columns)
    levels = _level_names(frame.index, names)
    arrays: list[Any] = []
    kept: list[Any] = []
    columns = [frame.iloc[:, position] for position in range(len(names))]
    columns += [_level(frame.index, position) for position in range(len(levels))]
    for label, column in zip([*frame.columns, *levels], columns, strict=True):
        array, way = column_to_arrow(label, column)
        arrays.append(array)
        kept.append(way)
    spec = {
        "rows": len(frame),
        "names": [*names, *levels],
        "kept": kept,
        "columns": labels_to_json(frame.columns),
        "index": _index_to_json(frame.index),
        "attrs": _attrs(frame),
        "duplicates": frame.flags.allows_duplicate_labels,
    }
    metadata = {**_foreign(frame, names, levels), KEY: json.dumps(spec).encode()}
    return pa.Table.from_arrays(arrays, names=spec["names"], metadata=metadata)


def spec_of(metadata: Mapping[bytes, bytes] | None) -> Spec:
    """Return what was written beside the columns.

    Raises:
        SerializationError: The file is none of ours.
    """
    try:
        found: Spec = json.loads((metadata or {})[KEY])
    except (KeyError, ValueError) as cause:
        message = f"the file has no description of the frame that it holds: {cause!r}"
        raise SerializationError(message) from cause
    return found


def make_frame(spec: Spec, columns: Columns, rows: int | None = None) -> Any:
    """Return the frame that `frame_to_table` was given.

    Args:
        spec: What was written beside the columns.
        columns: The columns, under the names that the description has for them.
        rows: How many rows to expect when not all are read.
    """
    import pandas as pd

    width = len(spec["names"]) - spec["index"].get("levels", 0)
    made = [
        column_from_arrow(name, columns, kept)
        for name, kept in zip(spec["names"], spec["kept"], strict=True)
    ]
    index = _index_from_json(spec["index"], made[width:], spec["rows"] if rows is None else rows)
    series = {
        position: pd.Series(values, index=index, dtype=values.dtype, copy=False)
        for position, values in enumerate(made[:width])
    }
    frame = pd.DataFrame(series, index=index, copy=False)
    frame.columns = labels_from_json(spec["columns"])
    frame.attrs = decode(spec["attrs"])
    return frame if spec["duplicates"] else frame.set_flags(allows_duplicate_labels=False)


def difference(frame: Any, again: Any) -> str | None:
    """Say where two frames differ, in value, type or label; None where they do not."""
    for what in ("columns", "index"):
        one, other = getattr(frame, what), getattr(again, what)
        if not one.identical(other) or _freq(one) != _freq(other) or type(one) is not type(other):
            return f"the {what}"
    if encode(frame.attrs) != encode(again.attrs) or frame.flags != again.flags:
        return "the attrs or flags"
    for position, label in enumerate(frame.columns):
        if not _is_same_column(frame.iloc[:, position], again.iloc[:, position]):
            return f"the column {label!r}"
    return None


def _is_same_column(one: Any, other: Any) -> bool:
    if one.dtype != other.dtype:
        return False
    if one.dtype == object:
        return all(map(is_same, one.to_numpy(), other.to_numpy()))
    return bool(one.equals(other))


def _freq(index: Any) -> str | None:
    return getattr(index, "freqstr", None)


def _level_names(index: Any, taken: Sequence[str]) -> list[str]:
    """Name the columns that hold the index; a range needs none."""
    import pandas as pd

    if type(index) is pd.RangeIndex:
        return []
    found: list[str] = []
    for position, name in enumerate(index.names):
        free = name if type(name) is str else f"__index_level_{position}__"
        while free in taken or free in found:
            free += "_"
        found.append(free)
    return found


def _level(index: Any, position: int) -> Any:
    """Return one level of an index as a column, in its own dtype."""
    import pandas as pd

    values = index.get_level_values(position)
    return pd.Series(values.array, dtype=values.dtype, copy=False)


def _index_to_json(index: Any) -> dict[str, Any]:
    import pandas as pd

    if type(index) is pd.RangeIndex:
        return {"range": labels_to_json(index)}
    return {
        "levels": index.nlevels,
        "multi": isinstance(index, pd.MultiIndex),
        "names": encode(list(index.names)),
        "freq": _freq(index),
    }


def _index_from_json(kept: Mapping[str, Any], made: list[Any], rows: int) -> Any:
    import pandas as pd

    if "range" in kept:
        return labels_from_json(kept["range"])[:rows]
    names = decode(kept["names"])
    if kept["multi"]:
        return pd.MultiIndex.from_arrays(made, names=names)
    index: Any = pd.Index(made[0], dtype=made[0].dtype, name=names[0], tupleize_cols=False)
    if kept["freq"] is not None and not isinstance(index, pd.PeriodIndex):
        index.freq = kept["freq"]
    return index


def _attrs(frame: Any) -> Any:
    try:
        return encode(frame.attrs)
    except SerializationError as cause:
        message = f"the frame's attrs {cause}"
        raise SerializationError(message) from cause


def _foreign(frame: Any, names: list[str], levels: list[str]) -> dict[bytes, bytes]:
    """Return pandas' own description, so that `pandas.read_parquet` elsewhere finds the index."""
    import pyarrow as pa

    plain = frame.iloc[:0]
    try:
        plain = plain.set_axis(names, axis=1)
        if levels:
            plain.index = plain.index.set_names(levels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            metadata = pa.Schema.from_pandas(plain).metadata or {}
    except (pa.ArrowException, TypeError, ValueError):
        return {}
    return {key: value for key, value in metadata.items() if key == b"pandas"}
