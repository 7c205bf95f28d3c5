"""What annotations say, and which of them fit each other."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Annotated, Any, Literal, NewType, Optional, Protocol, TypeVar

import pytest

from flowyml import Dataset, Metrics, Model, Route
from flowyml.pipelines.annotations import artifact_types, can_accept, resolve_hints, yields
from flowyml.spelling import spelled


class FraudModel(Model):
    pass


class Readable(Protocol):
    def read(self) -> bytes: ...


Score = NewType("Score", float)

T = TypeVar("T")


@pytest.mark.parametrize(
    ("parameter", "produced"),
    [
        (Model, Model),
        (Model, FraudModel),
        (FraudModel, Model),
        (Any, Dataset),
        (Dataset, Any),
        (object, Dataset),
        (Model, Model | None),
        (Model | None, Model),
        (Optional[Model], FraudModel),  # noqa: UP045  # both spellings are in use
        (Annotated[Model, Route(register=False)], Model),
        (float, int),
        (float, Score),
        (Mapping, Metrics),
        (list, list[Model]),
        (list[Model], list[FraudModel]),
        (tuple[int, ...], tuple[int, int]),
        (Readable, Dataset),
        (str, Literal["a", "b"]),
        (T, Dataset),
        (dict[str, Model], dict),
    ],
    ids=spelled,
)
def test_annotations_that_fit(parameter: object, produced: object) -> None:
    """What may turn out to be a fitting value is accepted."""
    assert can_accept(parameter, produced)


@pytest.mark.parametrize(
    ("parameter", "produced"),
    [
        (Model, Dataset),
        (Model, int),
        (int, float),
        (dict, Metrics),
        (str, Model | None),
        (list[Model], list[Metrics]),
        (dict[str, Model], dict[str, Dataset]),
        (Model, None),
        (int, Literal["a"]),
        (Annotated[Model, Route(register=False)], Dataset),
    ],
    ids=spelled,
)
def test_annotations_that_never_fit(parameter: object, produced: object) -> None:
    """What is certain to fail is refused."""
    assert not can_accept(parameter, produced)


def test_artifact_types_are_found_among_alternatives() -> None:
    """An optional or annotated artifact type counts as one."""
    assert artifact_types(Model | None) == (Model,)
    assert artifact_types(Annotated[FraudModel, Route(register=False)]) == (FraudModel,)
    assert artifact_types(int) == ()


def test_a_generator_promises_what_it_returns_at_last() -> None:
    """Of a generator the last type is the output's, the first that of what it yields."""

    def train() -> Generator[Metrics, None, Model]:
        yield Metrics({})
        return Model(1)

    hints = resolve_hints(train)

    assert hints.result(generator=True) is Model
    assert yields(hints.returned) is Metrics


def test_an_iterator_promises_nothing_for_the_output() -> None:
    """`Iterator[Metrics]` says what is yielded, and nothing of what is returned."""

    def train() -> Iterator[Metrics]:
        yield Metrics({})

    hints = resolve_hints(train)

    assert hints.result(generator=True) is Any
    assert yields(hints.returned) is Metrics


def test_names_that_a_function_closes_over_are_known() -> None:
    """A type that is local to the function around the step is found once it is used in it."""

    class Local(Model):
        pass

    def train(model: Local, other: Missing) -> int:  # type: ignore[name-defined]  # noqa: F821
        return int(isinstance(model, Local))

    hints = resolve_hints(train)

    assert hints.parameters == {"model": Local, "other": Any}
    assert hints.returned is int


@pytest.mark.parametrize(
    ("annotation", "written"),
    [
        (Model, "Model"),
        (list[Model], "list[Model]"),
        (Optional[Model], "Optional[Model]"),  # noqa: UP045  # as above
        (int | None, "int | None"),
        (Any, "Any"),
    ],
)
def test_a_message_has_an_annotation_as_it_was_written(annotation: object, written: str) -> None:
    """Without the modules that its names come from."""
    assert spelled(annotation) == written
