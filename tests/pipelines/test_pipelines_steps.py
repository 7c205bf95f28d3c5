"""A function becomes a step, and stays the function it was."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from flowyml import Dataset, Metrics, Model, Retry, step
from flowyml.errors import PipelineError


@step
def double(number: int) -> int:
    """Return twice the number."""
    return 2 * number


def test_a_bare_step_has_one_output_with_its_name() -> None:
    """Without ``outputs`` the output is named after the step."""
    assert double.name == "double"
    assert [output.name for output in double.outputs] == ["double"]
    assert double.outputs[0].annotation is int


def test_a_step_is_called_like_its_function() -> None:
    """Outside of a pipeline a step is the plain function, its docstring included."""
    assert double(4) == 8
    assert double.__doc__ == "Return twice the number."


def test_a_step_survives_pickling() -> None:
    """A step is pickled by its name, so that another process finds it again."""
    assert pickle.loads(pickle.dumps(double)) is double


def test_a_tuple_is_taken_apart_for_several_outputs() -> None:
    """Each of several outputs has its own part of the annotation."""

    @step(outputs=["model", "metrics"])
    def train() -> tuple[Model, Metrics]: ...  # type: ignore[empty-body]

    assert [(output.name, output.annotation) for output in train.outputs] == [
        ("model", Model),
        ("metrics", Metrics),
    ]


def test_a_tuple_of_another_length_is_refused() -> None:
    """An annotation with another number of parts than outputs is an error that says both."""

    @step(outputs=["model", "metrics"])
    def train() -> tuple[Model, Metrics, Dataset]: ...  # type: ignore[empty-body]

    with pytest.raises(PipelineError, match=r"'train' has 2 outputs \(model, metrics\)"):
        _ = train.outputs


def test_one_output_takes_a_tuple_whole() -> None:
    """A step with one output may return a tuple as its value."""

    @step(outputs=["pair"])
    def pair() -> tuple[int, int]:
        return 1, 2

    assert pair.outputs[0].annotation == tuple[int, int]


def test_an_annotation_that_cannot_be_evaluated_says_nothing() -> None:
    """A hint of a name that does not exist is no crash, and the others keep their meaning."""

    @step
    def odd(first: NoSuchType, second: int) -> Model: ...  # type: ignore[name-defined,empty-body]  # noqa: F821

    assert [parameter.annotation for parameter in odd.parameters][1] is int
    assert odd.outputs[0].annotation is Model


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"outputs": "model"}, "outputs is a list of names"),
        ({"inputs": ["a", "a"]}, "names 'a' twice"),
        ({"outputs": ["a.b"]}, "has a dot"),
        ({"retry": -1}, "0 or more"),
        ({"timeout": 0}, "above 0"),
        ({"timeout": True}, "above 0"),
    ],
)
def test_arguments_that_no_step_can_have_are_refused(
    arguments: dict[str, object], said: str
) -> None:
    """What is wrong with an argument of the decorator is said when it is written."""
    with pytest.raises(PipelineError, match=said):
        step(**arguments)(double.function)  # type: ignore[call-overload]


def test_a_class_is_no_step() -> None:
    """The decorator is for functions."""
    with pytest.raises(PipelineError, match="@step is for functions"):
        step(Model)


def test_pauses_between_tries_grow() -> None:
    """The delay before each further try grows by the backoff."""
    retry = Retry(3, delay=2.0, backoff=3.0)

    assert [retry.pause(failures) for failures in (1, 2, 3)] == [2.0, 6.0, 18.0]


def test_one_exception_needs_no_tuple() -> None:
    """A list will do as well."""
    assert Retry(on=OSError).on == (OSError,)
    assert Retry(on=[OSError, ValueError]).on == (OSError, ValueError)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"delay": -1}, "the delay of a retry is a number, 0 or more; got -1"),
        ({"delay": "1"}, "the delay of a retry is a number"),
        ({"backoff": float("nan")}, "the backoff of a retry is a number"),
        ({"on": "OSError"}, "worth another try are classes, .* got 'OSError'"),
        ({"on": KeyboardInterrupt}, "worth another try are classes"),
    ],
)
def test_a_retry_that_is_none_is_refused(given: dict[str, Any], says: str) -> None:
    """Where it is written, not when the step has failed."""
    with pytest.raises(PipelineError, match=says):
        Retry(3, **given)
