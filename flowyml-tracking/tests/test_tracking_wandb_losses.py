"""What W&B lost with a process that died, or on a full disk, is handed over again."""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.tracking.deliveries import Deliveries, new_run
from tests.tracking.wandb_helper import helper, kill_helper

from flowyml.artifacts import Metrics
from flowyml.errors import DeliveryError
from flowyml.records import RunStatus
from flowyml_tracking.wandb_journal import Entry, Journal
from flowyml_tracking.wandb_records import history, records, run_files
from flowyml_tracking.wandb_tracker import WandbTracker

ROOT = Path(__file__).parents[2]

linux = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="/proc is Linux's")


@pytest.fixture
def tracker(tmp_path: Path, deliveries: Deliveries) -> Iterator[WandbTracker]:
    """Return a tracker that has seen no run, and end what the test leaves open."""
    tracker = WandbTracker(mode="offline", dir=tmp_path)
    yield tracker
    tried(lambda: tracker.run_finished(deliveries.run, RunStatus.INTERRUPTED))


def losses(tracker: WandbTracker, deliveries: Deliveries) -> list[Any]:
    """Read what W&B's files have, from all that had the run open."""
    files = run_files(tracker.dir, deliveries.run.run_id)
    return sorted(row["loss"] for file in files for row in history(file))


def exits(tracker: WandbTracker, deliveries: Deliveries) -> list[int]:
    """Read how W&B's runs ended."""
    files = run_files(tracker.dir, deliveries.run.run_id)
    found = [record for file in files for record in records(file)]
    return [r.exit.exit_code for r in found if r.WhichOneof("record_type") == "exit"]


def tried(deliver: Callable[[], object]) -> None:
    """Do what a run does with a failure that may pass: try once more."""
    try:
        deliver()
    except DeliveryError as error:
        if not error.transient:
            raise
        deliver()


@contextmanager
def full_disk(process: int, left: int) -> Iterator[None]:
    """Let no file of a process grow beyond some bytes, which fails as a full disk does."""
    soft, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (soft, hard))


