"""Whoever looks on is told what happens, in the order in which it does."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import define, field

from flowyml import Pipeline, step
from flowyml.metadata.rows import DeliveryRecord
from flowyml.pipelines.result import RunResult
from flowyml.pipelines.watching import watching
from flowyml.records import RunInfo, StepStatus


@define
class Diary:
    """Keeps what it is told."""

    lines: list[tuple[object, ...]] = field(factory=list)

    def run_started(self, run: RunInfo, steps: Sequence[str]) -> None:
        self.lines.append(("run started", run.pipeline, *steps))

    def step_started(self, step: str) -> None:
        self.lines.append(("step started", step))

    def step_finished(
        self, step: str, status: StepStatus, seconds: float, error: str | None
    ) -> None:
        assert seconds >= 0
        self.lines.append(("step finished", step, status.value, error is not None))

    def delivery(self, delivery: DeliveryRecord) -> None:
        self.lines.append((delivery.hook, delivery.output, delivery.status.value))

    def run_finished(self, result: RunResult) -> None:
        self.lines.append(("run finished", result.status.value))


@step
def first() -> int:
    return 1


@step
def second(first: int) -> int:
    return first // 0


@step
def third(second: int) -> int:
    return second


@pytest.mark.usefixtures("project")
def test_a_run_is_watched() -> None:
    """Starts, deliveries, ends, and what is skipped are all told."""
    diary = Diary()
    with watching(diary):
        Pipeline("watched").add_step(first).add_step(second).add_step(third).run()

    assert diary.lines == [
        ("run started", "watched", "first", "second", "third"),
        ("step started", "first"),
        ("store_artifact", "first", "done"),
        ("step finished", "first", "done", False),
        ("step started", "second"),
        ("step finished", "second", "failed", True),
        ("step finished", "third", "skipped", False),
        ("run finished", "failed"),
    ]


@pytest.mark.usefixtures("project")
def test_an_interrupted_run_is_told_before_the_interrupt_goes_on() -> None:
    """Who looks on learns the run's id, and the caller gets its Ctrl-C."""

    @step
    def interrupt() -> None:
        raise KeyboardInterrupt

    diary = Diary()
    with watching(diary), pytest.raises(KeyboardInterrupt):
        Pipeline("watched").add_step(interrupt).run()

    assert diary.lines[-1] == ("run finished", "interrupted")


@pytest.mark.usefixtures("project")
def test_nobody_looks_on_after_the_block() -> None:
    """What was watched is watched in the block alone."""
    diary = Diary()
    with watching(diary):
        pass
    Pipeline("unwatched").add_step(first).run()

    assert diary.lines == []
