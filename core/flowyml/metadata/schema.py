"""The tables, and the way from one version of them to the next.

The version lies in the file itself (``PRAGMA user_version``); the first entry of `MIGRATIONS` makes
version 1, every further one leads from its predecessor to the next. A migration that was released
is never changed: a new one is added.

Lists show the newest first, that is the one added last, which is what the row number ``id`` counts.
Every index ends in the row number, so a list by one column needs no sorting.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from flowyml.errors import MetadataError

__all__ = ["MIGRATIONS", "Migrations", "check", "upgrade"]

Migrations = tuple[tuple[str, ...], ...]
"""For each version the statements that lead to it."""

APPLICATION: Final = 0x464C4F57
"""Marks the file as ours (``PRAGMA application_id``); the letters FLOW."""

RUNS: Final = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        pipeline TEXT NOT NULL,
        stack TEXT NOT NULL,
        status TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        reference TEXT,
        config TEXT,
        parameters TEXT NOT NULL,
        finished_at INTEGER,
        error TEXT
    )
    """,
    "CREATE INDEX runs_by_pipeline ON runs (pipeline)",
    "CREATE INDEX runs_by_status ON runs (status)",
    """
    CREATE TABLE steps (
        run_id TEXT NOT NULL REFERENCES runs (run_id),
        name TEXT NOT NULL,
        position INTEGER NOT NULL,
        status TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        started_at INTEGER,
        finished_at INTEGER,
        error TEXT,
        cached_from TEXT,
        note TEXT,
        PRIMARY KEY (run_id, name)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE leases (
        run_id TEXT NOT NULL PRIMARY KEY,
        owner TEXT NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

ARTIFACTS: Final = (
    """
    CREATE TABLE artifacts (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES runs (run_id),
        pipeline TEXT NOT NULL,
        step TEXT NOT NULL,
        output TEXT NOT NULL,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT,
        store TEXT NOT NULL,
        uri TEXT NOT NULL,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        manifest TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        UNIQUE (run_id, step, output)
    )
    """,
    "CREATE INDEX artifacts_by_step ON artifacts (step)",
    "CREATE INDEX artifacts_by_type ON artifacts (type)",
    "CREATE INDEX artifacts_by_name ON artifacts (name)",
    "CREATE INDEX artifacts_by_uri ON artifacts (uri)",
    "CREATE INDEX artifacts_by_digest ON artifacts (digest)",
    """
    CREATE TABLE lineage (
        child INTEGER NOT NULL REFERENCES artifacts (id),
        parent INTEGER NOT NULL REFERENCES artifacts (id) CHECK (parent <> child),
        PRIMARY KEY (child, parent)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX lineage_by_parent ON lineage (parent, child)",
)

DELIVERIES: Final = (
    """
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        run_id TEXT NOT NULL REFERENCES runs (run_id),
        step TEXT NOT NULL,
        output TEXT NOT NULL,
        hook TEXT NOT NULL,
        component TEXT NOT NULL,
        component_type TEXT NOT NULL,
        status TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        waits_for TEXT,
        reason TEXT,
        attempts INTEGER NOT NULL,
        error TEXT,
        payload TEXT,
        reference TEXT,
        result TEXT,
        is_debt INTEGER NOT NULL
    )
    """,
    "CREATE INDEX deliveries_by_run ON deliveries (run_id)",
    "CREATE INDEX debts_by_run ON deliveries (run_id) WHERE is_debt = 1",
)

HISTORY: Final = (
    """
    CREATE TABLE model_events (
        model TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        version TEXT NOT NULL,
        kind TEXT NOT NULL,
        digest TEXT NOT NULL,
        actor TEXT NOT NULL,
        comment TEXT NOT NULL,
        at INTEGER NOT NULL,
        details TEXT NOT NULL,
        previous TEXT NOT NULL,
        entry_hash TEXT NOT NULL,
        PRIMARY KEY (model, sequence)
    ) WITHOUT ROWID
    """,
    # The end of each chain is kept apart: without it, cutting off the last entries leaves no trace.
    """
    CREATE TABLE model_heads (
        model TEXT NOT NULL PRIMARY KEY,
        sequence INTEGER NOT NULL,
        entry_hash TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TRIGGER model_events_stay BEFORE UPDATE ON model_events
    BEGIN SELECT RAISE(ABORT, 'the history of a model is only ever added to'); END
    """,
    """
    CREATE TRIGGER model_events_remain BEFORE DELETE ON model_events
    BEGIN SELECT RAISE(ABORT, 'the history of a model is only ever added to'); END
    """,
)

COLLECTED: Final = ("ALTER TABLE artifacts ADD COLUMN collected_at INTEGER",)
"""What `flowyml artifact gc` deleted keeps its row: it stays in the lineage of what is left."""

RESULTS: Final = (
    """
    CREATE TABLE results (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        pipeline TEXT NOT NULL,
        step TEXT NOT NULL,
        run_id TEXT NOT NULL REFERENCES runs (run_id),
        parts TEXT NOT NULL,
        created_at INTEGER NOT NULL
    )
    """,
    "CREATE INDEX results_by_step ON results (pipeline, step)",
)

MIGRATIONS: Final[Migrations] = (
    (*RUNS, *ARTIFACTS, *DELIVERIES, *HISTORY),
    COLLECTED,
    RESULTS,
)


PROBE: Final = "DELETE FROM leases WHERE 0"
"""Writes nothing, and fails where nothing can be written, which BEGIN IMMEDIATE alone does not."""


def upgrade(connection: sqlite3.Connection, path: Path, migrations: Migrations) -> None:
    """Bring a file to the version that this program knows, whole or not at all.

    It takes the write lock and writes even when there is nothing to do. So a file that cannot be
    written shows itself here and not in the middle of a run, and two processes never migrate at
    once.

    Raises:
        MetadataError: The file belongs to another program, or to a newer version of this one.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, path, len(migrations))
        if not version:
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
        for number, statements in enumerate(migrations[version:], start=version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(PROBE)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check(connection: sqlite3.Connection, path: Path, migrations: Migrations) -> None:
    """Make sure that a file which may not be written can be read as it is.

    Raises:
        MetadataError: The file belongs to another program, or has another version.
    """
    version = _version(connection, path, len(migrations))
    if version < len(migrations):
        message = (
            f"the metadata store {path} has schema version {version} and must be upgraded to "
            f"{len(migrations)}, but may not be written: run `flowyml runs list` once where it may"
        )
        raise MetadataError(message)


def _version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        message = (
            f"{path} is an SQLite file of another program, not a metadata store; "
            "move it away and a new one is started"
        )
        raise MetadataError(message)
    if version > known:
        message = (
            f"the metadata store {path} has schema version {version}, and this FlowyML knows up "
            f"to {known}: a newer one wrote it; upgrade with `pip install --upgrade flowyml`"
        )
        raise MetadataError(message)
    return int(version)
