"""A step that asks for it is answered from an earlier run, as long as nothing has changed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from textwrap import dedent

import pytest
from tests.pipelines.conftest import WriteFile

from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.result import RunResult
from flowyml.records import DeliveryStatus, StepStatus
from flowyml.stacks.active import current_project

HELPER = """
    FACTOR = 2

    def scaled(value):
        return value * FACTOR
"""

FLOW = """
    import logging
    from pathlib import Path

    import helper
    from flowyml import Dataset, Metrics, Model, Pipeline, context, step

    LOG = logging.getLogger("flow")

    @step(outputs=["data"])
    def load(rows: int) -> Dataset:
        return Dataset(list(range(rows)), metadata={"source": "a"})

    @step(cache=True, outputs=["model", "metrics"])
    def train(data: Dataset, lr: float) -> tuple[Model, Metrics]:
        # a comment
        LOG.info("training")
        with Path("calls").open("a") as calls:
            calls.write("x")
        score = helper.scaled(len(data.data) * lr)
        return Model(score, name="scored"), {"score": score}

    pipeline = Pipeline("cached", context=context(rows=2, lr=0.5))
    pipeline.add_step(load).add_step(train)
"""

Run = Callable[..., RunResult]


@pytest.fixture
def run(write_file: WriteFile) -> Run:
    """Give a function that runs the pipeline as it is written by then."""
    write_file("helper.py", HELPER)
    write_file("flow.py", FLOW)

    def go(**parameters: object) -> RunResult:
        result = find_pipeline("flow.py", current_project()).run(parameters=parameters)
        result.raise_for_status()
        return result

    return go


def calls() -> int:
    """Return how often the cached step was called."""
    return len((current_project().folder / "calls").read_text())


def note(result: RunResult) -> str:
    """Return what is noted of the cached step."""
    return result.steps[1].note or ""


def test_an_unchanged_step_is_not_run_again(run: Run) -> None:
    """Its outputs are those of the earlier run, and the run says so."""
    first = run()
    second = run()

    assert calls() == 1
    assert second.outputs["metrics"] == first.outputs["metrics"]
    assert second.steps[1].status is StepStatus.DONE
    assert second.steps[1].cached_from == first.run_id
    assert second.steps[1].attempts == 0
    assert note(first) == "not cached: there is no earlier result"
    assert "are those of run" in note(second)


def test_a_hit_is_delivered_as_a_run_would_deliver(run: Run) -> None:
    """Each output is stored and registered in the new run, under the new run's id."""
    run()
    second = run()

    done = [each for each in second.deliveries if each.status is DeliveryStatus.DONE]
    assert [(each.output, each.hook) for each in done if each.step == "train"] == [
        ("model", "store_artifact"),
        ("model", "register_model"),
        ("metrics", "store_artifact"),
    ]
    assert all(second.run_id in artifact.uri for artifact in second.artifacts)


def test_a_comment_changes_nothing(run: Run, write_file: WriteFile) -> None:
    """Layout and comments are not what a result depends on."""
    run()
    write_file("flow.py", FLOW.replace("# a comment", "# another comment\n"))
    run()

    assert calls() == 1


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("LOG.info", "LOG.debug", "its code"),
        ('"source": "a"', '"source": "b"', "the input 'data'"),
        ("rows=2", "rows=3", "the input 'data'"),
        ("lr=0.5", "lr=0.6", "the context value 'lr'"),
        ('"metrics"]', '"scores"]', "the names of its outputs"),
    ],
)
def test_what_changed_is_told(
    old: str, new: str, what: str, run: Run, write_file: WriteFile
) -> None:
    """Code, inputs with their metadata, and context values each make a new result."""
    first = run()
    write_file("flow.py", FLOW.replace(old, new))
    second = run()

    assert calls() == 2
    assert note(second) == f"not cached: changed since run {first.run_id}: {what}"


