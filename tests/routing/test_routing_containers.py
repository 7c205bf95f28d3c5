"""Containers are taken apart under stable names, and come back equal in structure."""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.routing.container_samples import FraudModel, Nested, Pair, Report, Trained
from tests.routing.routing_samples import Workshop

from flowyml.artifacts import Artifact, Dataset, Metrics, Model, Parameters
from flowyml.errors import NotFoundError, StepError
from flowyml.routing.containers import join
from flowyml.routing.reader import Reader, output_artifacts
from flowyml.routing.splitting import split, take_apart
from flowyml.stacks.rules import Route
from flowyml.stacks.templates import safe_segment


def outputs_of(value: object, annotation: object = Any) -> list[str]:
    """Return the names under which a value is routed."""
    return [leaf.output for leaf in take_apart(value, annotation, step="train", output="out")]


def same(one: Any, other: Any) -> bool:
    """Whether two structures are equal; models are compared by what they hold."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Artifact):
        return bool(one.data == other.data) and one.name in {None, other.name}
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if attrs.has(type(one)) or dataclasses.is_dataclass(one):
        return all(same(getattr(one, name), getattr(other, name)) for name in _names(one))
    return bool(one == other)


def _names(record: Any) -> list[str]:
    if attrs.has(type(record)):
        return [each.name for each in attrs.fields(type(record))]
    return [each.name for each in dataclasses.fields(record)]


MODEL, SCORES = Model({"w": 1}, name="m"), Metrics({"auc": 0.9}, name="s")

COUNTED = Report(SCORES, "ok")
COUNTED.count = 7

VALUES = [
    MODEL,
    None,
    {"a": [1, (2, 3)]},
    [],
    (),
    {},
    [MODEL],
    (MODEL,),
    {"a": MODEL},
    [MODEL, 3, None, SCORES],
    (MODEL, SCORES),
    [[MODEL], [], [SCORES, [SCORES]]],
    {"a": {"b": (MODEL, {"c": SCORES})}, "plain": [1, 2]},
    {1: MODEL, None: SCORES},
    OrderedDict([("z", MODEL), ("a", SCORES)]),
    COUNTED,
    Report(SCORES, best=MODEL),
    Trained(MODEL, "x"),
    Nested(Report(SCORES), [MODEL, MODEL]),
    Pair(MODEL, SCORES),
    [Pair(MODEL, SCORES), Trained(MODEL)],
]


@pytest.mark.parametrize("value", VALUES, ids=map(str, range(len(VALUES))))
def test_what_was_taken_apart_is_put_together_again(value: object) -> None:
    """Equal in structure, types, keys and their order."""
    shape, leaves = split(value, Any, step="train", output="out")
    values = {leaf.output: leaf.value for leaf in leaves}

    assert len(values) == len(leaves)
    assert same(join(shape, values.__getitem__), value)


@pytest.mark.parametrize("value", VALUES, ids=map(str, range(len(VALUES))))
def test_what_was_stored_is_read_back(shop: Workshop, value: object) -> None:
    """By another process, from the stores and the metadata alone."""
    shop.route(value, output="out")

    back = _read(shop, "out")

    assert same(value, back)


def _read(shop: Workshop, output: str) -> object:
    """Read an output, or an element of one, as another process does."""
    stored = output_artifacts("run-1", "train", "out", shop.metadata)
    return Reader(shop.stack(), shop.metadata).output(output, stored)


# Keys that no file system keeps apart are refused, see below.
keys = st.text(max_size=4).filter(lambda key: safe_segment(key) == safe_segment(key).casefold())
artifacts = st.sampled_from([MODEL, SCORES, Parameters({"lr": 1})])
structures = st.recursive(
    artifacts | st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(structures)
def test_any_structure_comes_back(value: object) -> None:
    """Every leaf has a name of its own, wherever it is stored."""
    leaves = take_apart(value, Any, step="train", output="out")

    names = [leaf.output.casefold() for leaf in leaves]
    assert len({*names}) == len(names)
    values = {leaf.output: leaf.value for leaf in leaves if leaf.shape is None}
    first = leaves[0]
    joined = first.value if first.shape is None else join(first.shape, values.__getitem__)
    assert same(joined, value)


def test_elements_have_names_that_tell_where_they_were() -> None:
    """Positions, keys and fields, dots escaped."""
    assert outputs_of([MODEL, SCORES]) == ["out", "out.0", "out.1"]
    assert outputs_of({"a.b": MODEL, "../x": SCORES}) == ["out", "out.a~2eb", "out.~2e~2e~2fx"]
    assert outputs_of(Pair(MODEL, SCORES)) == ["out", "out.model", "out.score"]
    assert outputs_of(Report(SCORES)) == ["out", "out.scores", "out.note", "out.best"]


def test_a_container_without_artifacts_is_a_plain_value() -> None:
    """One that was promised to hold some is routed like one that does."""
    assert outputs_of([1, 2]) == ["out"]
    (leaf,) = take_apart([], list[Metrics], step="train", output="out")
    assert leaf.shape


def test_the_container_comes_first_and_its_elements_after(shop: Workshop) -> None:
    """Readers get all artifacts of an output by its name."""
    shop.route([MODEL, SCORES], output="out")
    shop.route(MODEL, output="outer", step="other")

    found = output_artifacts("run-1", "train", "out", shop.metadata)

    assert [artifact.output for artifact in found.values()] == ["out", "out.0", "out.1"]
    assert [artifact.type for artifact in found.values()] == ["list", "Model", "Metrics"]


def test_an_element_is_read_by_its_own_name(shop: Workshop) -> None:
    """Without the others."""
    shop.route({"a": SCORES, "b": [MODEL]}, output="out")

    assert _read(shop, "out.a") == SCORES
    with pytest.raises(NotFoundError, match=r"there is: out, out\.a, out\.b\.0"):
        _read(shop, "out.c")


@pytest.mark.parametrize(
    ("annotation", "value", "cls"),
    [
        (Metrics, {"a": 1}, Metrics),
        (Metrics | None, {"a": 1}, Metrics),
        (Parameters, {"a": "x"}, Parameters),
        (Annotated[Metrics, Route()], {"a": 1}, Metrics),
        (Metrics | dict, {"a": 1}, dict),
        (dict, {"a": 1}, dict),
        (Model, FraudModel(1), FraudModel),
        (Model | None, None, type(None)),
        (Any, MODEL, Model),
        (object, MODEL, Model),
    ],
)
def test_the_annotation_is_a_contract(annotation: object, value: object, cls: type) -> None:
    """A dict where metrics are promised becomes metrics; a subclass and None where allowed pass."""
    (leaf,) = take_apart(value, annotation, step="train", output="out")

    assert type(leaf.value) is cls


def test_elements_become_what_is_promised_for_them() -> None:
    """Inside of lists, tuples, dicts and fields."""
    leaves = take_apart(
        (MODEL, [{"a": 1}]), tuple[Model, list[Metrics]], step="train", output="out"
    )
    assert [leaf.output for leaf in leaves] == ["out", "out.0", "out.1.0"]
    assert isinstance(leaves[-1].value, Metrics)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Model, 3, "promises Model for output 'out' but returned int"),
        (Model, None, "returned NoneType"),
        (Model, SCORES, "returned Metrics"),
        (Dataset, MODEL, "returned Model"),
        (FraudModel, MODEL, "promises FraudModel"),
        (Metrics, {"a": "x"}, "is no Metrics"),
        (Metrics, [1], "returned list"),
        (dict, MODEL, "returned Model"),
        (list[Model], [3], "output 'out.0'"),
        (list[Model], MODEL, "returned Model"),
        (list[Model], {"a": MODEL}, "returned dict"),
        (tuple[Model, Metrics], (MODEL,), "promises 2 elements and has 1"),
        (tuple[Model, Metrics], (SCORES, MODEL), "output 'out.0'"),
        (Report, {"scores": SCORES}, "promises Report"),
        (Sequence[Model], 3, "returned int"),
    ],
)
def test_a_value_that_breaks_the_contract_is_an_error(
    annotation: object, value: object, message: str
) -> None:
    """It names the step, the output, what was promised and what came."""
    with pytest.raises(StepError, match="train") as caught:
        take_apart(value, annotation, step="train", output="out")

    assert message in str(caught.value)
    assert caught.value.step == "train"


class _Strange(list[Any]):
    pass


@pytest.mark.parametrize(
    "value",
    [{MODEL}, frozenset({MODEL}), Counter({"a": MODEL}), _Strange([MODEL]), {(1, 2): MODEL},
     {"A": MODEL, "a": MODEL}, {1: MODEL, "1": MODEL}],
)  # fmt: skip
def test_artifacts_without_stable_names_are_refused(value: object) -> None:
    """They would be lost, or meet, without a word."""
    with pytest.raises(StepError, match="no stable names"):
        take_apart(value, Any, step="train", output="out")


def test_what_a_record_carries_besides_its_fields_is_told() -> None:
    """With the output that it is, and what to do about it."""
    report = Report(Metrics({"f1": 1.0}))
    report.extra = 2  # type: ignore[attr-defined]
    with pytest.raises(StepError, match=r"output 'out' cannot be .* 'extra' .* as a field"):
        take_apart(report, Any, step="train", output="out")


def test_a_class_that_cannot_be_found_again_is_refused() -> None:
    """One that was made inside of a function."""

    @attrs.frozen
    class Local:
        model: Model

    with pytest.raises(StepError, match="Local"):
        take_apart(Local(MODEL), Any, step="train", output="out")


def test_what_holds_itself_is_refused() -> None:
    """Quickly, and not by running out of stack."""
    holder: list[Any] = [MODEL]
    holder += [holder, holder, holder]

    with pytest.raises(StepError, match="does it hold itself"):
        take_apart(holder, Any, step="train", output="out")


def test_a_plain_value_that_holds_itself_is_no_matter_of_routing() -> None:
    """There is no artifact in it to be found."""
    holder: list[Any] = []
    holder += [holder, holder]

    assert outputs_of(holder) == ["out"]


def test_a_route_reaches_the_elements_of_its_annotation() -> None:
    """The innermost one counts; the container goes along with the outermost."""
    outer, inner = Route(store="a"), Route(store="b")
    annotation = Annotated[tuple[Model, Annotated[Metrics, inner]], outer]

    leaves = take_apart((MODEL, SCORES), annotation, step="train", output="out")

    assert [leaf.route for leaf in leaves] == [outer, outer, inner]


def test_a_route_of_a_field_reaches_the_field() -> None:
    """Also where the annotations are strings."""
    leaves = take_apart(Trained(MODEL), Trained, step="train", output="out")

    assert [leaf.route for leaf in leaves] == [None, Route(register=False), None]


def test_lazy_values_are_left_alone() -> None:
    """An iterator is not used up by looking for artifacts."""

    def values() -> Iterator[int]:
        yield 1

    iterator = values()
    assert outputs_of(iterator) == ["out"]
    assert list(iterator) == [1]
