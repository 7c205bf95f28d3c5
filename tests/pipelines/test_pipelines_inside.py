"""What a step delivers by calling while it runs takes the same way as what it returns."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

import asyncio
import contextvars
import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.pipelines.conftest import WriteFile

import flowyml
from flowyml import Metrics, Model, Parameters, Pipeline, step
from flowyml.errors import NotFoundError, PipelineError, StepError
from flowyml.pipelines.result import RunResult
from flowyml.pipelines.step import Step
from flowyml.records import DeliveryStatus

pytestmark = pytest.mark.usefixtures("project")


def run(work: Step[..., Any]) -> RunResult:
    result = Pipeline("test").add_step(work).run()
    result.raise_for_status()
    return result


def test_an_artifact_is_stored_beside_the_outputs() -> None:
    """It is found under the step's name and its own."""

    @step
    def work() -> int:
        flowyml.store_artifact({"rows": 3}, name="report")
        return 1

    result = run(work)

    assert result.outputs["work.report"] == {"rows": 3}
    assert flowyml.load(f"run:{result.run_id}/work.report") == {"rows": 3}
    assert list(result.outputs) == ["work"]


def test_a_name_that_is_used_twice_is_counted() -> None:
    """The second artifact of a name does not take the place of the first."""

    @step
    def work() -> int:
        for number in range(2):
            flowyml.store_artifact(number, name="part")
        return 1

    result = run(work)

    assert [result.outputs[name] for name in ("work.part", "work.part-2")] == [0, 1]


def test_a_counted_name_does_not_take_the_place_of_one_that_is_asked_for() -> None:
    """`part-2` is a name as well, whether it comes before or after the second `part`."""

    @step
    def work() -> int:
        for name in ("part", "part", "part-2", "other-2", "other", "other"):
            flowyml.store_artifact(name, name=name)
        return 1

    result = run(work)

    stored = {name: result.outputs[f"work.{name}"] for name in ("part", "part-2", "part-2-2")}
    assert stored == {"part": "part", "part-2": "part", "part-2-2": "part-2"}
    stored = {name: result.outputs[f"work.{name}"] for name in ("other", "other-2", "other-3")}
    assert stored == {"other": "other", "other-2": "other-2", "other-3": "other"}


def test_an_element_is_stored_beside_what_a_call_stored_under_its_name() -> None:
    """Neither takes the place of the other, and the whole comes back as it was returned."""

    @step
    def work() -> dict[str, Any]:
        flowyml.store_artifact([1], name="part")
        return {"part": Metrics({"b": 2}), "part-2": {"deep": Metrics({"c": 3})}}

    result = run(work)

    assert result.outputs["work.part"] == [1]
    assert result.outputs["work.part-3"] == Metrics({"b": 2})
    assert result.outputs["work.part-2.deep"] == Metrics({"c": 3})
    assert result.outputs["work"] == {
        "part": Metrics({"b": 2}),
        "part-2": {"deep": Metrics({"c": 3})},
    }


def test_a_model_is_registered_while_its_step_runs() -> None:
    """It is stored first, and found by name and version after."""

    @step
    def work() -> int:
        flowyml.register_model(Model(7, name="early", version="2.0"))
        return int(flowyml.load("model:early@2.0").data)

    result = run(work)

    assert result.outputs["work"] == 7
    hooks = [each.hook for each in result.deliveries if each.output == "work.early"]
    assert hooks[:2] == ["store_artifact", "register_model"]


def test_what_no_tracker_takes_is_stored() -> None:
    """Where nobody tracks, what a call logs is kept, each point under its own name."""

    @step
    def work() -> int:
        for epoch in (4, 2, 9):
            flowyml.log_metrics({"loss": epoch / 2}, step=epoch)
        flowyml.log_metrics({"final": 0.5})
        flowyml.log_metrics({"loss": 1.0}, step=2)
        flowyml.log_parameters({"lr": 0.1})
        return 1

    result = run(work)

    assert result.outputs["work.metrics-at-4"] == Metrics({"loss": 2.0}, step=4)
    assert result.outputs["work.metrics-at-2"] == Metrics({"loss": 1.0}, step=2)
    assert result.outputs["work.metrics-at-9"] == Metrics({"loss": 4.5}, step=9)
    assert result.outputs["work.metrics"] == Metrics({"final": 0.5})
    assert result.outputs["work.metrics-at-2-2"] == Metrics({"loss": 1.0}, step=2)
    assert result.outputs["work.parameters"] == Parameters({"lr": 0.1})
    with pytest.raises(NotFoundError, match=r"no 'work.metrics-at-7'"):
        result.outputs["work.metrics-at-7"]


