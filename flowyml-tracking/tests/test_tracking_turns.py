"""Processes that open the same run of a tracker do so one after the other."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from flowyml.errors import DeliveryError
from flowyml.storage.locks import locked
from flowyml_tracking.turns import alone


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the machine's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def place(temporary: Path) -> Path:
    """Return the folder of this user's locks, which is not there yet."""
    with alone("a run"):
        pass
    (folder,) = temporary.iterdir()
    for turn in folder.iterdir():
        turn.rmdir()
    folder.rmdir()
    return folder


@pytest.mark.skipif(os.name == "nt", reason="this system cannot lock a folder")
def test_who_has_the_turn_has_it_alone(temporary: Path) -> None:
    """Until the block ends."""
    with alone("a run"):
        (turn,) = temporary.glob("*/*")
        with pytest.raises(BlockingIOError), locked(str(turn), wait=False):
            pass

    with locked(str(turn), wait=False):
        pass


def test_the_turns_of_many_runs_leave_few_files(temporary: Path) -> None:
    """The machine's temporary folder does not fill with the locks of old runs."""
    for number in range(400):
        with alone(f"mlflow http://localhost run-{number}"):
            pass

    assert 0 < len(list(temporary.rglob("*"))) <= 257


def test_what_a_block_raises_stays_what_it_is() -> None:
    """A file that the block misses has nothing to do with the locks."""
    missed = FileNotFoundError("mine")
    with pytest.raises(FileNotFoundError, match="mine"), alone("a run"):
        raise missed


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no numbers for users")
def test_users_who_are_said_to_have_one_name_have_locks_of_their_own(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose name is said to be another one has the same as ever."""
    for name in ("ann", "bob"):
        monkeypatch.setenv("LOGNAME", name)
        with alone("a run"):
            pass

    assert [path.name for path in temporary.iterdir()] == [f"flowyml-turns-{os.geteuid()}"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no numbers for users")
def test_the_folder_of_somebody_else_is_refused(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns it could make this user wait for ever."""
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    folder = temporary / f"flowyml-turns-{mine + 1}"
    folder.mkdir()

    with pytest.raises(DeliveryError, match=f"belongs to the user with the number {mine}") as told:
        _take_a_turn()
    assert str(folder) in str(told.value)
    assert "set TMPDIR" in str(told.value)


def _file(place: Path) -> None:
    place.touch()


def _pipe(place: Path) -> None:
    os.mkfifo(place)


def _link(place: Path) -> None:
    place.symlink_to(tempfile.mkdtemp())


def _broken_link(place: Path) -> None:
    place.symlink_to("nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize("put", [_file, _pipe, _link, _broken_link])
def test_what_is_no_folder_is_refused(place: Path, put: Callable[[Path], None]) -> None:
    """Nothing is made where a link leads."""
    put(place)

    with pytest.raises(DeliveryError, match="is not a folder; remove it, or set TMPDIR") as told:
        _take_a_turn()

    assert str(place) in str(told.value)
    assert [path for path in place.parent.glob("*/*") if path.is_dir()] == []


def _take_a_turn() -> None:
    with alone("a run"):
        pass
