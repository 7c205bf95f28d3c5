"""The leases on runs: who may work on a run, so that two processes never do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from attrs import frozen

from flowyml.metadata.columns import to_micros
from flowyml.metadata.database import Database
from flowyml.metadata.owners import is_living

__all__ = ["LeaseTable"]

# One statement, so that no other process gets in between looking and taking.
ACQUIRE: Final = """
    INSERT INTO leases (run_id, owner, expires_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (run_id) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
    WHERE leases.owner = excluded.owner OR leases.expires_at <= ?4
"""

# Also after it expired: as long as the row names this owner, nobody else has had the run since.
RENEW: Final = "UPDATE leases SET expires_at = ? WHERE run_id = ? AND owner = ?"

OWNER: Final = "SELECT owner FROM leases WHERE run_id = ? AND expires_at > ?"

ALL: Final = "SELECT run_id, owner, expires_at > ? FROM leases"

RELEASE: Final = "DELETE FROM leases WHERE run_id = ? AND owner = ?"


@frozen(eq=False)
class LeaseTable:
    """Gives a run to one owner at a time.

    Leases go by the wall clock, which the processes of one machine share. Whoever holds one renews
    it well before it expires.

    Attributes:
        database: Where the table is.
        clock: Tells the time.
    """

    database: Database
    clock: Callable[[], datetime]

    def acquire(self, run_id: str, owner: str, seconds: float) -> bool:
        """Take a run that nobody has, or whose owner let its lease expire."""
        now = self._now()
        values = (run_id, owner, now + _micros(seconds), now)
        return self._changed(ACQUIRE, values, run_id)

    def renew(self, run_id: str, owner: str, seconds: float) -> bool:
        """Keep a run for longer; False where another owner has taken it."""
        return self._changed(RENEW, (self._now() + _micros(seconds), run_id, owner), run_id)

    def owner(self, run_id: str) -> str | None:
        """Return who has a run; None where nobody has, or let its lease expire."""
        row = self.database.row(OWNER, (run_id, self._now()))
        return None if row is None else str(row[0])

    def held(self) -> list[str]:
        """Return the runs that a process works on, also one that was stopped for so long.

        A process that sleeps with its machine does not renew its lease, and goes on afterwards.
        """
        rows = self.database.rows(ALL, (self._now(),))
        return [run_id for run_id, owner, lasts in rows if lasts or is_living(owner)]

    def release(self, run_id: str, owner: str) -> bool:
        """Give a run back; False where it is not this owner's."""
        return self._changed(RELEASE, (run_id, owner), run_id)

    def _now(self) -> int:
        return to_micros(self.clock())

    def _changed(self, sql: str, values: tuple[object, ...], run_id: str) -> bool:
        about = f"the lease on the run {run_id!r}"
        return self.database.write(sql, values, about=about).rowcount == 1


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
