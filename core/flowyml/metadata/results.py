"""The table of results: what steps gave, and for which code, inputs and context values."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from flowyml.metadata.columns import from_json, from_micros, to_json, to_micros
from flowyml.metadata.database import Database, Row
from flowyml.metadata.rows import ResultRecord

__all__ = ["ResultTable"]

# REPLACE gives the row a new number, so that the newest is the one that was confirmed last.
ADD: Final = """
    REPLACE INTO results (key, pipeline, step, run_id, parts, created_at)
    VALUES (?, ?, ?, ?, ?, ?)
"""

SELECT: Final = "SELECT key, pipeline, step, run_id, parts, created_at FROM results"

NEWEST: Final = f"{SELECT} WHERE pipeline = ? AND step = ? ORDER BY id DESC LIMIT 1"


@frozen(eq=False)
class ResultTable:
    """Adds and finds results.

    Attributes:
        database: Where the table is.
    """

    database: Database

    def add(self, result: ResultRecord) -> None:
        """Keep a result, in the place of an earlier one with the same key."""
        about = f"the result of the step {result.step!r}"
        values = (
            result.key,
            result.pipeline,
            result.step,
            result.run_id,
            to_json(result.parts, about=about),
            to_micros(result.created_at),
        )
        self.database.write(ADD, values, about=about)

    def get(self, key: str) -> ResultRecord | None:
        """Return the result with this key, if there is one."""
        return _result(self.database.row(f"{SELECT} WHERE key = ?", (key,)))

    def newest(self, pipeline: str, step: str) -> ResultRecord | None:
        """Return the last result of a step, if there is one."""
        return _result(self.database.row(NEWEST, (pipeline, step)))


def _result(row: Row | None) -> ResultRecord | None:
    if row is None:
        return None
    return ResultRecord(
        key=row[0],
        pipeline=row[1],
        step=row[2],
        run_id=row[3],
        parts=from_json(row[4]),
        created_at=from_micros(row[5]),
    )
