"""A run tells its trackers what it was given and what it measures, each thing once."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flowyml
from flowyml import Metrics, Parameters, Pipeline, context, step
from flowyml.errors import IncompleteRunError
from flowyml.pipelines.result import RunResult
from flowyml.pipelines.resume import resume
from flowyml.pipelines.step import Step
from flowyml.records import DeliveryStatus, RunStatus


def run(*steps: Step[..., Any], **values: object) -> RunResult:
    pipeline = Pipeline("test", context=context(**values))
    for each in steps:
        pipeline.add_step(each)
    return pipeline.run()


def noted(notebook: Path) -> list[Any]:
    return [json.loads(line) for line in notebook.read_text().splitlines()]


@step
def evaluate(lr: float = 0.5) -> Metrics:
    return Metrics({"lr": lr})


def test_context_values_are_logged_once_and_secrets_never(notebook: Path) -> None:
    """They are the parameters of the run, whatever steps ask for them."""
    run(evaluate, lr=0.1, api_key="sk-12345", layers=(1, 2)).raise_for_status()

    assert noted(notebook) == [
        ["run started", "", {}],
        ["parameters", "context", {"lr": 0.1, "layers": [1, 2]}],
        ["metrics", "evaluate", {"lr": 0.1}],
        ["run finished", "done", {}],
    ]


def test_context_values_that_a_rule_does_not_let_log_are_only_in_the_record(
    notebook: Path,
) -> None:
    """The run's record has them, so nothing is stored for them."""
    config = notebook.with_name("flowyml.yaml")
    rule = "artifact_routing: { Parameters: { log_to_tracker: false } }"
    before = config.read_text()
    config.write_text(before.replace("experiment_tracker", f"{rule}, experiment_tracker", 1))
    result = run(evaluate, lr=0.1)

    result.raise_for_status()
    assert "parameters" not in [line[0] for line in noted(notebook)]
    assert [artifact.output for artifact in result.artifacts] == ["evaluate"]


def test_without_context_nothing_is_logged_for_it(notebook: Path) -> None:
    """There is nothing to say."""
    run(evaluate).raise_for_status()

    assert [line[0] for line in noted(notebook)] == ["run started", "metrics", "run finished"]


def test_what_is_returned_is_logged_beside_what_a_call_logged(notebook: Path) -> None:
    """An element that has the name of what was logged by a call is another thing."""

    @step
    def work() -> dict[str, Any]:
        flowyml.log_metrics({"loss": 0.5})
        flowyml.log_parameters({"depth": 3})
        return {"metrics": Metrics({"auc": 0.9}), "parameters": Parameters({"trees": 7})}

    result = run(work)

    result.raise_for_status()
    assert noted(notebook)[1:-1] == [
        ["metrics", "work", {"loss": 0.5}],
        ["parameters", "work", {"depth": 3}],
        ["metrics", "work", {"auc": 0.9}],
        ["parameters", "work", {"trees": 7}],
    ]
    assert result.outputs["work"]["metrics"] == Metrics({"auc": 0.9})


def test_a_generator_is_logged_while_it_runs(notebook: Path) -> None:
    """Each yielded dict becomes the metrics that the annotation promises, before the next."""

    @step
    def learn() -> Iterator[Metrics]:
        for epoch in range(2):
            yield {"loss": epoch}  # type: ignore[misc]
            assert noted(notebook)[-1] == ["metrics", "learn", {"loss": epoch}]

    run(learn).raise_for_status()


def test_calls_inside_of_a_step_are_logged(notebook: Path) -> None:
    """`log_metrics` and `log_parameters` reach the tracker, and nothing is stored for them."""

    @step
    def learn() -> int:
        flowyml.log_parameters({"depth": 3})
        flowyml.log_metrics({"loss": 0.5}, step=1)
        return 1

    result = run(learn)

    result.raise_for_status()
    assert noted(notebook)[1:-1] == [
        ["parameters", "learn", {"depth": 3}],
        ["metrics", "learn", {"loss": 0.5}],
    ]
    assert [artifact.output for artifact in result.artifacts] == ["learn"]


def test_a_tracker_that_is_down_leaves_a_debt_that_is_paid_later(notebook: Path) -> None:
    """The run is incomplete, its steps are stored, and resuming it logs what is owed once."""
    closed = notebook.with_name("refuses")
    closed.touch()
    result = run(evaluate, lr=0.1)

    assert result.status is RunStatus.INCOMPLETE
    assert not result.success
    owed = "owed, not logged (experiment_tracker): the notebook is closed"
    assert (str(result).count(owed), result._repr_html_().count(owed)) == (2, 2)
    with pytest.raises(IncompleteRunError, match="owes 2 deliveries"):
        result.raise_for_status()

    closed.unlink()
    paid = resume(result.run_id)

    assert paid.success
    assert [line[0] for line in noted(notebook) if line[2]] == ["parameters", "metrics"]
    logged = [each.status for each in paid.deliveries if each.hook.startswith("log")]
    assert logged == [DeliveryStatus.DONE] * 2
