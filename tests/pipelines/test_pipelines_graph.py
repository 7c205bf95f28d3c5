"""Steps are wired by name, then by type; what cannot be wired is told before anything runs."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

from typing import Any

import pytest

from flowyml import Dataset, Metrics, Model, Pipeline, context, step
from flowyml.errors import PipelineError
from flowyml.pipelines.graph import Graph
from flowyml.pipelines.step import Step
from flowyml.pipelines.wiring import wire


@step(outputs=["training_data"])
def load_data() -> Dataset:
    return Dataset([1])


@step(outputs=["model"])
def train(training_data: Dataset, lr: float = 0.1) -> Model:
    return Model((training_data, lr))


@step
def evaluate(model: Model, test_data: Dataset) -> Metrics:
    return Metrics({"model": model.data, "data": test_data.data})


def wired(*steps: Step[..., Any], **values: Any) -> Graph:
    return wire("production", steps, values)


def taken(graph: Graph, name: str) -> dict[str, str]:
    return {each.parameter: f"{each.kind}:{each.name}" for each in graph.nodes[name].inputs}


def problem(*steps: Step[..., Any], **values: Any) -> str:
    with pytest.raises(PipelineError) as raised:
        wired(*steps, **values)
    return str(raised.value)


def test_a_parameter_takes_the_output_of_its_name() -> None:
    """An output of another step goes before a context value of the same name."""
    graph = wired(load_data, train, training_data=1)

    assert taken(graph, "train") == {"training_data": "output:training_data"}


def test_a_parameter_takes_a_context_value_of_its_name() -> None:
    """A context value goes before the default."""
    graph = wired(load_data, train, lr=0.5)

    assert taken(graph, "train")["lr"] == "context:lr"


def test_an_artifact_parameter_takes_the_only_output_of_its_type() -> None:
    """Where no name fits, an artifact type that one output has decides."""
    graph = wired(load_data, train, evaluate)

    assert taken(graph, "evaluate") == {
        "model": "output:model",
        "test_data": "output:training_data",
    }


def test_a_step_that_comes_later_is_not_upstream() -> None:
    """Of two outputs of a type, one that is made from the step's own output is none for it."""

    @step(outputs=["cleaned"])
    def clean(raw: Dataset) -> Dataset:
        return raw

    @step(outputs=["scaled"])
    def scale(cleaned: Dataset) -> Dataset:
        return cleaned

    graph = wired(load_data, clean, scale)

    assert taken(graph, "clean") == {"raw": "output:training_data"}


def test_two_outputs_of_the_type_are_ambiguous() -> None:
    """Where two fit, none is chosen, and both are named."""

    @step(outputs=["more_data"])
    def load_more() -> Dataset:
        return Dataset([2])

    said = problem(load_data, load_more, train, evaluate)

    assert "'test_data': 2 outputs have its type ('more_data', 'training_data')" in said


def test_the_type_does_not_go_before_a_name_of_plain_types() -> None:
    """Only artifact types are matched; a plain type has to be named."""

    @step
    def count() -> int:
        return 1

    @step
    def show(number: int) -> int:
        return number

    assert "nothing fills the parameter 'number'" in problem(count, show)


def test_inputs_may_name_an_output_differently_from_the_parameter() -> None:
    """An input that is no parameter's name goes to the first one that nothing else fills."""

    @step(inputs=["training_data"])
    def count(lr: float, rows: Dataset) -> int:
        return int(lr) + len(rows.data)

    graph = wired(load_data, count, lr=1)

    assert taken(graph, "count") == {"lr": "context:lr", "rows": "output:training_data"}


def test_inputs_reach_a_function_that_takes_any_name() -> None:
    """A ``**parameter`` is given every input that has no parameter of its own."""

    @step(inputs=["training_data", "lr"])
    def collect(**values: object) -> int:
        return len(values)

    graph = wired(load_data, collect, lr=1)

    assert taken(graph, "collect") == {"training_data": "output:training_data", "lr": "context:lr"}


