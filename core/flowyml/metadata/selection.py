"""Lists, newest first, that stay quick however much history there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from flowyml.metadata.database import Database, Row

__all__ = ["Selection"]

ALL: Final = -1
"""What SQLite takes for no limit."""


@frozen
class Selection:
    """Rows of one table, by any of its indexed columns.

    One condition walks its index from the newest row to the oldest and stops at the limit. Several
    would make SQLite read every row that fits the first; the indexes alone tell which rows fit all,
    because each lists its rows in the same order: they are merged, and only what is in all of them
    is read.

    Attributes:
        database: Where the table is.
        select: The ``SELECT`` of all its columns, without conditions.
        row_numbers: The ``SELECT`` of ``id`` for each column that may be asked for.
    """

    database: Database
    select: str
    row_numbers: Mapping[str, str]

    def newest(self, conditions: Mapping[str, object], limit: int | None) -> list[Row]:
        """Return the rows that meet all conditions, the one added last first.

        Args:
            conditions: Value by column; a column whose value is None is no condition.
            limit: How many at most; None for all.
        """
        wanted = {column: value for column, value in conditions.items() if value is not None}
        fitting = " INTERSECT ".join(self.row_numbers[column] for column in wanted)
        if len(wanted) > 1:
            where = f"WHERE id IN ({fitting} ORDER BY id DESC LIMIT ?)"
        else:
            where = "".join(f"WHERE {column} = ?" for column in wanted)
        bound = ALL if limit is None else limit
        limits = (bound,) * (2 if len(wanted) > 1 else 1)
        return self.database.rows(
            f"{self.select} {where} ORDER BY id DESC LIMIT ?", (*wanted.values(), *limits)
        )
