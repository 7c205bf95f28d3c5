"""A pipeline runs on the built-in stack: values go from step to step, to the store and back."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
import weakref
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import frozen

from flowyml import Dataset, Metrics, Model, Parameters, Pipeline, context, secret, step
from flowyml.errors import ConfigurationError, NotFoundError, PipelineError
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.result import RunResult
from flowyml.pipelines.run import new_run_id
from flowyml.records import RunStatus, StepStatus
from flowyml.serialization import PickleWarning
from flowyml.stacks.project import Project

pytestmark = pytest.mark.usefixtures("project")


@step(outputs=["training_data"])
def load_data() -> Dataset:
    return Dataset([1, 2, 3], name="training_features")


@step(inputs=["training_data"], outputs=["model"])
def train(training_data: Dataset, lr: float) -> Model:
    return Model({"weights": training_data.data, "lr": lr}, name="detector", version="1.0.0")


@step(inputs=["model", "training_data"], outputs=["metrics"])
def evaluate(model: Model, training_data: Dataset) -> Metrics:
    return Metrics({"rows": len(training_data.data), "lr": model.data["lr"]})


def production() -> Pipeline:
    pipeline = Pipeline("production", context=context(lr=0.01, api_key="sk-123456"))
    return pipeline.add_step(load_data).add_step(train).add_step(evaluate)


def run(*steps: object, **values: object) -> RunResult:
    pipeline = Pipeline("test", context=context(**values))
    for each in steps:
        pipeline.add_step(each)  # type: ignore[arg-type]
    result = pipeline.run()
    result.raise_for_status()
    return result


def test_a_run_stores_every_output() -> None:
    """What each step returned is in the store, and comes back equal and lazily."""
    result = production().run()

    assert result.success
    assert list(result.outputs) == ["training_data", "model", "metrics"]
    assert result.outputs["metrics"] == Metrics({"rows": 3, "lr": 0.01})
    assert result.outputs["model"].data == {"weights": [1, 2, 3], "lr": 0.01}
    assert all(artifact.uri.startswith("file://") for artifact in result.artifacts)


def test_a_run_says_where_everything_went() -> None:
    """The text of a result names URI, version and what was not done."""
    result = production().run()

    said = str(result)
    assert "registered: detector@1.0.0" in said
    assert f"{result.run_id}/model" in said
    assert "training_data" in result._repr_html_()


def test_parameters_of_a_run_go_over_the_context() -> None:
    """A value for one run takes the place of the pipeline's."""
    assert production().run(parameters={"lr": 0.5}).outputs["metrics"]["lr"] == 0.5
    assert production().run().outputs["metrics"]["lr"] == 0.01


def test_a_parameter_that_no_step_takes_is_refused() -> None:
    """A misspelt parameter is an error before anything runs, with what was meant."""
    with pytest.raises(PipelineError, match=r"takes the parameter 'lrr'; did you mean 'lr'\?"):
        production().run(parameters={"lrr": 1})


class Mode(Enum):
    FAST = "fast"


class Level(StrEnum):
    """Its members are equal to their texts."""

    HIGH = "high"


@frozen
class Settings:
    depth: int


@pytest.mark.parametrize(
    ("annotation", "value", "given"),
    [
        (float, "abc", "str"),
        (bool, "no", "str"),
        (bool, 1, "int"),
        (int | None, 1.5, "float"),
        (str, 5, "int"),
        (list[int], "1,2", "str"),
        (float, secret("abc"), "str"),
        (Literal["a", "b"] | None, "c", "str"),
        (date, "2026-01-01", "str"),
        (Decimal | None, 1.5, "float"),
        (bytes, "abc", "str"),
        (Mode, "fast", "str"),
        (Level, "fast", "str"),
        (Settings, {"depth": 3}, "dict of str: int"),
        (list[int], [1, "a"], "list of int and str"),
        (dict[str, list[int]], {"a": ["x"]}, "dict of str: list of str"),
    ],
)
def test_a_parameter_of_another_type_is_refused(
    annotation: object, value: object, given: str
) -> None:
    """Text where a number is wanted would be noticed hours later, or never: it is true."""

    def train(value: object) -> dict[str, object]:
        return {"value": value}

    train.__annotations__["value"] = annotation
    pipeline = Pipeline("typed", context=context(value=None)).add_step(step(train))

    with pytest.raises(PipelineError, match=rf"'train' takes 'value' as .* gives it {given};"):
        pipeline.run(parameters={"value": value})


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, 1),
        (int, True),
        (float | None, None),
        (Path, "a.csv"),
        (Any, "abc"),
        (Literal["a"], "a"),
        (Decimal, 1),
        (Level, "high"),
        (list[float], [1, 2.5]),
        (dict[str, Path], {"a": "x.csv"}),
        (tuple[int, ...], [1]),
        (Parameters, {"depth": 3}),
    ],
)
def test_a_parameter_that_may_fit_is_taken(annotation: object, value: object) -> None:
    """Only what is certain to be wrong is refused: many a type is made from text."""

    def train(value: object) -> bool:
        return value is None or bool(value)

    train.__annotations__["value"] = annotation
    pipeline = Pipeline("typed", context=context(value=None)).add_step(step(train))

    assert pipeline.run(parameters={"value": value}).outputs["train"]


