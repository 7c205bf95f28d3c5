"""A store opens what is its own, and says plainly what it cannot use."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.metadata.metadata_samples import a_run, an_artifact
from tests.servers.processes import without_privileges

from flowyml.errors import MetadataError, NotFoundError
from flowyml.metadata.database import Database, _use_log
from flowyml.metadata.schema import MIGRATIONS
from flowyml.metadata.store import MetadataStore


def test_the_folder_and_the_tables_are_made(path: Path) -> None:
    """A store is there after it was opened once."""
    MetadataStore.open(path).close()

    with MetadataStore.open(path) as store:
        assert store.runs() == []


def test_an_empty_file_is_a_new_store(path: Path) -> None:
    """A file that a killed process had made but not filled is used."""
    path.parent.mkdir()
    path.touch()

    with MetadataStore.open(path) as store:
        store.add_run(a_run())
        assert store.run("run-1") == a_run()


def test_the_file_uses_the_log_and_waits_for_no_disk_at_commit(store: MetadataStore) -> None:
    """Journal, durability, references and version are what the documentation says."""
    said = {
        name: store._database.row(f"PRAGMA {name}")
        for name in ("journal_mode", "synchronous", "foreign_keys", "user_version")
    }

    assert said == {
        "journal_mode": ("wal",),
        "synchronous": (1,),
        "foreign_keys": (1,),
        "user_version": (len(MIGRATIONS),),
    }


def test_closing_twice_does_nothing(path: Path) -> None:
    """A store may be closed by hand inside a `with`."""
    with MetadataStore.open(path) as store:
        store.close()


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.runs(),
        lambda store: store.add_run(a_run()),
        lambda store: store.transaction().__enter__(),
    ],
    ids=["read", "write", "transaction"],
)
def test_a_closed_store_says_so(path: Path, use: Callable[[MetadataStore], object]) -> None:
    """What is done with a closed store names the file and the reason."""
    store = MetadataStore.open(path)
    store.close()

    with pytest.raises(MetadataError, match=f"{re.escape(str(path))}.*closed"):
        use(store)


def test_a_store_that_is_closed_in_a_block_says_so_and_keeps_nothing(path: Path) -> None:
    """Closing in the middle of a transaction takes it back, with an error."""
    store = MetadataStore.open(path)

    def write_and_close() -> None:
        with store.transaction():
            store.add_run(a_run())
            store.close()

    with pytest.raises(MetadataError, match="closed"):
        write_and_close()

    with MetadataStore.open(path) as again:
        assert again.runs() == []


def _as_text(path: Path) -> None:
    path.write_text("runs: []\n" * 1000)


def _as_short_text(path: Path) -> None:
    path.write_text("runs: []\n")


def _as_folder(path: Path) -> None:
    path.mkdir()


def _of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.execute("INSERT INTO notes VALUES ('mine')")
        connection.commit()


def _of_a_marked_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 252006673")
        connection.commit()


def _newer(path: Path) -> None:
    MetadataStore.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _truncated(path: Path) -> None:
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
    os.truncate(path, path.stat().st_size // 2)


def _cut_in_the_header(path: Path) -> None:
    MetadataStore.open(path).close()
    os.truncate(path, 60)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_as_text, "is not a metadata store.*move it away"),
        (_as_short_text, "is not a metadata store.*move it away"),
        (_as_folder, "cannot be opened; make sure that it is a file"),
        (_of_another_program, "of another program.*move it away"),
        (_of_a_marked_program, "of another program.*move it away"),
        (_newer, "schema version 99.*knows up to 3.*pip install --upgrade flowyml"),
        (_truncated, "is damaged; restore it from a backup"),
        (_cut_in_the_header, "is damaged; restore it from a backup"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_left_as_it_is(
    path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    """The message names the file, the reason and the way out; not a byte of the file changes."""
    path.parent.mkdir()
    spoil(path)
    before = path.read_bytes() if path.is_file() else None

    with pytest.raises(MetadataError, match=says) as raised:
        MetadataStore.open(path)

    assert str(path) in str(raised.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A project below something that is no folder has no place for a store."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / ".flowyml" / "metadata.db"

    with pytest.raises(MetadataError, match=re.escape(str(path.parent))) as raised:
        MetadataStore.open(path)

    assert "choose a project folder that may be written" in str(raised.value)
    assert isinstance(raised.value.__cause__, OSError)


def test_a_file_that_may_not_be_written_shows_at_opening(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that can be read but not written is refused before a run begins."""
    MetadataStore.open(path).close()
    connect = sqlite3.connect

    def connect_to_read(path: Path, **options: object) -> sqlite3.Connection:
        # Stands for a disk that is mounted to be read: permissions do not stop the root user.
        return connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    monkeypatch.setattr("flowyml.metadata.database.sqlite3.connect", connect_to_read)

    with pytest.raises(MetadataError, match="may not be written; change the permissions"):
        MetadataStore.open(path)


