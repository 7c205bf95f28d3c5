"""The steps of a run keep their order, their attempts and their times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import define
from tests.metadata.metadata_samples import NOW, a_run

from flowyml.errors import NotFoundError
from flowyml.metadata.rows import StepRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import StepStatus


@define
class Clock:
    """Stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that is moved by hand."""
    return Clock()


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[MetadataStore]:
    """Give a store with a run of three steps and a clock that is moved by hand."""
    with MetadataStore.open(path, clock=clock) as store:
        with store.transaction():
            store.add_run(a_run())
            store.add_steps("run-1", ["load", "train", "evaluate"])
        yield store


def _step(store: MetadataStore, name: str = "train") -> StepRecord:
    return next(step for step in store.steps("run-1") if step.name == name)


def test_steps_keep_the_order_in_which_they_were_added(store: MetadataStore) -> None:
    """Steps are listed as they were added, later ones after those before."""
    store.add_steps("run-1", ["deploy", "announce"])

    names = [step.name for step in store.steps("run-1")]

    assert names == ["load", "train", "evaluate", "deploy", "announce"]


def test_steps_begin_pending(store: MetadataStore) -> None:
    """A step that was added has not begun."""
    assert _step(store) == StepRecord("run-1", "train")


def test_adding_a_step_again_leaves_it_as_it_is(store: MetadataStore) -> None:
    """A run that is resumed adds its steps again, and what they have done stays."""
    store.set_step_status("run-1", "load", StepStatus.DONE)

    store.add_steps("run-1", ["load", "train", "evaluate", "deploy"])

    steps = [(step.name, step.status.value) for step in store.steps("run-1")]
    assert steps == [
        ("load", "done"), ("train", "pending"), ("evaluate", "pending"), ("deploy", "pending"),
    ]  # fmt: skip


def test_each_start_is_one_attempt_more(store: MetadataStore, clock: Clock) -> None:
    """A step that is tried again counts, begins anew and has no error any more."""
    store.start_step("run-1", "train")
    store.set_step_status("run-1", "train", StepStatus.FAILED, error="no luck")
    assert _step(store).error == "no luck"
    clock.now += timedelta(seconds=5)

    store.start_step("run-1", "train")

    assert _step(store) == StepRecord(
        "run-1", "train", StepStatus.RUNNING, attempts=2, started_at=clock.now
    )


@pytest.mark.parametrize("status", StepStatus)
def test_a_step_ends_with_its_status(
    store: MetadataStore, clock: Clock, status: StepStatus
) -> None:
    """Every status but pending and running ends the step now."""
    clock.now += timedelta(seconds=5)

    store.set_step_status("run-1", "train", status)

    ended = None if status in {StepStatus.PENDING, StepStatus.RUNNING} else clock.now
    assert _step(store).finished_at == ended


def test_a_step_ended_when_it_was_stored(store: MetadataStore, clock: Clock) -> None:
    """Paying its debts a day later does not make the step a day longer."""
    store.set_step_status("run-1", "train", StepStatus.STORED)
    clock.now += timedelta(days=1)

    store.set_step_status("run-1", "train", StepStatus.DONE)

    assert (_step(store).status, _step(store).finished_at) == (StepStatus.DONE, NOW)


def test_where_it_was_cached_and_why_stay(store: MetadataStore) -> None:
    """A later status does not wipe out what was noted before."""
    store.set_step_status(
        "run-1", "train", StepStatus.RUNNING, note="its source changed", cached_from="run-0"
    )

    store.set_step_status("run-1", "train", StepStatus.DONE)

    assert (_step(store).note, _step(store).cached_from) == ("its source changed", "run-0")


@pytest.mark.parametrize(
    ("run_id", "step", "known"),
    [("run-1", "tarin", "load, train, evaluate"), ("run-2", "train", "none")],
)
def test_a_step_that_was_never_added_is_said(
    store: MetadataStore, run_id: str, step: str, known: str
) -> None:
    """Both ways of changing a step name the run, the step and the steps that there are."""
    says = f"no step '{step}' of a run '{run_id}' .*steps of that run: {known}"

    with pytest.raises(NotFoundError, match=says):
        store.start_step(run_id, step)
    with pytest.raises(NotFoundError, match=says):
        store.set_step_status(run_id, step, StepStatus.DONE)