def test_an_unknown_stack_is_refused(project: Project) -> None:
    """Nothing is written down of a run that cannot start."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        production().run(stack="nowhere")

    assert not project.metadata_path.exists()


def test_a_run_is_written_down(metadata: MetadataStore) -> None:
    """The metadata store has the run, its steps and its parameters, without secrets."""
    result = production().run()

    record = metadata.run(result.run_id)
    assert record.status is RunStatus.DONE
    assert record.parameters == {"lr": 0.01}
    assert record.reference is None
    steps = metadata.steps(result.run_id)
    assert [(each.name, each.status) for each in steps] == [
        ("load_data", StepStatus.DONE),
        ("train", StepStatus.DONE),
        ("evaluate", StepStatus.DONE),
    ]


def test_a_secret_is_written_nowhere(project: Project) -> None:
    """Neither the database nor a stored file holds the value of a secret."""

    @step
    def use(token: str, marked: str) -> int:
        return len(token + marked)

    run(use, token="tok-987654", marked=secret("mark-987654"))

    found = [path.read_bytes() for path in project.state.rglob("*") if path.is_file()]
    assert found
    assert not [content for content in found if b"987654" in content]


def test_lineage_goes_from_inputs_to_outputs(metadata: MetadataStore) -> None:
    """An artifact's parents are what its step was given."""
    result = production().run()

    ids = {artifact.output: artifact.artifact_id for artifact in result.artifacts}
    edges = {(edge.parent, edge.child) for edge in metadata.lineage(ids["metrics"])}
    assert edges == {
        (ids["training_data"], ids["model"]),
        (ids["training_data"], ids["metrics"]),
        (ids["model"], ids["metrics"]),
    }


def test_a_dict_for_metrics_becomes_metrics() -> None:
    """The annotation is a contract: the next step is given what it promises."""

    @step
    def measure() -> Metrics:
        return {"accuracy": 0.5}  # type: ignore[return-value]

    @step
    def name_of(measure: object) -> str:
        return type(measure).__name__

    assert run(measure, name_of).outputs["name_of"] == "Metrics"


def test_containers_reach_the_next_step_whole() -> None:
    """A list of artifacts is routed one by one and handed on as a list."""

    @step
    def train_all() -> list[Model]:
        return [Model(1, name="a", version="1"), Model(2, name="b", version="1")]

    @step
    def count(train_all: list[Model]) -> int:
        return sum(model.data for model in train_all)

    result = run(train_all, count)

    assert result.outputs["count"] == 3
    assert [model.data for model in result.outputs["train_all"]] == [1, 2]
    assert result.outputs["train_all.1"].name == "b"
    assert list(result.outputs) == ["train_all", "count"]


def test_several_outputs_are_taken_apart() -> None:
    """A tuple gives each output its part."""

    @step(outputs=["model", "metrics"])
    def fit() -> tuple[Model, Metrics]:
        return Model(1, name="a", version="1"), Metrics({"loss": 0.5})

    @step
    def both(model: Model, metrics: Metrics) -> float:
        return float(model.data + metrics["loss"])

    assert run(fit, both).outputs["both"] == 1.5


def test_a_step_may_return_nothing() -> None:
    """None is a value like any other, so that a later step can wait for it."""

    @step
    def prepare() -> None:
        return None

    @step
    def work(prepare: None) -> bool:
        return prepare is None

    assert run(prepare, work).outputs["work"] is True


def test_a_step_without_outputs_stores_nothing() -> None:
    """``outputs=[]`` is a step that only has an effect."""

    @step(outputs=[])
    def notify() -> None: ...

    assert run(notify).artifacts == ()


def test_an_unknown_output_is_named() -> None:
    """Asking for an output that is not there lists those that are."""
    result = production().run()

    assert "other" not in result.outputs
    with pytest.raises(NotFoundError, match=r"'other' \(it has: training_data, model, metrics\)"):
        result.outputs["other"]


def test_what_a_generator_yields_is_delivered_and_what_it_returns_is_the_output() -> None:
    """Yielded artifacts are stored while the step runs, in their order."""

    @step
    def learn() -> Iterator[Metrics]:
        for epoch in range(3):
            yield Metrics({"loss": 1 / (epoch + 1)}).at_step(epoch)
        return {"epochs": 3}  # type: ignore[return-value]

    result = run(learn)

    assert result.outputs["learn"] == {"epochs": 3}
    names = ["learn.yielded", "learn.yielded-2", "learn.yielded-3"]
    assert [result.outputs[name].step for name in names] == [0, 1, 2]


