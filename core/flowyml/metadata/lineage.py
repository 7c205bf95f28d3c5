"""The edges between artifacts: what was made from what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from flowyml.metadata.database import Database
from flowyml.metadata.rows import LineageEdge

__all__ = ["LineageTable"]

ADD: Final = "INSERT INTO lineage (child, parent) VALUES (?, ?)"

CLEAR: Final = "DELETE FROM lineage WHERE child = ?"

# CROSS JOIN fixes the order: from the artifacts that are reached into the index, never a scan.
ALL: Final = """
    WITH RECURSIVE
        above (id) AS (
            VALUES (?1)
            UNION
            SELECT parent FROM above CROSS JOIN lineage ON child = above.id
        ),
        below (id) AS (
            VALUES (?1)
            UNION
            SELECT child FROM below CROSS JOIN lineage ON parent = below.id
        )
    SELECT parent, child FROM above CROSS JOIN lineage ON child = above.id
    UNION
    SELECT parent, child FROM below CROSS JOIN lineage ON parent = below.id
    ORDER BY parent, child
"""

NEAR: Final = """
    WITH RECURSIVE
        above (id, steps) AS (
            VALUES (?1, 1)
            UNION
            SELECT parent, steps + 1 FROM above CROSS JOIN lineage ON child = above.id
            WHERE steps < ?2
        ),
        below (id, steps) AS (
            VALUES (?1, 1)
            UNION
            SELECT child, steps + 1 FROM below CROSS JOIN lineage ON parent = below.id
            WHERE steps < ?2
        )
    SELECT parent, child FROM above CROSS JOIN lineage ON child = above.id
    UNION
    SELECT parent, child FROM below CROSS JOIN lineage ON parent = below.id
    ORDER BY parent, child
"""


@frozen(eq=False)
class LineageTable:
    """Keeps and follows the edges.

    Attributes:
        database: Where the table is.
    """

    database: Database

    def add(self, child: int, parents: Iterable[int], *, about: str) -> None:
        """Add an edge from each parent, once."""
        for parent in dict.fromkeys(parents):
            self.database.write(ADD, (child, parent), about=about)

    def clear(self, child: int, *, about: str) -> None:
        """Forget what an artifact was made from."""
        self.database.write(CLEAR, (child,), about=about)

    def around(self, artifact_id: int, depth: int | None) -> list[LineageEdge]:
        """Return the edges to all ancestors and all descendants, by parent and child.

        Args:
            artifact_id: Where to begin.
            depth: How many generations to follow each way; None for all.
        """
        if depth is None:
            rows = self.database.rows(ALL, (artifact_id,))
        elif depth < 1:
            rows = []
        else:
            rows = self.database.rows(NEAR, (artifact_id, depth))
        return [LineageEdge(parent, child) for parent, child in rows]