@pytest.mark.parametrize(
    "changed",
    [HELPER.replace("FACTOR = 2", "FACTOR = 3"), HELPER.replace("value *", "1 + value *")],
    ids=["constant", "function"],
)
def test_project_functions_that_it_calls_count(
    changed: str, run: Run, write_file: WriteFile
) -> None:
    """The source of a function in another module, and the constants it uses, are part of it."""
    run()
    write_file("helper.py", changed)

    del sys.modules["helper"]
    result = run()

    assert calls() == 2
    assert note(result).endswith("its code")


def test_what_cannot_be_compared_is_not_cached(run: Run, write_file: WriteFile) -> None:
    """A step that uses an object whose content is not known always runs, and says why."""
    unknown = FLOW.replace("LOG = ", "HANDLE = __import__('threading').Lock()\n    LOG = ")
    write_file("flow.py", unknown.replace("# a comment", "assert HANDLE"))
    run()
    result = run()

    assert calls() == 2
    assert note(result) == ("not cached: it uses 'HANDLE', a lock whose content is not known")


def test_an_object_that_raises_when_it_is_looked_at_fails_no_step(
    run: Run, write_file: WriteFile
) -> None:
    """The step runs, as it would without the cache, and the reason is noted."""
    strange = """
    class Meta(type):
        def __getattribute__(cls, name):
            if name == "__qualname__": raise KeyError("no")
            return super().__getattribute__(name)

    class Settings(metaclass=Meta):
        pass

    LOG = """
    write_file("flow.py", FLOW.replace("\n    LOG = ", strange).replace("# a comment", "Settings"))
    result = run()

    assert calls() == 1
    assert note(result) == "not cached: what it depends on cannot be compared: KeyError: 'no'"


def test_an_input_that_is_stored_in_part_is_not_compared(run: Run, write_file: WriteFile) -> None:
    """What is owed of it may be another value than that of the earlier run."""
    write_file(
        "flowyml.yaml",
        "plugins:\n  artifact_store: { type: local }\n"
        "  artifact_routing:\n    Metrics: { on_error: defer, path: 'blocked/{output_name}' }\n",
    )
    write_file(".flowyml/artifacts/blocked", "a file in the way of a folder")
    flow = """
    from flowyml import Metrics, Model, Pipeline, context, step

    @step(outputs=["pair"])
    def make(value: int) -> dict[str, Model | Metrics]:
        return {"x": Model({"w": 1}, name="x"), "y": Metrics({"m": value})}

    @step(cache=True)
    def use(pair) -> int: return pair["y"]["m"]

    pipeline = Pipeline("partly", context=context(value=1)).add_step(make).add_step(use)
    """
    write_file("flow.py", flow)

    def used(value: int) -> tuple[object, object]:
        result = find_pipeline("flow.py", current_project()).run(parameters={"value": value})
        return result.outputs["use"], note(result)

    why = "not cached: the input 'pair' is not stored, or not all of it"
    assert [used(1), used(2)] == [(1, why), (2, why)]


def test_a_step_that_delivers_while_it_runs_is_not_cached(run: Run, write_file: WriteFile) -> None:
    """What it delivers by a call would be missing from a result that is used again."""
    calling = FLOW.replace("# a comment", "import flowyml; flowyml.store_artifact(1, name='a')")
    write_file("flow.py", calling)
    run()
    result = run()

    assert calls() == 2
    assert note(result) == "not cached: it delivers while it runs"


def test_a_result_that_is_gone_is_made_again(run: Run) -> None:
    """An artifact that was deleted since is no hit."""
    first = run()
    folder = current_project().state / "artifacts" / first.run_id / "model"
    for path in folder.iterdir():
        path.unlink()
    result = run()

    assert calls() == 2
    assert note(result).startswith(f"not cached: the result of run {first.run_id} cannot be read")


def test_nothing_is_cached_unless_asked(run: Run, write_file: WriteFile) -> None:
    """Without ``cache`` a step runs every time, and nothing is noted of it."""
    write_file("flow.py", FLOW.replace("cache=True, ", ""))
    run()
    result = run()

    assert calls() == 2
    assert note(result) == ""


def test_a_stack_asks_for_all_its_steps(run: Run, write_file: WriteFile) -> None:
    """``cache: true`` in the stack holds for each step that does not say otherwise."""
    write_file("flowyml.yaml", dedent("stacks: { one: { cache: true } }"))
    write_file("flow.py", FLOW.replace("cache=True, ", ""))
    run()
    result = run()

    assert calls() == 1
    assert [step.cached_from is not None for step in result.steps] == [True, True]