def test_an_unknown_input_is_refused() -> None:
    """``inputs`` that nothing provides are named, with what was most likely meant."""

    @step(inputs=["traning_data"])
    def count(traning_data: Dataset) -> int:
        return len(traning_data.data)

    said = problem(load_data, count)

    assert said == (
        "pipeline 'production': step 'count' lists the input 'traning_data', which no other step "
        "makes and the context does not have (did you mean 'training_data'?)"
    )


def test_an_input_without_a_parameter_is_refused() -> None:
    """An input that the function could not be given is an error."""

    @step(inputs=["training_data"])
    def count() -> int:
        return 1

    assert "has no parameter for it" in problem(load_data, count)


def test_what_nothing_fills_is_named_with_a_way_out() -> None:
    """The message names step and parameter, and what was most likely meant."""
    said = problem(train, training_dat=1)

    assert "step 'train': nothing fills the parameter 'training_data'" in said
    assert "did you mean 'training_dat'?" in said
    assert "context(training_data=...)" in said


def test_all_problems_are_told_at_once() -> None:
    """A pipeline with several mistakes is corrected in one go."""

    @step
    def first(a: int) -> int:
        return a

    @step
    def second(b: int) -> int:
        return b

    said = problem(first, second)

    assert "has 2 problems" in said
    assert "'a'" in said
    assert "'b'" in said


def test_two_producers_of_one_output_are_refused() -> None:
    """Both steps are named."""

    @step(outputs=["training_data"])
    def load_again() -> Dataset:
        return Dataset([2])

    said = problem(load_data, load_again)

    assert "steps 'load_data' and 'load_again' both make the output 'training_data'" in said


def test_no_step_has_the_name_under_which_a_run_records_its_parameters() -> None:
    """What it returned would be taken for delivered with them."""

    @step(name="context", outputs=["lr"])
    def learning_rate() -> float:
        return 0.1

    assert "no step can have the name 'context'" in problem(learning_rate)


def test_two_steps_of_one_name_are_refused() -> None:
    """A name belongs to one step."""
    assert "two steps have the name 'load_data'" in problem(load_data, load_data)


def test_a_circle_is_refused() -> None:
    """The steps that wait for each other are named in the order in which they would."""

    @step
    def chicken(egg: int) -> int:
        return egg

    @step
    def egg(chicken: int) -> int:
        return chicken

    assert "chicken -> egg -> chicken" in problem(chicken, egg)


def test_an_output_of_the_step_itself_is_no_input() -> None:
    """A parameter named after the step's own output says what to rename."""

    @step(outputs=["data"])
    def clean(data: list[int]) -> list[int]:
        return data

    assert "only the step itself makes an output of that name" in problem(clean)


def test_annotations_that_never_fit_are_refused() -> None:
    """A parameter that cannot take what the producer promises names both annotations."""

    @step
    def report(model: Dataset) -> str:
        return str(model)

    said = problem(load_data, train, report)

    assert "step 'report' takes 'model' as Dataset, but step 'train' makes 'model' as Model" in said


def test_the_order_of_adding_does_not_matter() -> None:
    """Steps are sorted so that each comes after what it takes from."""
    assert list(wired(evaluate, train, load_data).nodes) == ["load_data", "train", "evaluate"]


def test_a_thousand_steps_are_wired() -> None:
    """A long chain needs no recursion."""

    def link(number: int) -> Step[..., Any]:
        def work(**above: int) -> int:
            return len(above)

        inputs = [f"s{number - 1}"] if number else []
        return step(name=f"s{number}", inputs=inputs)(work)

    graph = wired(*[link(number) for number in reversed(range(1000))])

    assert list(graph.nodes) == [f"s{number}" for number in range(1000)]


def test_a_plain_function_is_no_step() -> None:
    """The message says what is missing."""
    with pytest.raises(PipelineError, match="wired is no step; write @step above its `def`"):
        Pipeline("production").add_step(wired)  # type: ignore[arg-type]


def test_a_pipeline_without_steps_is_refused() -> None:
    """There is nothing to run."""
    with pytest.raises(PipelineError, match="has no steps"):
        Pipeline("production", context=context(lr=1)).graph()