@linux
def test_what_a_dead_helper_took_along_is_handed_over_again(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """What it had and what comes after it are there, once each."""
    tracker.log_metrics(Metrics({"loss": 1}), deliveries.context())
    kill_helper()
    for loss in (2, 3):
        context = deliveries.context(at=loss)
        tried(lambda: tracker.log_metrics(Metrics({"loss": loss}), context))  # noqa: B023
    tried(lambda: tracker.run_finished(deliveries.run, RunStatus.DONE))
    assert losses(tracker, deliveries) == [1, 2, 3]
    assert exits(tracker, deliveries) == [0]


@linux
def test_a_helper_that_is_dead_at_the_end_fails_the_end(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """Nobody is told that all is well; the next attempt hands over what it lost, and ends it."""
    tracker.log_metrics(Metrics({"loss": 1}), deliveries.context())
    kill_helper()
    with pytest.raises(DeliveryError, match=r"finish its run.*: its helper process has") as raised:
        tracker.run_finished(deliveries.run, RunStatus.DONE)
    assert raised.value.transient
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    assert losses(tracker, deliveries) == [1]
    assert exits(tracker, deliveries) == [0]


@linux
def test_a_helper_that_died_between_two_runs_is_replaced(
    tracker: WandbTracker, deliveries: Deliveries, another_run: Callable[[], Deliveries]
) -> None:
    """W&B itself would keep to the dead one for as long as the process lives."""
    tracker.log_metrics(Metrics({"loss": 1}), deliveries.context())
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    kill_helper()
    later = another_run()
    context = later.context()
    tried(lambda: tracker.log_metrics(Metrics({"loss": 2}), context))
    tracker.run_finished(later.run, RunStatus.DONE)
    assert losses(tracker, later) == [2]


@linux
def test_a_run_whose_file_w_and_b_could_not_write_is_not_finished(
    tracker: WandbTracker, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B says nothing of a full disk. Once there is room, its file has everything."""
    tracker.log_metrics(Metrics({"loss": 1}), deliveries.context())
    with full_disk(helper(), 0), monkeypatch.context() as patch:
        patch.setattr("flowyml_tracking.wandb_runs.PATIENCE", 0.0)  # it never will
        with pytest.raises(DeliveryError, match=r"did not write all .*\.wandb; .* make room"):
            tracker.run_finished(deliveries.run, RunStatus.DONE)
        kill_helper()  # it would try once more, a moment later
    tried(lambda: tracker.run_finished(deliveries.run, RunStatus.DONE))
    assert losses(tracker, deliveries) == [1]
    assert exits(tracker, deliveries) == [0]


DELIVER = """
import os, signal, sys
from pathlib import Path
from flowyml.artifacts import Metrics
from flowyml_tracking.wandb_tracker import WandbTracker
from tests.tracking.deliveries import new_run

deliveries = new_run(Path(sys.argv[1]))
tracker = WandbTracker(mode="offline", dir=Path(sys.argv[1]))
for step in range(3):
    tracker.log_metrics(Metrics({"loss": step}), deliveries.context(at=step))
print(deliveries.run.run_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Deliveries:
    """Return the run of a process that was killed, with the same keys again."""
    command = [sys.executable, "-c", DELIVER, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    deliveries = new_run(tmp_path)
    deliveries.run = attrs.evolve(deliveries.run, run_id=done.stdout.strip())
    return deliveries


def journal_of(deliveries: Deliveries, folder: Path) -> Path:
    """Return the one journal that the killed process left."""
    (file,) = (folder / "wandb" / "flowyml" / deliveries.run.run_id).glob("*/entries.jsonl")
    return file


def test_the_end_of_a_run_hands_over_what_a_dead_process_left(
    tracker: WandbTracker, killed: Deliveries
) -> None:
    """Also where this process opened no run of W&B's: a step may have run in another one."""
    tracker.run_finished(killed.run, RunStatus.DONE)
    assert losses(tracker, killed) == [0, 1, 2]
    assert exits(tracker, killed) == [0]


def test_a_journal_that_was_cut_goes_on(
    tracker: WandbTracker, killed: Deliveries, tmp_path: Path
) -> None:
    """The delivery whose line is half is done again, as nobody was told that it was taken."""
    file = journal_of(killed, tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    for _ in range(2):
        tracker.run_started(killed.run)
        tracker.run_finished(killed.run, RunStatus.INCOMPLETE)
    for step in range(3):
        tracker.log_metrics(Metrics({"loss": step}), killed.context(at=step))
    tracker.run_finished(killed.run, RunStatus.DONE)
    assert set(losses(tracker, killed)) == {0, 1, 2}


def test_a_damaged_journal_is_named(
    tracker: WandbTracker, killed: Deliveries, tmp_path: Path
) -> None:
    """With its line, and without that line everything else is handed over."""
    file = journal_of(killed, tmp_path)
    first, second, third = file.read_text().splitlines(keepends=True)
    file.write_text(first + second.replace('"rows"', '"cows"') + third)
    with pytest.raises(DeliveryError, match=f"line 2 of the journal {file} is damaged.*delete"):
        tracker.run_started(killed.run)
    file.write_text(first + third)
    tracker.run_started(killed.run)
    tracker.run_finished(killed.run, RunStatus.DONE)
    assert losses(tracker, killed) == [0, 2]


@linux
def test_a_delivery_that_the_disk_had_no_room_for_is_not_taken_for_done(
    tracker: WandbTracker, deliveries: Deliveries, tmp_path: Path
) -> None:
    """It fails as what it is, and goes through once there is room."""
    tracker.log_metrics(Metrics({"loss": 1}), deliveries.context())
    (file,) = tmp_path.glob("wandb/flowyml/*/*/entries.jsonl")
    context = deliveries.context(at=2)
    with (
        full_disk(0, file.stat().st_size + 10),
        pytest.raises(OSError, match=r"File too large: .*entries\.jsonl"),
    ):
        tracker.log_metrics(Metrics({"loss": 2}), context)
    tracker.log_metrics(Metrics({"loss": 2}), context)
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    assert losses(tracker, deliveries) == [1, 2]


@linux
def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """What did not fit is in the journal neither as a line nor as a key."""
    journal = Journal(tmp_path)
    assert journal.open() == []
    journal.add([Entry("a")])
    (file,) = tmp_path.glob("*/entries.jsonl")
    before = file.read_bytes()
    with full_disk(0, len(before) + 10), pytest.raises(OSError, match="too large"):
        journal.add([Entry("b"), Entry("c")])
    assert file.read_bytes() == before
    assert journal.keys == {"a"}
    journal.add([Entry("b")])
    journal.close(settled=False)
    assert [entry.key for entry in Journal(tmp_path).open()] == ["a", "b"]


def test_half_a_line_is_cut_off_before_the_next_one(tmp_path: Path) -> None:
    """So that what is written behind it can be read."""
    first = Journal(tmp_path)
    first.open()
    first.add([Entry("a"), Entry("b")])
    first.close(settled=False)
    (file,) = tmp_path.glob("*/entries.jsonl")
    file.write_bytes(file.read_bytes()[:-5])
    second = Journal(tmp_path)
    assert [entry.key for entry in second.open()] == ["a"]
    assert file.read_text() == f'{Entry("a").line}\n{{"settled": true}}\n'
    second.close(settled=True)
    assert Journal(tmp_path).open() == []


def test_what_was_copied_by_a_process_that_died_then_is_left_once(tmp_path: Path) -> None:
    """It may have died before it could say that the other journal is settled."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "entries.jsonl").write_text(f"{Entry('a').line}\n")
    assert [entry.key for entry in Journal(tmp_path).open()] == ["a"]


def test_names_that_w_and_b_takes_for_patterns_are_logged(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """One with a star in the middle it would refuse to draw over our step."""
    metrics = Metrics({"loss": 1, "a*b": 2, "c*": 3}).at_step(5)
    tracker.log_metrics(metrics, deliveries.context())
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    (file,) = run_files(tracker.dir, deliveries.run.run_id)
    (row,) = history(file)
    assert (row["a*b"], row["c*"], row["step"]) == (2, 3, 5)
