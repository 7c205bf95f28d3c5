"""The table of runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from attrs import field, frozen

from flowyml.errors import MetadataError, NotFoundError
from flowyml.metadata.columns import from_json, from_micros, plain_text, to_json, to_micros
from flowyml.metadata.database import Database, Row
from flowyml.metadata.rows import RunRecord
from flowyml.metadata.selection import Selection
from flowyml.records import RunStatus
from flowyml.spelling import hint

__all__ = ["AFTER_ANY", "RunTable"]

AFTER_ANY: Final = "\U0010ffff"
"""Sorts after every text: what begins with a prefix lies between it and the prefix with this."""

CANDIDATES: Final = 5
"""How many possible meanings a message lists."""

RECENT: Final = 500
"""How many of the newest are searched for one that a user may have meant."""

SELECT: Final = """
    SELECT run_id, pipeline, stack, status, started_at, reference, config, parameters,
           finished_at, error
    FROM runs
"""

ADD: Final = """
    INSERT INTO runs (run_id, pipeline, stack, status, started_at, reference, config, parameters,
                      finished_at, error)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (run_id) DO NOTHING
"""

# A run that has ended and owes something again has not ended any later for it.
SET_STATUS: Final = """
    UPDATE runs SET status = ?1, error = ?2,
        finished_at = CASE WHEN ?3 IS NULL THEN NULL ELSE coalesce(finished_at, ?3) END
    WHERE run_id = ?4
"""

WITH_PREFIX: Final = """
    SELECT run_id FROM runs WHERE run_id >= ? AND run_id < ? ORDER BY run_id LIMIT ?
"""

ROW_NUMBERS: Final = {
    "pipeline": "SELECT id FROM runs WHERE pipeline = ?",
    "status": "SELECT id FROM runs WHERE status = ?",
}


@frozen(eq=False)
class RunTable:
    """Adds, changes and finds runs.

    Attributes:
        database: Where the table is.
        clock: Tells the time.
    """

    database: Database
    clock: Callable[[], datetime]
    _lists: Selection = field(init=False)

    @_lists.default
    def _make_lists(self) -> Selection:
        return Selection(self.database, SELECT, ROW_NUMBERS)

    def add(self, run: RunRecord) -> None:
        """Add a run; its id must be new."""
        about = f"the run {run.run_id!r}"
        values = (
            run.run_id,
            run.pipeline,
            run.stack,
            run.status.value,
            to_micros(run.started_at),
            run.reference,
            run.config,
            to_json(run.parameters, about=about),
            to_micros(run.finished_at) if run.finished_at else None,
            plain_text(run.error),
        )
        if not self.database.write(ADD, values, about=about).rowcount:
            message = f"{about} is already in {self.database.path}; give the new run another id"
            raise MetadataError(message)

    def set_status(self, run_id: str, status: RunStatus, error: str | None) -> None:
        """Say how a run stands; every status but ``running`` ends it now, if it has not ended."""
        about = f"the status of the run {run_id!r}"
        ended = None if status is RunStatus.RUNNING else to_micros(self.clock())
        values = (status.value, plain_text(error), ended, run_id)
        if not self.database.write(SET_STATUS, values, about=about).rowcount:
            raise NotFoundError(self._unknown(run_id))

    def find(self, reference: str) -> RunRecord:
        """Return the run with this id, or the only one whose id begins like this."""
        found = self.exact(reference)
        if found is not None:
            return found
        candidates = self.with_prefix(reference)
        if len(candidates) == 1 and (found := self.exact(candidates[0])):
            return found
        if candidates:
            raise NotFoundError(self._ambiguous(reference, candidates))
        raise NotFoundError(self._unknown(reference))

    def exact(self, run_id: str) -> RunRecord | None:
        """Return the run with exactly this id, if there is one."""
        row = self.database.row(f"{SELECT} WHERE run_id = ?", (run_id,))
        return None if row is None else _run(row)

    def with_prefix(self, prefix: str) -> list[str]:
        """Return ids that begin like this, one more than a message lists at most."""
        if not prefix:
            return []
        bounds = (prefix, prefix + AFTER_ANY, CANDIDATES + 1)
        return [run_id for (run_id,) in self.database.rows(WITH_PREFIX, bounds)]

    def newest(
        self, pipeline: str | None, status: RunStatus | None, limit: int | None
    ) -> list[RunRecord]:
        """Return runs, the newest first."""
        conditions = {"pipeline": pipeline, "status": status.value if status else None}
        return [_run(row) for row in self._lists.newest(conditions, limit)]

    def _ambiguous(self, reference: str, candidates: list[str]) -> str:
        listed = ", ".join(candidates[:CANDIDATES])
        more = ", ..." if len(candidates) > CANDIDATES else ""
        return (
            f"the run {reference!r} is ambiguous in {self.database.path}, "
            f"it may be {listed}{more}; give more characters of its id"
        )

    def _unknown(self, reference: str) -> str:
        recent = [run.run_id for run in self.newest(None, None, RECENT)]
        if not recent:
            return f"no run {reference!r} in {self.database.path}: it has none; try `flowyml run`"
        meant = hint(reference, recent, most=3)
        return (
            f"no run {reference!r} in {self.database.path}{meant} "
            "(`flowyml runs list` shows the newest)"
        )


def _run(row: Row) -> RunRecord:
    return RunRecord(
        run_id=row[0],
        pipeline=row[1],
        stack=row[2],
        status=RunStatus(row[3]),
        started_at=from_micros(row[4]),
        reference=row[5],
        config=row[6],
        parameters=from_json(row[7]),
        finished_at=None if row[8] is None else from_micros(row[8]),
        error=row[9],
    )
