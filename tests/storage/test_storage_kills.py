"""A writer that is killed with SIGKILL at any step leaves a whole artifact or none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.storage.storage_samples import DiskDoor, put
from tests.storage.storage_writer import FLAVOURS, NEW

from flowyml.errors import NotFoundError
from flowyml.storage.disks import DiskBucket
from flowyml.storage.folders import ArtifactFolders
from flowyml.testing.artifacts import FILES, contents

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")

Killed = Callable[[str], Iterator[ArtifactFolders]]

HERE = Path(__file__).parents[2]


@pytest.fixture(params=FLAVOURS)
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> Killed:
    """Gives the stores that are left after some work was killed at each of its steps."""

    def run(work: str) -> Iterator[ArtifactFolders]:
        command = [sys.executable, "-m", "tests.storage.storage_writer"]
        done = subprocess.run(
            [*command, request.param, work, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
            cwd=HERE,
        )
        steps = int(done.stdout)
        assert steps > 5, "there is nothing to be killed at"
        for step in range(1, steps + 1):
            yield FLAVOURS[request.param](tmp_path / str(step))

    return run


def _found(folders: ArtifactFolders) -> dict[str, bytes] | None:
    """Return what a reader meets; what it can list it can load, and the other way round."""
    try:
        found = contents(folders.load(f"{folders.uri}/run-1/model"))
    except NotFoundError:
        found = None
    assert len(list(folders.list())) == (found is not None)
    return found


def _names(folders: ArtifactFolders) -> list[str]:
    """Return what lies in a store when leftovers are removed."""
    assert isinstance(folders.bucket, DiskBucket)
    folders.sweep(timedelta(0))
    folders.bucket.sweep(datetime.now(UTC))  # a server keeps its own half-sent objects
    return DiskDoor(folders.bucket.root).names()


def test_a_killed_store_is_whole_or_nothing(killed: Killed) -> None:
    """Trying again succeeds, under the same names, and nothing else is left."""
    met = set()
    for folders in killed("store"):
        found = _found(folders)
        assert found in (None, FILES)
        met.add(found is None)

        put(folders)

        assert _found(folders) == FILES
        assert _names(folders) == [
            "run-1/model/artifact.json",
            "run-1/model/model.pkl",
            "run-1/model/part-0/data.bin",
        ]
    assert met == {True, False}


def test_what_a_killed_store_leaves_is_removed(killed: Killed) -> None:
    """Also when nobody tries again."""
    for folders in killed("store"):
        committed = _found(folders) is not None
        assert len(_names(folders)) == (3 if committed else 0)


def test_another_artifact_takes_the_path_of_a_killed_store(killed: Killed) -> None:
    """Nothing that was left half done gets into it."""
    for folders in killed("store"):
        put(folders, files=NEW, key="key-2", overwrite=True)
        assert _found(folders) == NEW
        assert len(_names(folders)) == 3
        assert _found(folders) == NEW


def test_a_killed_replacement_leaves_one_of_both(killed: Killed) -> None:
    """There is an artifact at every moment, and trying again succeeds."""
    met = []
    for folders in killed("replace"):
        found = _found(folders)
        assert found in (FILES, NEW)
        met.append(found == FILES)

        put(folders, files=NEW, key="key-2", overwrite=True)

        assert _found(folders) == NEW
        assert len(_names(folders)) == 3
        assert _found(folders) == NEW
    assert {True, False} == set(met)


def test_a_killed_deletion_leaves_all_or_nothing(killed: Killed) -> None:
    """And what nobody sees any more is removed in time."""
    for folders in killed("delete"):
        found = _found(folders)
        assert found in (None, FILES)
        assert len(_names(folders)) == (0 if found is None else 3)
        assert folders.delete(f"{folders.uri}/run-1/model") is (found is not None)
        assert _names(folders) == []
