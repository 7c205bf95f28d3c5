"""The plan of a pipeline says what its steps deliver while they run, too."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.pipelines.conftest import WriteFile

from flowyml import Metrics, Pipeline, context, secret, step
from flowyml.errors import ConfigurationError, PipelineError
from flowyml.pipelines.step import Step
from flowyml.records import DeliveryStatus


@step
def losses() -> Iterator[Metrics]:
    """Yield three figures."""
    for number in range(3):
        yield Metrics({"loss": number}).at_step(number)


@pytest.mark.usefixtures("notebook")
def test_what_a_generator_yields_is_planned_and_delivered_as_planned() -> None:
    """Under one line, for nobody knows how often it will yield."""
    pipeline = Pipeline("live").add_step(losses)
    planned = pipeline.plan().outputs

    result = pipeline.run()

    assert [(each.output, each.type) for each in planned] == [
        ("losses.yielded*", "Metrics"),
        ("losses", "decided by the value"),
    ]
    assert planned[0].uri.endswith("/{run_id}/{output_name}")
    hooks = {each.hook for each in planned[0].deliveries}
    done = {(d.output, d.hook) for d in result.deliveries if d.output.startswith("losses.yielded")}
    assert {hook for _, hook in done} == hooks == {"store_artifact", "log_metrics"}
    assert [result.outputs[f"losses.yielded-{number}"].step for number in (2, 3)] == [1, 2]


def test_yields_that_would_all_lie_at_one_path_are_refused_before_anything_runs(
    write_file: WriteFile,
) -> None:
    """The second one would meet the first in the middle of the run."""
    write_file(
        "flowyml.yaml",
        'stacks: { s: { artifact_routing: { Metrics: { path: "{run_id}/all/{step_name}" } } } }\n',
    )

    with pytest.raises(ConfigurationError, match=r"losses\.yielded\* would all be stored at"):
        Pipeline("live").add_step(losses).run()


@step
def only_yields() -> Generator[Metrics, None, None]:
    """Yield a figure, and promise to return nothing."""
    yield Metrics({"loss": 1}).at_step(1)


@step
def returns_at_last() -> Generator[Metrics, None, dict[str, int]]:
    """Yield a figure, and return something else."""
    yield Metrics({"loss": 1}).at_step(1)
    return {"epochs": 1}


def test_a_generator_that_returns_nothing_leaves_nothing() -> None:
    """The points that it yielded are all that there is of it; nor is an output planned."""
    pipeline = Pipeline("live").add_step(losses).add_step(only_yields)

    result = pipeline.run()

    assert [each.output for each in pipeline.plan().outputs] == [
        "losses.yielded*",
        "losses",
        "only_yields.yielded*",
    ]
    assert result.success
    stored = {artifact.output for artifact in result.artifacts}
    assert {name.partition("-")[0] for name in stored} == {"losses.yielded", "only_yields.yielded"}


def test_a_step_may_take_the_nothing_that_a_generator_returned() -> None:
    """Then it is stored, for the step may run elsewhere, or after the run is resumed."""

    @step
    def after(losses: object) -> bool:
        return losses is None

    result = Pipeline("live").add_step(losses).add_step(after).run()

    assert result.outputs["after"] is True
    assert result.outputs["losses"] is None


TRACKERS = ("{ type: notebook, path: a.jsonl }", "{ type: notebook, path: b.jsonl }")


def test_a_plan_takes_the_parameters_that_the_run_will_get(notebook: Path) -> None:
    """A tracker is told of them, which the plan lists; a misspelt one is refused by both."""

    @step
    def train(lr: float = 0.1) -> float:
        return lr

    pipeline = Pipeline("planned").add_step(train)

    assert [each.step for each in pipeline.plan().outputs] == ["train"]
    planned = pipeline.plan(parameters={"lr": 0.2})
    assert [each.step for each in planned.outputs] == ["context", "train"]
    assert pipeline.run(parameters={"lr": 0.2}).success
    assert '["parameters", "context", {"lr": 0.2}]' in notebook.read_text().splitlines()
    with pytest.raises(PipelineError, match="did you mean 'lr'"):
        pipeline.plan(parameters={"lrr": 0.2})


STEPS = (losses, only_yields, returns_at_last)

VALUES: dict[str, Any] = {"lr": 0.1, "layers": (1, 2), "api_key": "sk-12345", "login": secret("x")}


@pytest.mark.usefixtures("notebook")
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.sampled_from([losses, only_yields, returns_at_last]), min_size=1, unique=True
    ),
    names=st.sets(st.sampled_from(sorted(VALUES))),
    trackers=st.integers(0, len(TRACKERS)),
    logged=st.sampled_from([None, True, False]),
)
def test_a_run_delivers_what_its_plan_lists_and_nothing_else(
    steps: list[Step[..., Any]], names: set[str], trackers: int, logged: bool | None
) -> None:
    """With the context's values, which no step returns, and with what generators yield."""
    _write_stack(trackers, logged)
    pipeline = Pipeline("planned", context=context(**{name: VALUES[name] for name in names}))
    for each in steps:
        pipeline.add_step(each)

    actions = {
        (planned.step, planned.output.rstrip("*"), each.hook, each.component or each.role): each
        for planned in pipeline.plan().outputs
        for each in planned.deliveries
    }
    made = {
        (each.step, each.output.partition("-")[0], each.hook, each.component): each.status
        for each in pipeline.run().deliveries
    }

    # What its value decides is nothing here: a generator returned none, and no step takes it.
    decided = {place for place in actions if place[:2] == ("losses", "losses")}
    ends = {"deliver": DeliveryStatus.DONE, "skip": DeliveryStatus.SKIPPED}
    assert made == {place: ends[actions[place].action] for place in actions.keys() - decided}


def _write_stack(trackers: int, logged: bool | None) -> None:
    rule = "" if logged is None else f"log_to_tracker: {str(logged).lower()}"
    Path("flowyml.yaml").write_text(
        "stacks:\n  tracked:\n"
        f"    experiment_tracker: [{', '.join(TRACKERS[:trackers])}]\n"
        f"    artifact_routing: {{ default: {{ {rule} }} }}\n"
    )
