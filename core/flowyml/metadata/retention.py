"""Which stored artifacts may be deleted to make room: one pass over the table, by SQLite alone.

What a model version that is registered, aliased, deployed or waits for a decision was stored as is
never collected, and neither is anything that it was made from. Of the rest, the newest runs of each
pipeline keep theirs, and so does everything that is younger than an age.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from flowyml.metadata.columns import to_micros
from flowyml.metadata.database import Database

__all__ = ["Garbage", "Retention"]

# What the ledgers of all stacks need is never collected. A metric that was logged lives on in its
# tracker; a model that was registered is where it was stored, and so is whatever a third party's
# hook was given. A run that was killed is marked as running for ever: what counts is whether a
# process holds it. Several runs may have stored one thing at one URI: it stays while one of them
# needs it. CROSS JOIN fixes the order: from the few that are known into an index, never a scan.
COLLECTABLE: Final = """
    WITH RECURSIVE
        needed (id) AS (
            SELECT artifacts.id FROM deliveries JOIN artifacts USING (run_id, step, output)
            WHERE is_debt = 1
               OR (hook NOT IN ('store_artifact', 'log_metrics', 'log_parameters')
                   AND (status = 'done' OR waits_for IS NOT NULL))
            UNION
            SELECT artifacts.id FROM json_each(?5) CROSS JOIN artifacts ON run_id = value
            UNION
            SELECT artifacts.id FROM json_each(?1) CROSS JOIN artifacts ON uri = value
            UNION
            SELECT artifacts.id FROM json_each(?1) CROSS JOIN artifacts ON digest = value
            UNION
            SELECT parent FROM needed CROSS JOIN lineage ON child = needed.id
        ),
        ends (run_id, pipeline, at, id) AS (
            SELECT run_id, MIN(pipeline), MAX(created_at), MAX(id) FROM artifacts GROUP BY run_id
        ),
        ranked (run_id, place) AS (
            SELECT run_id, ROW_NUMBER() OVER (PARTITION BY pipeline ORDER BY at DESC, id DESC)
            FROM ends
        ),
        recent (run_id) AS (SELECT run_id FROM ranked WHERE place <= ?2)
    SELECT MAX(CASE WHEN collected_at IS NULL THEN id END) AS newest
    FROM artifacts
    GROUP BY uri
    HAVING newest IS NOT NULL
       AND NOT MAX(created_at > ?3 OR id IN needed OR run_id IN recent)
       AND EXISTS (SELECT 1 FROM json_each(?4) WHERE substr(uri, 1, length(value)) = value)
    ORDER BY MIN(CASE WHEN collected_at IS NULL THEN created_at END), newest
"""


@frozen
class Retention:
    """What is kept although nothing protects it.

    Attributes:
        runs: How many runs of each pipeline keep their artifacts, the newest first.
        age: What is younger stays.
    """

    runs: int = 10
    age: timedelta = timedelta(days=30)


@frozen(eq=False)
class Garbage:
    """Finds what may go.

    Attributes:
        database: Where the tables are.
    """

    database: Database

    def find(
        self,
        retention: Retention,
        at: datetime,
        *,
        roots: Iterable[str],
        in_use: Iterable[str],
        held: Iterable[str],
    ) -> array[int]:
        """Return for each URI that may be deleted the id of the newest artifact there.

        Args:
            retention: What is kept.
            at: The time that ages are counted from.
            roots: URIs of the stores that are cleared.
            in_use: URIs and digests that somebody else than this ledger needs.
            held: Runs that a process works on.

        Returns:
            The oldest first; an array, for there may be a million.
        """
        below = json.dumps([f"{root}/" for root in roots])
        since = to_micros(at - retention.age)
        used, worked_on = json.dumps(list(in_use)), json.dumps(list(held))
        values = (used, retention.runs, since, below, worked_on)
        return self.database.numbers(COLLECTABLE, values)
