"""The table of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from attrs import frozen

from flowyml.errors import NotFoundError
from flowyml.metadata.columns import from_micros, plain_text, to_micros
from flowyml.metadata.database import Database, Row
from flowyml.metadata.rows import StepRecord
from flowyml.records import StepStatus

__all__ = ["StepTable"]

UNENDED: Final = frozenset({StepStatus.PENDING, StepStatus.RUNNING})

COUNT: Final = "SELECT COUNT(*) FROM steps WHERE run_id = ?"

ADD: Final = """
    INSERT INTO steps (run_id, name, position, status) VALUES (?, ?, ?, 'pending')
    ON CONFLICT (run_id, name) DO NOTHING
"""

START: Final = """
    UPDATE steps
    SET status = 'running', attempts = attempts + 1, started_at = ?, finished_at = NULL,
        error = NULL
    WHERE run_id = ? AND name = ?
"""

# A step ends when its work does: one that was stored and whose debts are paid a day later still
# ended when it was stored.
SET_STATUS: Final = """
    UPDATE steps
    SET status = ?1, error = ?2, finished_at = CASE WHEN ?3 THEN COALESCE(finished_at, ?4) END,
        cached_from = COALESCE(?5, cached_from), note = COALESCE(?6, note)
    WHERE run_id = ?7 AND name = ?8
"""

OF_RUN: Final = """
    SELECT run_id, name, status, attempts, started_at, finished_at, error, cached_from, note
    FROM steps WHERE run_id = ? ORDER BY position
"""

STATUS: Final = "SELECT status FROM steps WHERE run_id = ? AND name = ?"


@frozen(eq=False)
class StepTable:
    """Adds, changes and lists the steps of runs.

    Attributes:
        database: Where the table is.
        clock: Tells the time.
    """

    database: Database
    clock: Callable[[], datetime]

    def add(self, run_id: str, names: Iterable[str]) -> None:
        """Add steps that have not begun, after those that are there already."""
        about = f"the steps of the run {run_id!r}"
        with self.database.transaction():
            row = self.database.row(COUNT, (run_id,))
            before = row[0] if row else 0
            rows = [(run_id, name, position) for position, name in enumerate(names, before)]
            self.database.write_all(ADD, rows, about=about)

    def start(self, run_id: str, step: str) -> None:
        """Say that a step begins, or is tried again."""
        self._change(START, (to_micros(self.clock()), run_id, step), run_id, step)

    def set_status(
        self,
        run_id: str,
        step: str,
        status: StepStatus,
        *,
        error: str | None,
        cached_from: str | None,
        note: str | None,
    ) -> None:
        """Say how a step stands."""
        ended = status not in UNENDED
        now = to_micros(self.clock())
        facts = (status.value, plain_text(error), ended, now, cached_from, plain_text(note))
        self._change(SET_STATUS, (*facts, run_id, step), run_id, step)

    def of_run(self, run_id: str) -> list[StepRecord]:
        """Return the steps of a run in the order in which they were added."""
        return [_step(row) for row in self.database.rows(OF_RUN, (run_id,))]

    def status(self, run_id: str, step: str) -> StepStatus | None:
        """Return how one step of a run stands; None where the run has no such step."""
        row = self.database.row(STATUS, (run_id, step))
        return StepStatus(row[0]) if row else None

    def _change(self, sql: str, values: tuple[object, ...], run_id: str, step: str) -> None:
        about = f"the status of the step {step!r} of the run {run_id!r}"
        if not self.database.write(sql, values, about=about).rowcount:
            known = ", ".join(record.name for record in self.of_run(run_id)) or "none"
            message = (
                f"no step {step!r} of a run {run_id!r} in {self.database.path} "
                f"(steps of that run: {known}); add it to the run first"
            )
            raise NotFoundError(message)


def _step(row: Row) -> StepRecord:
    return StepRecord(
        run_id=row[0],
        name=row[1],
        status=StepStatus(row[2]),
        attempts=row[3],
        started_at=None if row[4] is None else from_micros(row[4]),
        finished_at=None if row[5] is None else from_micros(row[5]),
        error=row[6],
        cached_from=row[7],
        note=row[8],
    )
