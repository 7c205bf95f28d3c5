"""What runs stored is read back by whatever names it, verified."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

import flowyml
from flowyml import Dataset, Model, Pipeline, Run, step
from flowyml.errors import IntegrityError, NotFoundError
from flowyml.pipelines.result import RunResult
from flowyml.records import RunStatus

pytestmark = pytest.mark.usefixtures("project")


@step(outputs=["data"])
def load_data() -> Dataset:
    return Dataset([1, 2], name="rows")


@step(outputs=["models"])
def train(data: Dataset) -> dict[str, Model]:
    return {"a": Model(data.data, name="first", version="1"), "b": Model(2, name="second")}


def run() -> RunResult:
    result = Pipeline("test").add_step(load_data).add_step(train).run()
    result.raise_for_status()
    return result


def test_an_output_is_loaded_by_run_and_name() -> None:
    """A beginning of the run's id is enough; a container comes back whole."""
    result = run()

    assert flowyml.load(f"run:{result.run_id}/data").data == [1, 2]
    assert flowyml.load(f"run:{result.run_id[:18]}/models")["a"].name == "first"
    assert flowyml.load(f"run:{result.run_id}/models.b").data == 2


def test_a_model_is_loaded_by_name_and_version() -> None:
    """Without a version the newest is meant."""
    run()

    assert flowyml.load("model:first@1").data == [1, 2]
    assert flowyml.load("model:first").data == [1, 2]
    with pytest.raises(NotFoundError, match="no model 'third@1'"):
        flowyml.load("model:third@1")


def test_an_artifact_is_loaded_by_its_uri() -> None:
    """The stack's store that keeps it is found by the URI."""
    result = run()

    assert flowyml.load(result.artifacts[0].uri).data == [1, 2]


def test_an_artifact_is_loaded_by_name_and_digest() -> None:
    """What names an artifact on the command line names it here."""
    result = run()

    assert flowyml.load("rows").data == [1, 2]
    assert flowyml.load(result.artifacts[0].digest).data == [1, 2]
    assert flowyml.load(result.artifacts[0].artifact_id).data == [1, 2]


def test_an_output_is_loaded_as_a_run_tells_of_it() -> None:
    """With its step before it, from the newest run or from the one that is named."""
    first, second = run(), run()

    assert flowyml.load("load_data.data").data == [1, 2]
    assert flowyml.load("train.models")["a"].name == "first"
    assert flowyml.load(f"{first.run_id}:train.models.b").data == 2
    assert flowyml.load(f"run:{second.run_id}/train.models.b").data == 2


def test_an_earlier_run_is_read() -> None:
    """A run has what its result had."""
    result = run()

    again = Run(result.run_id)

    assert again.status is RunStatus.DONE
    assert again.outputs["data"].data == [1, 2]
    assert [step.name for step in again.steps] == ["load_data", "train"]


def test_what_is_not_there_is_told() -> None:
    """Unknown runs and outputs are errors of their own class."""
    result = run()

    with pytest.raises(NotFoundError, match="no run 'nope'"):
        flowyml.load("run:nope/data")
    with pytest.raises(NotFoundError, match="stored no output 'nope'"):
        flowyml.load(f"run:{result.run_id}/nope")


def test_what_was_replaced_is_refused() -> None:
    """An artifact whose folder holds another one by now is not taken for it."""
    result, other = run(), run()
    folders = [Path(urlsplit(each.artifacts[0].uri).path) for each in (result, other)]
    for path in folders[0].iterdir():
        path.unlink()
    other_models = Path(urlsplit(other.artifacts[-1].uri).path)
    for path in other_models.iterdir():
        (folders[0] / path.name).write_bytes(path.read_bytes())

    with pytest.raises(IntegrityError, match="somebody replaced it"):
        flowyml.load(f"run:{result.run_id}/data")