READER = """
import sys
from pathlib import Path
from flowyml.errors import MetadataError
from flowyml.metadata.store import MetadataStore
try:
    with MetadataStore.read(Path(sys.argv[1])) as store:
        print(*[run.run_id for run in store.runs()])
except MetadataError as error:
    print(error)
"""

WRITER = READER.replace("MetadataStore.read", "MetadataStore.open")

READER_TWICE = READER.replace("print(", "print('read', flush=True); input(); print(", 1).replace(
    "as store:", "as store:\n        store.runs()"
)
"""Says ``read`` after it has read once; it reads again when it is given a line."""

READER_TO_BE = (
    """
import sqlite3
connect = sqlite3.connect
def connect_later(*arguments, **options):
    print("ready", flush=True)
    input()
    return connect(*arguments, **options)
sqlite3.connect = connect_later
"""
    + READER
)
"""Says ``ready`` when it knows how to connect; it does so when it is given a line."""


@contextmanager
def _only_to_be_read(folder: Path) -> Iterator[None]:
    files = list(folder.iterdir())
    for path in [*files, folder]:
        path.chmod(0o444 if path in files else 0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def _said_by_another(script: str, path: Path, unwritable: Path) -> str:
    """Return what a process says that keeps to permissions; it leaves no file anywhere."""
    folder = path.resolve().parent
    before = sorted(file.name for file in folder.iterdir())
    command = without_privileges([sys.executable, "-c", script, str(path)], unwritable)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert sorted(file.name for file in folder.iterdir()) == before
    return ended.stdout.strip()


def _interrupted(script: str, path: Path, meanwhile: Callable[[], None]) -> list[str]:
    """Return what a process says that keeps to permissions; it waits in the middle for us."""
    command = without_privileges([sys.executable, "-c", script, str(path)], path)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        meanwhile()
        rest, _ = process.communicate("\n", timeout=100)
    return (first + rest).splitlines()


def _read_by_another(path: Path) -> str:
    """Return what a process says that may write neither the file nor its folder."""
    with _only_to_be_read(path.parent):
        return _said_by_another(READER, path, path.parent)


def _copy(store: Path, folder: Path, *ends: str) -> Path:
    """Copy a store at work, as it would be left if its process was killed now."""
    copy = folder / store.name
    folder.mkdir()
    for end in ("", *ends):
        Path(f"{copy}{end}").write_bytes(Path(f"{store}{end}").read_bytes())
    return copy


def test_a_store_that_may_not_be_written_is_read(path: Path) -> None:
    """Also where its log is gone, as it is when the last process closed it."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())

    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert _read_by_another(path) == "run-1"


def test_a_store_that_is_not_there_is_read_as_an_empty_one(path: Path) -> None:
    """And is not made by that, nor is its folder."""
    with MetadataStore.read(path) as store:
        assert store.runs() == []
    assert not path.parent.exists()


def test_what_is_still_in_the_log_is_read(path: Path) -> None:
    """A reader that may not write sees what a writer committed that is still at work."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
        store.add_run(a_run("run-2"))

        assert _read_by_another(path) == "run-2 run-1"


@pytest.mark.parametrize("script", [READER, WRITER], ids=["read", "open"])
def test_a_folder_that_may_be_written_gets_no_log_of_a_reader(path: Path, script: str) -> None:
    """It would be the reader's own, and the owner of the file could not write it any more."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
    path.chmod(0o444)

    said = _said_by_another(script, path, path)

    wanted = {READER: "run-1", WRITER: f"the metadata store {path} may not be written; change the"}
    assert said.startswith(wanted[script])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("left", ["-wal", "-shm"])
def test_half_a_log_with_nothing_in_it_is_not_completed(path: Path, left: str) -> None:
    """The other half would be the reader's own."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
    Path(f"{path}{left}").touch()
    path.chmod(0o444)

    assert _said_by_another(READER, path, path) == "run-1"


def test_the_log_of_a_killed_process_is_read_where_it_lies(path: Path, tmp_path: Path) -> None:
    """With its index; both are left to the owner."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
        copy = _copy(path, tmp_path / "copy", "-wal", "-shm")
    copy.chmod(0o444)

    assert _said_by_another(READER, copy, copy) == "run-1"


def test_a_log_that_a_reader_has_seen_stays(path: Path) -> None:
    """Its owner closes the store before the reader has opened it, which made the reader's own."""
    store = MetadataStore.open(path)
    store.add_run(a_run())
    log = Path(f"{path}-wal")
    before = log.stat().st_ino
    path.chmod(0o444)

    assert _interrupted(READER_TO_BE, path, store.close) == ["ready", "run-1"]
    assert log.stat().st_ino == before


def test_a_store_that_its_owner_is_just_opening_is_told(path: Path, tmp_path: Path) -> None:
    """The index of its log is there and still empty, and only who may write can fill it."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
        copy = _copy(path, tmp_path / "copy", "-wal", "-shm")
    copy.chmod(0o444)
    with Path(f"{copy}-shm").open("r+b") as index:
        index.write(bytes(136))
        index.flush()
        fcntl.lockf(index, fcntl.LOCK_SH, 1, 128)  # what every process does that has it open

        said = _said_by_another(READER, copy, copy)

    assert f"{copy} is just being opened by a process that may write it; run it again" in said
    assert _said_by_another(READER, copy, copy) == "run-1"


def test_a_log_that_cannot_be_read_is_named(path: Path, tmp_path: Path) -> None:
    """A copy without the index of its log is refused: what the log has would be missing."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
        copy = _copy(path, tmp_path / "copy", "-wal")

    said = _read_by_another(copy)

    assert said.startswith(f"the metadata store {copy} may not be written, and the log")
    assert "run `flowyml runs list` once" in said
    copy.chmod(0o644)
    Path(f"{copy}-wal").chmod(0o644)
    with MetadataStore.read(copy) as store:
        assert store.runs() == [a_run()]


def test_a_journal_that_waits_to_be_taken_back_is_named(path: Path, tmp_path: Path) -> None:
    """Where there can be no log, a killed writer leaves the file half written."""
    MetadataStore.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        for number in range(1000):
            connection.execute("INSERT INTO leases VALUES (?, 'me', 0)", (f"run-{number}",))
        copy = _copy(path, tmp_path / "copy", "-journal")

    said = _read_by_another(copy)

    assert said.startswith(f"the metadata store {copy} may not be written, and the journal")
    assert "run `flowyml runs list` once" in said
    copy.chmod(0o644)
    Path(f"{copy}-journal").chmod(0o644)
    with MetadataStore.read(copy) as store:
        assert store.runs() == []


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        (["-wal", "-shm"], "run-1"),
        (["-wal"], "may not be written, and the log metadata.db-wal"),
    ],
)
def test_the_log_lies_beside_the_file_that_a_link_leads_to(
    path: Path, tmp_path: Path, ends: list[str], says: str
) -> None:
    """What was committed to it is read, or missed aloud."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
        copy = _copy(path, tmp_path / "copy", *ends)
    link = tmp_path / "link.db"
    link.symlink_to(copy)

    with _only_to_be_read(copy.parent):
        assert says in _said_by_another(READER, link, copy)


def _add_runs(path: Path) -> None:
    path.chmod(0o644)
    with MetadataStore.open(path) as store, store.transaction():
        for number in range(300):
            store.add_run(a_run(f"new-{number}"))


def _cut_in_half(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("meanwhile", "says"),
    [
        (lambda path: None, "run-1"),
        (_add_runs, "the metadata store {} was written while it was read; run it again"),
        (_cut_in_half, "the metadata store {} was written while it was read; run it again"),
    ],
    ids=["nothing", "runs", "less"],
)
def test_a_file_that_is_written_while_it_is_read_says_so(
    path: Path, meanwhile: Callable[[Path], None], says: str
) -> None:
    """A reader without locks gives neither an old answer nor calls the file damaged."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
    path.chmod(0o444)

    said = _interrupted(READER_TWICE, path, lambda: meanwhile(path))

    assert said == ["read", says.format(path)]


