"""What a step delivers while it runs is not lost where storing it is deferred."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.conftest import WriteFile

import flowyml
from flowyml import Metrics, Model, Pipeline, step
from flowyml.errors import DeliveryError
from flowyml.pipelines.result import RunResult
from flowyml.pipelines.resume import resume
from flowyml.records import RunStatus, StepStatus
from flowyml.stacks.project import Project

CONFIG = """\
plugins:
  artifact_store: { type: local, path: store }
  artifact_routing:
    dict: { on_error: defer, path: "blocked/{output_name}" }
    Metrics: { on_error: defer, path: "blocked/{output_name}" }
"""


@pytest.fixture
def blocked(project: Project, write_file: WriteFile) -> Path:
    """Give a file that lies where the store would make a folder."""
    write_file("flowyml.yaml", CONFIG)
    return write_file("store/blocked", "")


def status_of(result: RunResult) -> StepStatus:
    (only,) = result.steps
    return only.status


def paid_once_free(pipeline: Pipeline, blocked: Path) -> RunResult:
    """Run and resume it in vain, then make room and resume it; until then its step is not done."""
    owing = pipeline.run()
    still = resume(owing.run_id, pipeline=pipeline)
    blocked.unlink()
    paid = resume(owing.run_id, pipeline=pipeline)

    assert (owing.status, status_of(owing)) == (RunStatus.INCOMPLETE, StepStatus.PENDING)
    assert (still.status, status_of(still)) == (RunStatus.INCOMPLETE, StepStatus.PENDING)
    paid.raise_for_status()
    return paid


@step
def yields_dicts() -> Iterator[Any]:
    yield {"a": 1}
    yield {"a": 2}


@step
def yields_points() -> Iterator[Metrics]:
    yield Metrics({"loss": 0.5}, step=0)
    yield Metrics({"loss": 0.25}, step=1)


@step
def calls() -> int:
    flowyml.store_artifact({"a": 1}, name="kept")
    return 1


@pytest.mark.parametrize("each", [yields_dicts, yields_points, calls], ids=lambda each: each.name)
def test_a_step_runs_again_until_all_that_it_delivered_is_stored(each: Any, blocked: Path) -> None:
    """It is not done while something is missing, however often the run is gone on with."""
    pipeline = Pipeline("test").add_step(each)

    paid = paid_once_free(pipeline, blocked)

    assert status_of(paid) is StepStatus.DONE
    stored = {delivery.output for delivery in paid.deliveries if delivery.hook == "store_artifact"}
    assert {artifact.output for artifact in paid.artifacts} == stored
    assert len(stored - {each.name})


def test_a_step_that_went_on_without_what_it_could_not_store_runs_again(
    write_file: WriteFile, blocked: Path
) -> None:
    """Its run owes that, and says that it is paid when the run is gone on with."""
    write_file("flowyml.yaml", CONFIG.replace("on_error: defer, ", ""))

    @step
    def careless() -> int:
        with suppress(DeliveryError):
            flowyml.store_artifact({"a": 1}, name="kept")
        return 1

    pipeline = Pipeline("test").add_step(careless)

    paid = paid_once_free(pipeline, blocked)

    assert paid.outputs["careless.kept"] == {"a": 1}


def test_what_can_be_stored_when_the_run_ends_needs_no_second_one(blocked: Path) -> None:
    """The values are still there."""

    @step
    def learn() -> Iterator[Any]:
        yield {"a": 1}
        blocked.unlink()

    result = Pipeline("test").add_step(learn).run()

    result.raise_for_status()
    assert status_of(result) is StepStatus.DONE
    assert [artifact.output for artifact in result.artifacts] == ["learn.yielded"]


def test_a_step_that_failed_is_not_done_by_storing_what_it_had_yielded(blocked: Path) -> None:
    """It has returned nothing, so it runs again."""

    @step
    def learn() -> Generator[Any, None, Any]:
        yield {"a": 1}
        if blocked.is_file():
            blocked.unlink()
            message = "not yet"
            raise ValueError(message)
        return 1

    pipeline = Pipeline("test").add_step(learn)
    failed = pipeline.run()

    assert (failed.status, status_of(failed)) == (RunStatus.FAILED, StepStatus.FAILED)
    assert [artifact.output for artifact in failed.artifacts] == ["learn.yielded"]
    again = resume(failed.run_id, pipeline=pipeline)
    again.raise_for_status()
    assert again.outputs["learn"] == 1


@pytest.mark.usefixtures("blocked")
def test_another_try_gets_what_could_not_be_stored_from_the_hand() -> None:
    """A collection of which one element is owed is handed over, not loaded."""
    tries: list[object] = []

    @step
    def pair() -> dict[str, Any]:
        return {"x": Model([1], name="x"), "y": Metrics({"loss": 0.5})}

    @step(retry=1)
    def use(pair: dict[str, Any]) -> str:
        tries.append(pair["x"].data)
        if len(tries) == 1:
            message = "later"
            raise ConnectionError(message)
        return "used"

    result = Pipeline("test").add_step(pair).add_step(use).run()

    assert tries == [[1], [1]]
    assert result.outputs["use"] == "used"
