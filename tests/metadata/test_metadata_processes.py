"""Several processes in one folder, and processes that are killed, lose nothing."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from tests.metadata.conftest import StartWriters

from flowyml.metadata.store import MetadataStore


def _finish(writers: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for the processes; return what each said."""
    said = []
    for writer in writers:
        out, errors = writer.communicate()
        assert writer.returncode == 0, errors
        said.append(out.strip())
    return said


def test_four_processes_lose_no_row(path: Path, start_writers: StartWriters) -> None:
    """Four processes that each write 500 runs at once into a new folder all get through."""
    names = ["a", "b", "c", "d"]

    assert _finish(start_writers("add_rows", *names, count=500)) == ["done"] * 4

    with MetadataStore.open(path) as store:
        assert {run.run_id for run in store.runs()} == {
            f"{name}-{number}" for name in names for number in range(500)
        }
        assert len(store.artifacts()) == 2000
        for run in store.runs(limit=200):
            assert [step.attempts for step in store.steps(run.run_id)] == [1]
        assert store._database.row("PRAGMA integrity_check") == ("ok",)


def test_a_new_folder_is_opened_by_many_at_once(path: Path, start_writers: StartWriters) -> None:
    """Processes that find no file make one together."""
    names = [f"opener-{number}" for number in range(8)]

    _finish(start_writers("just_open", *names))

    with MetadataStore.open(path) as store:
        assert {run.run_id for run in store.runs()} == set(names)


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_process_leaves_every_commit_whole(
    path: Path, start_writers: StartWriters, seed: int
) -> None:
    """After SIGKILL in the middle of its work, all that was committed is there, and only whole."""
    chance = random.Random(seed)
    told: list[str] = []
    for attempt in range(3):
        (writer,) = start_writers("add_for_ever", f"killed-{attempt}")
        assert writer.stdout
        told += [writer.stdout.readline().strip() for _ in range(chance.randrange(1, 200))]
        writer.kill()
        writer.wait()
        told += [line.strip() for line in writer.stdout if line.endswith("\n")]

    with MetadataStore.open(path) as store:
        assert store._database.row("PRAGMA integrity_check") == ("ok",)
        assert store._database.rows("PRAGMA foreign_key_check") == []
        runs = [run.run_id for run in store.runs()]
        # One more of each process may be there: committed, but killed before it could say so.
        assert set(told) <= set(runs)
        assert len(runs) <= len(told) + 3
        for run_id in runs:
            model, data = store.artifacts(run_id=run_id)
            edges = [(edge.parent, edge.child) for edge in store.lineage(model.artifact_id)]
            assert edges == [(data.artifact_id, model.artifact_id)]
            assert [step.name for step in store.steps(run_id)] == ["load", "train"]
            assert len(store.deliveries(run_id)) == 3


def test_a_killed_process_does_not_block_the_others(
    path: Path, start_writers: StartWriters
) -> None:
    """While processes are killed in the middle of transactions, another one goes on writing."""
    doomed = start_writers("add_for_ever", "x", "y")
    survivors = start_writers("add_rows", "a", count=200)
    for writer in doomed:
        assert writer.stdout
        writer.stdout.readline()
        writer.kill()

    assert _finish(survivors) == ["done"]
    with MetadataStore.open(path) as store:
        assert store.run("a-199").run_id == "a-199"


def test_processes_share_out_the_leases(path: Path, start_writers: StartWriters) -> None:
    """Of two processes that reach for the same runs at once, exactly one gets each."""
    first, second = _finish(start_writers("take_leases", "first", "second", count=400))

    assert sorted(map(int, f"{first} {second}".split())) == list(range(400))


def test_processes_append_to_one_unbroken_history(path: Path, start_writers: StartWriters) -> None:
    """Two processes that append to one model's history at once never break its chain."""
    _finish(start_writers("append_events", "first", "second", count=300))

    with MetadataStore.open(path) as store:
        events = store.events("fraud")
        assert store.verify_history("fraud") is None
        assert [event.sequence for event in events] == list(range(1, 601))
        for actor in ("first", "second"):
            comments = [event.comment for event in events if event.actor == actor]
            assert comments == [str(number) for number in range(300)]