def test_a_generator_goes_on_only_after_its_value_is_delivered(metadata: MetadataStore) -> None:
    """When the step goes on behind a ``yield``, what it yielded lies in the store."""

    @step
    def learn() -> Iterator[Metrics]:
        yield Metrics({"loss": 1.0})
        assert [artifact.output for artifact in metadata.artifacts()] == ["learn.yielded"]

    run(learn)


def test_async_steps_run() -> None:
    """A coroutine is awaited, also an async generator's values."""

    @step
    async def fetch() -> int:
        await asyncio.sleep(0)
        return 4

    @step
    async def stream(fetch: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield Metrics({"value": fetch})

    assert run(fetch, stream).outputs["stream.yielded"]["value"] == 4


def test_async_steps_run_where_an_event_loop_runs() -> None:
    """In a notebook the thread has a loop already; the step gets one of its own."""

    @step
    async def fetch() -> int:
        await asyncio.sleep(0)
        return 4

    async def notebook() -> RunResult:
        return run(fetch)

    assert asyncio.run(notebook()).outputs["fetch"] == 4


def test_independent_steps_run_at_the_same_time() -> None:
    """Two steps that wait for each other's signal both come to their end."""
    left_is_here, right_is_here = threading.Event(), threading.Event()

    @step
    def left() -> bool:
        left_is_here.set()
        return right_is_here.wait(30)

    @step
    def right() -> bool:
        right_is_here.set()
        return left_is_here.wait(30)

    result = run(left, right)

    assert result.outputs["left"]
    assert result.outputs["right"]


class Large:
    """Something that can be watched."""

    def __getstate__(self) -> dict[str, int]:
        return {}


@pytest.mark.filterwarnings("ignore:.*cloudpickle")
def test_a_live_object_is_let_go_after_its_last_taker() -> None:
    """What no later step needs does not stay in memory until the run ends."""
    made: list[weakref.ref[Large]] = []

    @step
    def make() -> object:
        large = Large()
        made.append(weakref.ref(large))
        return large

    @step
    def use(make: object) -> bool:
        return make is made[0]()

    @step
    def later(use: bool) -> bool:  # the output of the step above
        gc.collect()
        return use and made[0]() is None

    assert run(make, use, later).outputs["later"]


def test_one_output_may_fill_two_parameters() -> None:
    """By name and by type the same live object is given."""

    @step
    def use(training_data: Dataset, other: Dataset) -> bool:
        return training_data is other

    assert run(load_data, use).outputs["use"] is True


def test_positional_parameters_keep_their_places() -> None:
    """One that is left to its default does not let the next one move up."""

    @step
    def work(first: int = 1, second: int = 2, /, *, third: int = 3) -> list[int]:
        return [first, second, third]

    assert run(work, second=20, third=30).outputs["work"] == [1, 20, 30]


def test_parameters_are_stored_as_such() -> None:
    """Nested settings come back equal."""

    @step
    def settings(lr: float) -> Parameters:
        return Parameters({"lr": lr, "layers": [1, 2]})

    assert run(settings, lr=0.1).outputs["settings"] == Parameters({"lr": 0.1, "layers": [1, 2]})


def test_run_ids_sort_by_time() -> None:
    """An id begins with the time, and two of one second differ."""
    moment = datetime(2026, 11, 25, 7, 18, 45, tzinfo=UTC)

    first, second = new_run_id(moment), new_run_id(moment)

    assert first.startswith("20261125-071845-")
    assert len(first) == len("20261125-071845-3f9a1c")
    assert first != second


def test_the_plan_runs_nothing(project: Project) -> None:
    """A plan names each output with its hooks, and leaves the folder as it was."""
    plan = production().plan()

    assert [planned.output for planned in plan.outputs] == ["training_data", "model", "metrics"]
    assert not plan.errors
    assert not project.metadata_path.exists()


def test_outputs_that_would_meet_are_refused(project: Project) -> None:
    """A run does not start when its plan has errors."""
    (project.folder / "flowyml.yaml").write_text(
        "stacks:\n  one:\n    artifact_routing:\n      default: { path: '{run_id}/same' }\n"
    )

    with pytest.raises(ConfigurationError, match="would all be stored at"):
        production().run()


def test_the_folder_of_the_artifacts_is_in_the_project(project: Project) -> None:
    """Without a configuration file artifacts lie in ``.flowyml/artifacts``."""
    result = production().run()

    folder = Path(project.folder, ".flowyml", "artifacts", result.run_id)
    assert sorted(path.name for path in folder.iterdir()) == ["metrics", "model", "training_data"]


class Line:
    """A class with no format of its own."""


def test_a_warning_of_cloudpickle_names_the_output() -> None:
    """Once, however many elements it has; no line of our source is told."""

    @step(outputs=["lines"])
    def draw() -> list[Model]:
        return [Model(Line(), name=f"line-{number}") for number in range(3)]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        run(draw)

    (warning,) = caught
    assert str(warning.message).startswith("step 'draw', output 'lines': a ")
    assert warning.category is PickleWarning
    assert not Path(warning.filename).exists()
