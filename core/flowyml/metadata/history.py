"""The history of each model: an append-only chain of entries.

Each entry carries the hash of the one before, and the last hash of each chain is kept apart. So a
change to an entry, its removal, or a cut at the end shows. It does not protect from someone who
computes the whole chain anew: whoever can write the file and means harm can do that.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

import attrs
from attrs import frozen

from flowyml.errors import MetadataError
from flowyml.metadata.columns import from_json, from_micros, to_json, to_micros
from flowyml.metadata.database import Database, Row
from flowyml.metadata.rows import ModelEvent

__all__ = ["HistoryTable"]

HEAD: Final = "SELECT sequence, entry_hash FROM model_heads WHERE model = ?"

MOVE_HEAD: Final = """
    INSERT INTO model_heads (model, sequence, entry_hash) VALUES (?, ?, ?)
    ON CONFLICT (model)
    DO UPDATE SET sequence = excluded.sequence, entry_hash = excluded.entry_hash
"""

ADD: Final = """
    INSERT INTO model_events (model, sequence, version, kind, digest, actor, comment, at, details,
                              previous, entry_hash)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

OF_MODEL: Final = """
    SELECT model, sequence, version, kind, digest, actor, comment, at, details, previous, entry_hash
    FROM model_events WHERE model = ? ORDER BY sequence
"""


@frozen(eq=False)
class HistoryTable:
    """Adds to, reads and verifies the histories of models.

    Attributes:
        database: Where the tables are.
    """

    database: Database

    def append(self, event: ModelEvent) -> ModelEvent:
        """Add an entry and return it as it was added: with its sequence and both hashes."""
        about = f"the entry {event.kind!r} in the history of the model {event.model!r}"
        details = to_json(event.details, about=about)
        with self.database.transaction():
            last, previous = self.database.row(HEAD, (event.model,)) or (0, "")
            content = (
                event.model,
                last + 1,
                event.version,
                event.kind,
                event.digest,
                event.actor,
                event.comment,
                to_micros(event.at),
                details,
                previous,
            )
            entry_hash = _hash(content)
            self.database.write(ADD, (*content, entry_hash), about=about)
            self.database.write(MOVE_HEAD, (event.model, last + 1, entry_hash), about=about)
        return attrs.evolve(event, sequence=last + 1, previous=previous, entry_hash=entry_hash)

    def of_model(self, model: str) -> list[ModelEvent]:
        """Return the history of a model, the oldest entry first."""
        rows = self.database.rows(OF_MODEL, (model,))
        try:
            return [_event(row) for row in rows]
        except (TypeError, ValueError, OverflowError) as cause:
            message = (
                f"the history of the model {model!r} in {self.database.path} was changed from "
                f"outside and cannot be read: {cause}; `flowyml model history {model}` names the "
                "first entry that is wrong; restore the file from a backup"
            )
            raise MetadataError(message) from cause

    def verify(self, model: str) -> int | None:
        """Return the sequence of the first entry that is missing or wrong; None if all is well."""
        with self.database.transaction():
            rows = self.database.rows(OF_MODEL, (model,))
            head = self.database.row(HEAD, (model,)) or (0, "")
        previous = ""
        for expected, row in enumerate(rows, start=1):
            *content, entry_hash = row
            whole = content[1] == expected and content[-1] == previous
            if not whole or expected > head[0] or _hash(content) != entry_hash:
                return expected
            previous = entry_hash
        if head[0] > len(rows):
            return len(rows) + 1
        return None if head[1] == previous else len(rows)


def _hash(content: Row | list[object]) -> str:
    """Return the hash over every column but itself, the details as they lie in the file."""
    return "sha256:" + hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _event(row: Row) -> ModelEvent:
    return ModelEvent(
        model=row[0],
        sequence=row[1],
        version=row[2],
        kind=row[3],
        digest=row[4],
        actor=row[5],
        comment=row[6],
        at=from_micros(row[7]),
        details=from_json(row[8]),
        previous=row[9],
        entry_hash=row[10],
    )
