"""The table of model versions: one SQLite file for any number of processes.

Every call opens the file, does one transaction and closes it, so threads and forks share nothing,
and a process that is killed leaves a version registered as a whole or not at all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from flowyml.errors import DeliveryError, SerializationError
from flowyml.records import ApprovalStatus, ModelVersion
from flowyml.serialization import decode, encode

__all__ = ["REGISTRY", "VersionTable", "Versions"]

REGISTRY: Final = "local"
"""The ``type`` of the registry, as its versions name it."""

SCHEMA_VERSION: Final = 1

SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS versions (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        uri TEXT NOT NULL,
        digest TEXT NOT NULL,
        created_at TEXT NOT NULL,
        key TEXT UNIQUE,
        framework TEXT,
        run_id TEXT,
        approval TEXT NOT NULL,
        comment TEXT NOT NULL,
        facts TEXT NOT NULL,
        code TEXT NOT NULL,
        UNIQUE (name, version)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS aliases (
        name TEXT NOT NULL,
        alias TEXT NOT NULL,
        version TEXT NOT NULL,
        PRIMARY KEY (name, alias),
        FOREIGN KEY (name, version) REFERENCES versions (name, version)
    ) WITHOUT ROWID
    """,
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

ADD: Final = """
    INSERT INTO versions (name, version, uri, digest, created_at, key, framework, run_id, approval,
                          comment, facts, code)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?)
"""

SELECT: Final = """
    SELECT name, version, uri, digest, created_at, key, framework, run_id, approval, facts
    FROM versions
"""

ALIASED: Final = "SELECT name, version FROM aliases WHERE name = ? AND alias = ?"

CODE: Final = "SELECT code FROM versions WHERE name = ? AND version = ?"

ALIASES: Final = "SELECT alias FROM aliases WHERE name = ? AND version = ? ORDER BY alias"

POINT: Final = """
    INSERT INTO aliases (name, alias, version) VALUES (?, ?, ?)
    ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version
"""

FACTS: Final = ("metadata", "input_schema", "output_schema", "serving_config")
"""The fields of a version that only its users understand; one column holds them as JSON."""

PATIENCE: Final = 30.0
"""Seconds to wait for another process that writes."""

PRIMARY: Final = 0xFF
"""The part of an extended result code of SQLite that is the plain one."""


