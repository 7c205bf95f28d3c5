"""The libraries that have tables, seen from Arrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.frame_columns import TableColumns
from flowyml.serialization.frame_tables import difference, frame_to_table, make_frame, spec_of

__all__ = ["TableKind", "arrow_difference", "kind_of"]


@frozen
class TableKind:
    """How the tables of one library become Arrow tables and come back.

    Attributes:
        difference: Says where two tables differ; None where they do not.
    """

    to_table: Callable[[Any], Any]
    from_table: Callable[[Any], Any]
    difference: Callable[[Any, Any], str | None]


def kind_of(cls: type | str) -> TableKind:
    """Return the kind of a class, or of its name in a manifest.

    Raises:
        SerializationError: It is no class of tables.
    """
    place = cls if isinstance(cls, str) else f"{cls.__module__}:{cls.__qualname__}"
    module, _, qualname = place.partition(":")
    kind = _KINDS.get((module.partition(".")[0], qualname))
    if kind is None:
        message = f"a {place} is not a table"
        raise SerializationError(message)
    return kind


def arrow_difference(one: Any, other: Any) -> str | None:
    """Say where two Arrow tables differ; NaN equals NaN."""
    for field, again in zip(one.schema, other.schema, strict=False):
        if not field.equals(again, check_metadata=True):
            return f"the column {field.name!r} of type {field.type} (it would be {again.type})"
    if not one.schema.equals(other.schema, check_metadata=True) or one.num_rows != other.num_rows:
        return "the schema or the number of rows"
    for position, name in enumerate(one.column_names):
        if not _is_same(one.column(position), other.column(position)):
            return f"the column {name!r}"
    return None


def _is_same(one: Any, other: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if one.equals(other):
        return True
    if not pa.types.is_floating(one.type):
        return pa.types.is_nested(one.type) and repr(one.to_pylist()) == repr(other.to_pylist())
    bare = [pc.if_else(pc.is_nan(column), None, column) for column in (one, other)]
    nans = [pc.is_nan(column) for column in (one, other)]
    return bool(bare[0].equals(bare[1]) and nans[0].equals(nans[1]))


def _polars_from_table(table: Any) -> Any:
    import polars as pl

    return pl.from_arrow(table)


def _polars_difference(one: Any, other: Any) -> str | None:
    for name, dtype in one.schema.items():
        if other.schema.get(name) != dtype or not other[name].equals(one[name]):
            return f"the column {name!r} of type {dtype}"
    return None if one.shape == other.shape else "the shape"


_KINDS = {
    ("pandas", "DataFrame"): TableKind(
        frame_to_table,
        lambda table: make_frame(spec_of(table.schema.metadata), TableColumns(table)),
        difference,
    ),
    ("polars", "DataFrame"): TableKind(
        lambda frame: frame.to_arrow(), _polars_from_table, _polars_difference
    ),
    ("pyarrow", "Table"): TableKind(lambda table: table, lambda table: table, arrow_difference),
}
