"""The table of artifacts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

from flowyml.errors import NotFoundError
from flowyml.metadata.columns import from_json, from_micros, to_json, to_micros
from flowyml.metadata.database import Database, Row
from flowyml.metadata.lineage import LineageTable
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.selection import Selection

__all__ = ["ArtifactTable"]

SELECT: Final = """
    SELECT run_id, pipeline, step, output, type, name, version, store, uri, digest, size, manifest,
           created_at, id, collected_at
    FROM artifacts
"""

ID: Final = 13
"""Where the row number stands in that."""

ADD: Final = """
    INSERT INTO artifacts (pipeline, type, name, version, store, uri, digest, size, manifest,
                           created_at, run_id, step, output)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (run_id, step, output) DO NOTHING
"""

REPLACE: Final = """
    UPDATE artifacts
    SET pipeline = ?, type = ?, name = ?, version = ?, store = ?, uri = ?, digest = ?, size = ?,
        manifest = ?, created_at = ?, collected_at = NULL
    WHERE run_id = ? AND step = ? AND output = ?
"""

COLLECT: Final = "UPDATE artifacts SET collected_at = ? WHERE uri = ?"

ROW_NUMBER: Final = "SELECT id FROM artifacts WHERE run_id = ? AND step = ? AND output = ?"

KNOWS_DIGEST: Final = "SELECT 1 FROM artifacts WHERE digest = ? LIMIT 1"

ADDRESS_OF: Final = """
    SELECT uri FROM artifacts
    WHERE digest = ?1 AND collected_at IS NULL AND substr(uri, 1, length(?2)) = ?2
    ORDER BY id DESC LIMIT 1
"""

# Only what came later replaces: old bytes that somebody put back do not. The plus signs keep SQLite
# from going by a digest that a million others may have as well.
REPLACED: Final = """
    uri = ?1 AND +digest = ?3 AND (created_at, id) > (
        SELECT created_at, id FROM artifacts WHERE uri = ?1 AND +digest = ?2
        ORDER BY created_at DESC, id DESC LIMIT 1
    )
"""

BATCH: Final = 1000
"""Artifacts that are read at once where there may be a million."""

GIVEN: Final = "(SELECT value FROM json_each(?))"

ROW_NUMBERS: Final = {
    "step": "SELECT id FROM artifacts WHERE step = ?",
    "name": "SELECT id FROM artifacts WHERE name = ?",
    "type": "SELECT id FROM artifacts WHERE type = ?",
}

# A run has few artifacts: they are found by the run, and the plus signs keep SQLite from going by
# a name or a type that a million others may have as well.
OF_RUN: Final = (
    f"{SELECT} WHERE run_id = ?1 AND (?2 IS NULL OR +step = ?2) AND (?3 IS NULL OR +name = ?3) "
    "AND (?4 IS NULL OR +type = ?4) ORDER BY +id DESC LIMIT ?5"
)


@frozen(eq=False)
class ArtifactTable:
    """Adds and finds artifacts.

    Attributes:
        database: Where the table is.
        lineage: Keeps what each was made from.
    """

    database: Database
    lineage: LineageTable
    _lists: Selection = field(init=False)

    @_lists.default
    def _make_lists(self) -> Selection:
        return Selection(self.database, SELECT, ROW_NUMBERS)

    def add(self, artifact: ArtifactRecord, parents: Sequence[int]) -> int:
        """Add an artifact, or put it in the place of what the same output was before."""
        about = f"the artifact {artifact.run_id}/{artifact.output}"
        values = _values(artifact, about)
        with self.database.transaction():
            added = self.database.write(ADD, values, about=about)
            number = added.lastrowid if added.rowcount else self._replace(values, about)
            self.lineage.add(int(number or 0), parents, about=about)
        return int(number or 0)

    def _replace(self, values: tuple[object, ...], about: str) -> int:
        self.database.write(REPLACE, values, about=about)
        place = values[-3:]
        ((number,),) = self.database.rows(ROW_NUMBER, place)
        self.lineage.clear(number, about=about)
        return int(number)

    def get(self, artifact_id: int) -> ArtifactRecord:
        """Return the artifact with this id."""
        row = self.database.row(f"{SELECT} WHERE id = ?", (artifact_id,))
        if row is None:
            message = (
                f"no artifact with the id {artifact_id} in {self.database.path}; "
                "`flowyml artifact list` shows the newest"
            )
            raise NotFoundError(message)
        return _artifact(row)

    def of_numbers(self, numbers: Sequence[int]) -> Iterator[ArtifactRecord]:
        """Yield the artifacts with these ids, in this order; few at a time are in memory."""
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start : start + BATCH]
            rows = self.database.rows(f"{SELECT} WHERE id IN {GIVEN}", (json.dumps(list(batch)),))
            found = {row[ID]: row for row in rows}
            yield from (_artifact(found[number]) for number in batch)

    def newest(
        self,
        *,
        run_id: str | None = None,
        step: str | None = None,
        name: str | None = None,
        type: str | None = None,  # noqa: A002  # the record's word, and the command line's
        limit: int | None = None,
    ) -> list[ArtifactRecord]:
        """Return artifacts, the newest first."""
        if run_id is None:
            rows = self._lists.newest({"step": step, "name": name, "type": type}, limit)
        else:
            bound = -1 if limit is None else limit
            rows = self.database.rows(OF_RUN, (run_id, step, name, type, bound))
        return [_artifact(row) for row in rows]

    def newest_where(self, condition: str, values: Sequence[Any]) -> ArtifactRecord | None:
        """Return the newest artifact that meets a condition on an indexed column."""
        row = self.database.row(f"{SELECT} WHERE {condition} ORDER BY id DESC LIMIT 1", values)
        return None if row is None else _artifact(row)

    def address_of(self, digest: str, below: str) -> str | None:
        """Return the newest URI below another one that has this digest and was not collected."""
        row = self.database.row(ADDRESS_OF, (digest, f"{below}/"))
        return None if row is None else str(row[0])

    def replacement(self, uri: str, recorded: str, found: str) -> ArtifactRecord | None:
        """Return the later artifact with the found digest that took the place of a recorded one."""
        return self.newest_where(REPLACED, (uri, recorded, found))

    def collect(self, uri: str, at: datetime) -> None:
        """Say that what lay at a URI was deleted; its rows stay."""
        self.database.write(COLLECT, (to_micros(at), uri), about=f"the collection of {uri}")

    def knows_digest(self, digest: str) -> bool:
        """Whether an artifact with this digest was stored by a run of this project."""
        return self.database.row(KNOWS_DIGEST, (digest,)) is not None


def _values(artifact: ArtifactRecord, about: str) -> tuple[object, ...]:
    return (
        artifact.pipeline,
        artifact.type,
        artifact.name,
        artifact.version,
        artifact.store,
        artifact.uri,
        artifact.digest,
        artifact.size,
        to_json(artifact.manifest, about=about),
        to_micros(artifact.created_at),
        artifact.run_id,
        artifact.step,
        artifact.output,
    )


def _artifact(row: Row) -> ArtifactRecord:
    return ArtifactRecord(
        run_id=row[0],
        pipeline=row[1],
        step=row[2],
        output=row[3],
        type=row[4],
        name=row[5],
        version=row[6],
        store=row[7],
        uri=row[8],
        digest=row[9],
        size=row[10],
        manifest=from_json(row[11]),
        created_at=from_micros(row[12]),
        artifact_id=row[13],
        collected_at=None if row[14] is None else from_micros(row[14]),
    )