@frozen
class VersionTable:
    """Keeps model versions, their approval and their aliases.

    Attributes:
        file: The SQLite file; made with its folder when the first version is written.
    """

    file: Path

    @contextmanager
    def writing(self) -> Iterator[Versions]:
        """Keep everything that is written in the block, or nothing; other writers wait."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                connection.execute(statement)
            yield Versions(connection)
            connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[Versions | None]:
        """Show the table as it is at one moment; None where nothing was ever registered."""
        if not self.file.exists():
            yield None
            return
        with self._connection() as connection:
            connection.execute("BEGIN")
            yield Versions(connection) if _has_tables(connection) else None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Connect for one block; closing rolls back whatever it did not commit."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.file, timeout=PATIENCE, isolation_level=None)
            with closing(connection):
                connection.execute("PRAGMA foreign_keys = ON")
                self._refuse_newer(connection)
                yield connection
        except (sqlite3.Error, OSError) as cause:
            if isinstance(cause, DeliveryError):
                raise
            raise _failure(self.file, cause) from cause

    def _refuse_newer(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            message = (
                f"the model registry {self.file} has schema version {version}, and this FlowyML "
                f"knows up to {SCHEMA_VERSION}: a newer one wrote it; upgrade with "
                "`pip install --upgrade flowyml`"
            )
            raise DeliveryError(message)


@frozen
class Versions:
    """The table inside one transaction."""

    connection: sqlite3.Connection

    def add(self, model: ModelVersion, code: Sequence[str]) -> None:
        """Add a version; its name and version must be new.

        Args:
            model: The version.
            code: Folders that the classes of the model may be imported from.
        """
        facts = {name: getattr(model, name) for name in FACTS}
        values = (model.name, model.version, model.uri, model.digest, model.created_at.isoformat())
        more = (model.key, model.framework, model.run_id, model.approval, _to_json(facts))
        self.connection.execute(ADD, (*values, *more, json.dumps(code)))

    def code(self, name: str, version: str) -> Sequence[str]:
        """Return the folders that the classes of a model may be imported from."""
        row = self.connection.execute(CODE, (name, version)).fetchone()
        folders: list[str] = [] if row is None else json.loads(row[0])
        return folders

    def by_key(self, key: str) -> ModelVersion | None:
        """Return the version that a delivery registered."""
        return self._one("WHERE key = ?", key)

    def exact(self, name: str, version: str) -> ModelVersion | None:
        """Return the version with exactly this name and version."""
        return self._one("WHERE name = ? AND version = ?", name, version)

    def aliased(self, name: str, alias: str) -> ModelVersion | None:
        """Return the version that an alias points at."""
        return self._one(f"WHERE (name, version) = ({ALIASED})", name, alias)

    def newest(self, name: str) -> ModelVersion | None:
        """Return the version of a model that was registered last."""
        return self._one("WHERE name = ? ORDER BY id DESC LIMIT 1", name)

    def all(self, name: str | None) -> list[ModelVersion]:
        """Return the versions of one model, or of all, the newest first."""
        rows = self._rows("WHERE ?1 IS NULL OR name = ?1 ORDER BY id DESC", name)
        return [self._version(row) for row in rows]

    def next_number(self, name: str) -> str:
        """Return the version after the highest one that is a plain number."""
        rows = self.connection.execute("SELECT version FROM versions WHERE name = ?", (name,))
        numbers = [int(version) for (version,) in rows if version.isascii() and version.isdecimal()]
        return str(max(numbers, default=0) + 1)

    def set_approval(self, name: str, version: str, approval: ApprovalStatus, comment: str) -> None:
        """Write down a decision and why it was taken."""
        update = "UPDATE versions SET approval = ?, comment = ? WHERE name = ? AND version = ?"
        self.connection.execute(update, (approval, comment, name, version))

    def set_alias(self, name: str, version: str, alias: str) -> None:
        """Point an alias at a version, and away from any other."""
        self.connection.execute(POINT, (name, alias, version))

    def _one(self, where: str, *values: str) -> ModelVersion | None:
        rows = self._rows(where, *values)
        return self._version(rows[0]) if rows else None

    def _rows(self, where: str, *values: str | None) -> list[Any]:
        return self.connection.execute(f"{SELECT} {where}", values).fetchall()

    def _version(self, row: Any) -> ModelVersion:
        name, version, uri, digest, created_at, key, framework, run_id, approval, facts = row
        aliases = self.connection.execute(ALIASES, (name, version)).fetchall()
        return ModelVersion(
            name=name,
            version=version,
            uri=uri,
            digest=digest,
            registry=REGISTRY,
            created_at=datetime.fromisoformat(created_at),
            key=key,
            framework=framework,
            run_id=run_id,
            approval=approval,
            aliases=tuple(alias for (alias,) in aliases),
            **_from_json(facts),
        )


def _has_tables(connection: sqlite3.Connection) -> bool:
    """Whether the schema is there; a writer that was killed early leaves an empty file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version)


def _to_json(facts: dict[str, Any]) -> str:
    return json.dumps(encode(facts))


def _from_json(text: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(text)
    return {name: _decoded(fact) for name, fact in facts.items()}


def _decoded(fact: Any) -> Any:
    """Return a fact; one of a class that is not imported here stays JSON, and lists go on."""
    try:
        return decode(fact)
    except SerializationError:
        return fact


def _failure(file: Path, cause: Exception) -> DeliveryError:
    code = getattr(cause, "sqlite_errorcode", None)
    plain = None if code is None else code & PRIMARY
    if plain in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        message = f"the model registry {file} is held by another process that does not let go"
        return DeliveryError(f"{message}; end that process, or wait for it", transient=True)
    if plain in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        message = (
            f"{file} is damaged or no model registry at all ({cause}); restore it from a backup, "
            "or move it away and a new one is started"
        )
        return DeliveryError(message)
    message = (
        f"the model registry {file} cannot be read or written: {cause}; "
        "check the permissions and the free space of its folder"
    )
    return DeliveryError(message)
