"""An older file is brought forward, whole or not at all, by one process."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.metadata.metadata_samples import a_run, an_artifact

from flowyml.errors import MetadataError
from flowyml.metadata.database import Database
from flowyml.metadata.schema import MIGRATIONS
from flowyml.metadata.store import MetadataStore

ADDS_A_COLUMN = (
    "ALTER TABLE runs ADD COLUMN host TEXT NOT NULL DEFAULT 'unknown'",
    "UPDATE runs SET host = 'moved-' || run_id",
)
ADDS_A_TABLE = ("CREATE TABLE notes (text TEXT)",)
FAILS_HALF_WAY = ("CREATE TABLE half (text TEXT)", "INSERT INTO missing VALUES (1)")


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def old(path: Path) -> Path:
    """Give a file of the first version with a run and an artifact in it."""
    with closing(Database.open(path, migrations=MIGRATIONS[:1])):
        pass
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
        store.add_artifact(an_artifact(), [])
    return path


def test_an_old_file_goes_through_every_version(old: Path) -> None:
    """All migrations that a file has not seen run in their order, and its rows stay."""
    migrations = (*MIGRATIONS, ADDS_A_COLUMN, ADDS_A_TABLE)

    with closing(Database.open(old, migrations=migrations)) as database:
        assert database.rows("SELECT run_id, host FROM runs") == [("run-1", "moved-run-1")]
        assert database.rows("SELECT COUNT(*) FROM notes") == [(0,)]
        assert database.rows("SELECT output FROM artifacts") == [("model",)]

    assert _version(old) == len(migrations)


def test_a_migration_runs_once(old: Path) -> None:
    """Opening a file that is up to date changes nothing in it."""
    migrations = (*MIGRATIONS, ADDS_A_COLUMN)
    with closing(Database.open(old, migrations=migrations)) as database:
        database.write("UPDATE runs SET host = 'later'", (), about="a host")

    with closing(Database.open(old, migrations=migrations)) as database:
        assert database.rows("SELECT host FROM runs") == [("later",)]


def test_an_older_program_refuses_the_newer_file(old: Path) -> None:
    """After the migration the program before it says that it is too old."""
    Database.open(old, migrations=(*MIGRATIONS, ADDS_A_COLUMN)).close()

    with pytest.raises(MetadataError, match=r"newer one wrote it; upgrade with"):
        MetadataStore.open(old)


def test_a_migration_that_fails_leaves_the_file_as_it_was(old: Path) -> None:
    """Neither the failing migration nor the one before it leaves anything behind."""
    with pytest.raises(MetadataError, match="no such table: missing"):
        Database.open(old, migrations=(*MIGRATIONS, ADDS_A_COLUMN, FAILS_HALF_WAY))

    assert _version(old) == len(MIGRATIONS)
    with MetadataStore.open(old) as store:
        assert store.runs() == [a_run()]
        assert store._database.rows("SELECT name FROM sqlite_master WHERE name = 'half'") == []


def test_openers_that_meet_migrate_once(old: Path) -> None:
    """Of several that open an old file at once one migrates, and the others see it done."""
    migrations = (*MIGRATIONS, ADDS_A_COLUMN, ADDS_A_TABLE)
    barrier = threading.Barrier(8)
    seen: list[object] = []

    def open_it() -> None:
        barrier.wait()
        with closing(Database.open(old, migrations=migrations)) as database:
            seen.append(database.rows("SELECT host FROM runs"))

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [[("moved-run-1",)]] * 8