def test_what_a_rule_does_not_let_log_is_stored(write_file: WriteFile) -> None:
    """A rule that says `log_to_tracker: false` loses nothing, and its path is for outputs alone."""
    rule = "Metrics: { log_to_tracker: false, path: '{run_id}/final' }"
    write_file("flowyml.yaml", f"stacks: {{ one: {{ artifact_routing: {{ {rule} }} }} }}")

    @step
    def work() -> Metrics:
        for epoch in range(2):
            flowyml.log_metrics({"loss": 1.0}, step=epoch)
        return Metrics({"loss": 0.5})

    result = run(work)

    assert result.outputs["work.metrics-at-1"] == Metrics({"loss": 1.0}, step=1)
    assert result.outputs["work"] == Metrics({"loss": 0.5})


def test_metrics_without_a_tracker_are_written_down_as_skipped() -> None:
    """Where nobody tracks, the call does no harm and the ledger says why nothing was logged."""

    @step
    def work() -> int:
        for epoch in range(2):
            flowyml.log_metrics({"loss": 1.0}, step=epoch)
        flowyml.log_parameters({"lr": 0.1})
        return 1

    result = run(work)

    logged = {each.output: each for each in result.deliveries if each.hook.startswith("log")}
    assert list(logged) == ["work.metrics-at-0", "work.metrics-at-1", "work.parameters"]
    assert {each.status for each in logged.values()} == {DeliveryStatus.SKIPPED}
    assert "has no experiment_tracker" in (logged["work.parameters"].reason or "")


CALLS: list[Callable[[], object]] = [
    lambda: flowyml.log_metrics({"a": 1}),
    lambda: flowyml.log_parameters({"a": 1}),
    lambda: flowyml.store_artifact(1, name="a"),
    lambda: flowyml.register_model(Model(1)),
    lambda: flowyml.deploy_model(Model(1)),
]


@pytest.mark.parametrize(
    "call", CALLS, ids=["metrics", "parameters", "store", "register", "deploy"]
)
def test_outside_of_a_run_a_call_says_so(call: Callable[[], object]) -> None:
    """There is no run that the value could belong to."""
    with pytest.raises(PipelineError, match="was called outside of a step"):
        call()


def test_a_wrong_value_is_an_error_of_the_call() -> None:
    """What is no model, no number or no name is refused where it is called."""

    @step
    def work() -> list[str]:
        said: list[str] = []
        calls: list[Callable[[], object]] = [
            lambda: flowyml.register_model(3),  # type: ignore[arg-type]
            lambda: flowyml.store_artifact(3, name=""),
            lambda: flowyml.log_metrics({"a": "high"}),
        ]
        for call in calls:
            try:
                call()
            except (PipelineError, TypeError) as error:
                said.append(str(error))
        return said

    said = run(work).outputs["work"]

    assert "takes a Model, flowyml.Model(data=...); got int" in said[0]
    assert "needs a name" in said[1]
    assert "the metric 'a' is 'high'" in said[2]


def test_async_steps_deliver() -> None:
    """A task that the step starts knows its step."""

    @step
    async def work() -> int:
        async def part(number: int) -> None:
            await asyncio.sleep(0)
            flowyml.store_artifact(number, name=f"part{number}")

        await asyncio.gather(*(part(number) for number in range(2)))
        return 1

    result = run(work)

    assert [result.outputs[f"work.part{number}"] for number in range(2)] == [0, 1]


def test_a_thread_with_the_steps_context_delivers() -> None:
    """`contextvars.copy_context` takes the step along into a thread of the user's."""

    @step
    def work() -> int:
        def part() -> None:
            flowyml.store_artifact(1, name="part")

        thread = threading.Thread(target=contextvars.copy_context().run, args=(part,))
        thread.start()
        thread.join()
        return 1

    assert run(work).outputs["work.part"] == 1


def test_nothing_is_delivered_for_a_step_that_is_over() -> None:
    """A thread that outlives its step is told, rather than adding to a closed step."""
    kept: list[contextvars.Context] = []

    @step
    def work() -> int:
        kept.append(contextvars.copy_context())
        return 1

    run(work)

    with pytest.raises(StepError, match="step 'work' is over"):
        kept[0].run(flowyml.log_metrics, {"a": 1})


def test_metrics_of_a_call_keep_their_own_step() -> None:
    """A `Metrics` that is at a step already is logged there."""

    @step
    def work() -> int:
        flowyml.log_metrics(Metrics({"loss": 1.0}).at_step(7))
        return 1

    assert any(each.output == "work.metrics-at-7" for each in run(work).deliveries)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("notebook")
def test_a_process_of_the_steps_own_is_told_to_return_what_it_has() -> None:
    """It shares no ledger with the step; what it was about to log is logged by the step."""

    @step
    def work() -> str:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.apply(_logged_elsewhere)

    said = Pipeline("inside").add_step(work).run().outputs["work"]

    assert "the step 'work' started itself; let it return to the step" in said


def _logged_elsewhere() -> str:
    try:
        flowyml.log_metrics({"loss": 1.0})
    except PipelineError as error:
        return str(error)
    return "logged"