def test_a_step_declines_what_its_stack_asks_for(run: Run, write_file: WriteFile) -> None:
    """``@step(cache=False)`` runs every time."""
    write_file("flowyml.yaml", dedent("stacks: { one: { cache: true } }"))
    write_file("flow.py", FLOW.replace("cache=True", "cache=False"))
    run()
    run()

    assert calls() == 2


PICKLED = """
    import flowyml
    from flowyml import Metrics, Model, Pipeline, step

    class Net:
        def __init__(self):
            self.kind = "kind"  # pickled once, and twice when it was pickled before

    @step(cache=True, outputs=["models"])
    def train() -> list[Model]:
        return [Model(Net(), name="net", metadata={"seed": 1})]

    @step(cache=True, outputs=["score"])
    def evaluate(models: list[Model]) -> Metrics:
        return Metrics({"kinds": len({model.data.kind for model in models})})

    pipeline = Pipeline("pickled").add_step(train).add_step(evaluate)
"""


@pytest.mark.filterwarnings("ignore::flowyml.serialization.contract.PickleWarning")
def test_what_is_recalled_is_stored_as_it_was(run: Run, write_file: WriteFile) -> None:
    """The same bytes and facts, made by the new run; what takes it has nothing new to do."""
    write_file("flow.py", PICKLED)
    first, second, third = run(), run(), run()

    def kept(result: RunResult) -> dict[str, tuple[object, ...]]:
        facts = ("serializer", "name", "version", "metadata", "properties")
        return {
            each.output: (each.digest, each.type, *map(each.manifest.get, facts))
            for each in result.artifacts
        }

    assert kept(first) == kept(second) == kept(third)
    assert [each.cached_from for each in third.steps] == [first.run_id] * 2
    made = third.artifacts[0].manifest["producer"]
    assert made["run_id"] == third.run_id
    assert third.outputs["models"][0].data.kind == "kind"


@pytest.mark.filterwarnings("ignore::flowyml.serialization.contract.PickleWarning")
def test_a_recalled_result_gets_the_format_that_its_rule_says_by_now(
    run: Run, write_file: WriteFile
) -> None:
    """A rule that was written since holds for what is stored since."""
    write_file("flow.py", PICKLED)
    write_file("flowyml.yaml", "stacks: { one: {} }")
    first = run()
    write_file(
        "flowyml.yaml", "stacks: { one: { artifact_routing: { Model: { format: pickle } } } }"
    )
    second = run()

    assert second.steps[0].cached_from == first.run_id
    formats = [
        next(each.manifest["serializer"] for each in result.artifacts if each.type == "Model")
        for result in (first, second)
    ]
    assert formats == ["cloudpickle", "pickle"]


ORDERED = """
    from flowyml import Pipeline, context, step

    WEIGHTS = {"a": 1, "b": 2}

    @step(cache=True)
    def given(features: dict) -> list:
        return list(features)

    @step(cache=True)
    def constant() -> list:
        return list(WEIGHTS)

    @step(cache=True)
    def left(weights: dict = {"a": 3, "b": 4}) -> list:
        return list(weights)

    pipeline = Pipeline("ordered", context=context(features={"a": 5, "b": 6}))
    pipeline.add_step(given).add_step(constant).add_step(left)
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('{"a": 5, "b": 6}', '{"b": 6, "a": 5}', "given"),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', "constant"),
        ('{"a": 3, "b": 4}', '{"b": 4, "a": 3}', "left"),
    ],
)
def test_the_order_of_a_mapping_is_part_of_it(
    old: str, new: str, changed: str, run: Run, write_file: WriteFile
) -> None:
    """It decides columns and candidates: of context values, constants and defaults alike."""
    write_file("flow.py", ORDERED)
    run()
    write_file("flow.py", ORDERED.replace(old, new))
    result = run()

    assert [step.name for step in result.steps if not step.cached_from] == [changed]
    assert result.outputs[changed] == ["b", "a"]
