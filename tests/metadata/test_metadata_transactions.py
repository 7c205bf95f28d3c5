"""What is written together is kept together, or not at all."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from tests.metadata.conftest import StartWriters
from tests.metadata.metadata_samples import a_delivery, a_run, an_artifact, an_event

from flowyml.errors import FlowyMLError, MetadataError
from flowyml.metadata.store import MetadataStore


class Interruption(BaseException):
    """Like Ctrl-C: no `Exception`."""


def _fill_up(store: MetadataStore, spare_pages: int = 0) -> None:
    """Let the file not grow any more, as on a full disk; SQLite raises the very same error."""
    pages = store._database.row("PRAGMA page_count")
    assert pages
    store._database.row(f"PRAGMA max_page_count = {pages[0] + spare_pages}")


def _make_room(store: MetadataStore) -> None:
    store._database.row("PRAGMA max_page_count = 1000000")


def _is_sound(store: MetadataStore) -> bool:
    no_loose_ends = store._database.rows("PRAGMA foreign_key_check") == []
    return store._database.row("PRAGMA integrity_check") == ("ok",) and no_loose_ends


@pytest.mark.parametrize("error", [ValueError("no"), Interruption()], ids=["error", "Ctrl-C"])
def test_a_block_that_raises_leaves_nothing(store: MetadataStore, error: BaseException) -> None:
    """An exception of any kind takes back all that the block wrote, and goes on."""

    def write() -> None:
        with store.transaction():
            store.add_run(a_run())
            store.add_steps("run-1", ["train"])
            raise error

    with pytest.raises(type(error)):
        write()

    assert store.runs() == []
    store.add_run(a_run())


def test_a_block_sees_its_own_writes(store: MetadataStore) -> None:
    """Inside a transaction the writes so far are read back."""
    with store.transaction():
        store.add_run(a_run())
        assert store.run("run-1") == a_run()


def test_a_block_joins_the_one_around_it(store: MetadataStore) -> None:
    """The inner block's writes are taken back with those of the outer one."""

    def write() -> None:
        with store.transaction():
            with store.transaction():
                store.add_run(a_run())
            raise Interruption

    with pytest.raises(Interruption):
        write()

    assert store.runs() == []


def test_a_failed_inner_block_takes_the_outer_one_with_it(store: MetadataStore) -> None:
    """Catching the inner block's exception does not keep half of the outer one."""

    def write() -> None:
        with store.transaction():
            store.add_run(a_run())
            with pytest.raises(MetadataError, match="does not know the run or the artifact"):
                store.add_artifact(an_artifact(), [12345])

    with pytest.raises(MetadataError, match="nothing of it was kept"):
        write()

    assert store.runs() == []
    assert store.artifacts() == []


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.add_steps("nowhere", ["train"]),
        lambda store: store.add_artifact(an_artifact(run_id="nowhere"), []),
        lambda store: store.add_deliveries([a_delivery(run_id="nowhere")]),
    ],
    ids=["steps", "artifact", "deliveries"],
)
def test_what_belongs_to_no_run_is_refused(
    store: MetadataStore, write: Callable[[MetadataStore], object]
) -> None:
    """Steps, artifacts and deliveries of a run that was never added are an error naming the run."""
    with pytest.raises(MetadataError, match=r"nowhere.*record that one first"):
        write(store)


def test_a_full_disk_is_said_and_nothing_is_half_written(store: MetadataStore) -> None:
    """A transaction that meets a full disk leaves nothing, and goes through when there is room."""
    store.add_run(a_run())
    _fill_up(store)

    with pytest.raises(MetadataError, match=r"the disk is full; free some space") as raised:
        _add_much(store)
    assert "run-2" in str(raised.value)
    assert [run.run_id for run in store.runs()] == ["run-1"]
    assert store.artifacts() == []
    assert store.deliveries("run-2") == []
    assert _is_sound(store)

    _make_room(store)
    _add_much(store)
    assert len(store.artifacts(run_id="run-2")) == 200
    assert _is_sound(store)


