"""Columns of Python objects, as Arrow columns of one type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from flowyml.errors import SerializationError

__all__ = ["ObjectColumn", "hold_objects", "is_same"]

PIECE = 2**16
"""Elements that are turned into Python objects at once."""

PLAIN = frozenset({bool, bytes, float, int, str})


@frozen
class ObjectColumn:
    """How a column of Python objects lies in an Arrow column.

    Attributes:
        missing: What Arrow's null stands for: ``None``, ``nan``, ``NA`` or ``NaT``.
        arrays: Whether the elements are NumPy arrays rather than plain Python values.
    """

    missing: str
    arrays: bool

    def to_arrow(self, values: Any) -> Any:
        """Return the Arrow array; raises what Arrow raises."""
        import pyarrow as pa

        return pa.array(values, from_pandas=self.missing != "None")

    def elements(self, column: Any) -> Iterator[Any]:
        """Yield the elements of an Arrow column as Python has them."""
        missing = _missing()[self.missing]
        for chunk in getattr(column, "chunks", [column]):
            for start in range(0, len(chunk), PIECE):
                piece = chunk.slice(start, PIECE)
                found = piece.to_numpy(zero_copy_only=False) if self.arrays else piece.to_pylist()
                yield from (missing if element is None else element for element in found)

    def values(self, column: Any) -> Any:
        """Return the column as a NumPy array of objects."""
        import numpy as np

        return np.fromiter(self.elements(column), dtype=object, count=len(column))


def hold_objects(label: object, values: Any) -> tuple[ObjectColumn, Any]:
    """Find the way in which Arrow holds every one of these objects exactly.

    Args:
        label: Of the column, for the message.
        values: NumPy array of objects.

    Raises:
        SerializationError: There is none.
    """
    import numpy as np
    import pyarrow as pa

    arrays = any(type(value) is np.ndarray for value in values)
    for missing in _missing():
        way = ObjectColumn(missing, arrays)
        try:
            column = way.to_arrow(values)
            held = all(map(is_same, values, way.elements(column)))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
        if held:
            return way, column
    kinds = ", ".join(sorted({type(value).__name__ for value in values}))
    message = (
        f"the column {label!r} holds objects ({kinds}) that no column type holds exactly; "
        "give it a dtype of its own, or ask for `format: pickle`"
    )
    raise SerializationError(message)


def is_same(left: Any, right: Any) -> bool:
    """Compare value and type; the text of a date, a decimal or a list tells more than ``==``."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if type(left) in PLAIN:
        return bool(left == right or left != left)  # noqa: PLR0124  # NaN
    if type(left).__module__ == "numpy":
        alike: bool = left.dtype == right.dtype and left.shape == right.shape
        return alike and left.tobytes() == right.tobytes()
    return repr(left) == repr(right)


def _missing() -> Mapping[str, object]:
    import pandas as pd

    return {"None": None, "nan": float("nan"), "NA": pd.NA, "NaT": pd.NaT}