def test_a_damaged_file_that_may_not_be_written_is_said_to_be_damaged(path: Path) -> None:
    """Nobody writes it, so running it again would not help."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run())
    os.truncate(path, path.stat().st_size // 2)

    assert "is damaged; restore it from a backup" in _read_by_another(path)


def test_an_older_store_that_may_not_be_written_is_told(path: Path) -> None:
    """With both versions, and what to do."""
    Database.open(path, migrations=MIGRATIONS[:1]).close()

    said = _read_by_another(path)

    assert f"{path} has schema version 1 and must be upgraded to {len(MIGRATIONS)}" in said
    assert "run `flowyml runs list` once where it may" in said


def test_damage_inside_the_file_is_said_when_it_is_met(path: Path) -> None:
    """Pages of rubbish in the middle are an error that names the file, not a wrong answer."""
    with MetadataStore.open(path) as store, store.transaction():
        store.add_run(a_run())
        for number in range(300):
            store.add_artifact(an_artifact(f"output-{number}"), [])
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 40_000)

    with MetadataStore.open(path) as store, pytest.raises(MetadataError, match="is damaged"):
        store.artifacts()


def test_a_holder_of_the_lock_that_does_not_let_go_is_said(path: Path) -> None:
    """A writer gives up after a while, and says that another process holds the file."""
    with (
        closing(Database.open(path)) as holder,
        closing(Database.open(path, patience=0.05)) as waiter,
        holder.transaction(),
        pytest.raises(MetadataError, match=r"held by another process.*wait for it"),
        waiter.transaction(),
    ):
        pass


def test_switching_to_the_log_waits_for_its_turn(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SQLite gives up at once, because two switch at the same time, opening tries again."""
    path.parent.mkdir()
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        waits: list[float] = []

        def let_the_other_finish(seconds: float) -> None:
            waits.append(seconds)
            other.execute("COMMIT")

        monkeypatch.setattr("flowyml.metadata.database.time.sleep", let_the_other_finish)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            _use_log(connection, deadline=0)
        assert waits == []

        assert _use_log(connection, deadline=time.monotonic() + 60) == "wal"
        assert len(waits) == 1


def test_readers_do_not_wait_for_a_writer(path: Path) -> None:
    """While one process writes, another reads what was committed before."""
    with MetadataStore.open(path) as writer, MetadataStore.open(path) as reader:
        with writer.transaction():
            writer.add_run(a_run())
            assert reader.runs() == []
        assert reader.runs() == [a_run()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_is_told_to_open_its_own(store: MetadataStore) -> None:
    """A connection that is carried over a fork could damage the file, so it is refused."""
    store.add_run(a_run())
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            store.runs()
        except MetadataError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        said = pipe.read()

    assert "open the store again" in said
    assert store.runs() == [a_run()]


def test_odd_text_is_refused_with_the_thing_that_it_belongs_to(store: MetadataStore) -> None:
    """Text that UTF-8 cannot hold is an error that names the run, and nothing is written."""
    with pytest.raises(MetadataError, match=r"the run 'odd-.*was not recorded"):
        store.add_run(a_run("odd-\udc80"))

    with pytest.raises(NotFoundError):
        store.run("odd-")