def _add_much(store: MetadataStore) -> None:
    with store.transaction():
        store.add_run(a_run("run-2"))
        store.add_deliveries([a_delivery(run_id="run-2")])
        for number in range(200):
            store.add_artifact(an_artifact(f"output-{number}", run_id="run-2"), [])


def test_what_follows_a_full_disk_in_a_block_is_not_kept_on_its_own(store: MetadataStore) -> None:
    """SQLite ends the transaction by itself; a block that goes on writing gets an error."""

    def write() -> None:
        with store.transaction():
            store.add_run(a_run("before"))
            with pytest.raises(MetadataError, match="the disk is full"):
                _add_runs_for_ever(store)
            _make_room(store)
            store.add_run(a_run("after"))

    _fill_up(store)
    with pytest.raises(MetadataError, match="nothing of it was kept"):
        write()

    assert store.runs() == []
    store.add_run(a_run("later"))
    assert [run.run_id for run in store.runs()] == ["later"]


def _add_runs_for_ever(store: MetadataStore) -> None:
    for number in itertools.count():
        store.add_run(a_run(f"run-{number}"))


@pytest.mark.parametrize("spare", range(6))
def test_wherever_the_disk_fills_up_each_call_is_whole(store: MetadataStore, spare: int) -> None:
    """An artifact comes with its edges, an event with its place in the chain, or neither comes."""
    with store.transaction():
        store.add_run(a_run())
        parents = [store.add_artifact(an_artifact(f"p{number}"), []) for number in range(50)]
    _fill_up(store, spare)
    added: list[int] = []

    def write() -> None:
        for number in itertools.count():
            store.append_event(an_event(comment="x" * 200))
            added.append(store.add_artifact(an_artifact(f"c{number}"), parents))

    with pytest.raises(MetadataError, match="the disk is full"):
        write()

    _make_room(store)
    assert len(store.artifacts()) == len(parents) + len(added)
    assert all(len(store.lineage(child, depth=1)) == len(parents) for child in added)
    assert store.verify_history("fraud") is None
    assert _is_sound(store)


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is one of POSIX systems")
def test_a_write_that_the_system_refuses_leaves_whole_runs(
    store: MetadataStore, start_writers: StartWriters
) -> None:
    """When the log may not grow, the error names the file, and every run is whole or absent."""
    (writer,) = start_writers("meet_a_limit", "limited")
    said, errors = writer.communicate()
    number, kind, *message = said.split()

    assert writer.returncode == 0, errors
    assert kind == "MetadataError"
    assert "disk" in message
    assert str(store._database.path) in message
    runs = store.runs()
    assert len(runs) == int(number) + 1
    assert runs[0].run_id == "limited-after"
    assert all(len(store.artifacts(run_id=run.run_id)) == 2 for run in runs)
    assert all(len(store.deliveries(run.run_id)) == 3 for run in runs)
    assert _is_sound(store)


def test_threads_share_a_store(store: MetadataStore) -> None:
    """Threads that write at once lose nothing, and no thread's writes join another's block."""
    failures: list[FlowyMLError] = []

    def write(name: str) -> None:
        try:
            for number in range(50):
                _add_or_give_up(store, f"{name}-{number}", give_up=number % 10 == 9)
        except FlowyMLError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(f"thread-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    runs = store.runs()
    assert len(runs) == 8 * 45
    assert all([step.attempts for step in store.steps(run.run_id)] == [1] for run in runs)


def _add_or_give_up(store: MetadataStore, run_id: str, *, give_up: bool) -> None:
    with suppress(Interruption):
        with store.transaction():
            store.add_run(a_run(run_id))
            store.add_steps(run_id, ["train"])
            if give_up:
                raise Interruption
        store.start_step(run_id, "train")
