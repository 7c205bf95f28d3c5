"""The plan says what a run would do, and a run does exactly that."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.routing.container_samples import Chain, FraudModel, Pair, Report
from tests.routing.routing_samples import Workshop, a_run, flaky_components, make_stack
from tests.servers.flaky import FlakyRegistry, FlakyStore

from flowyml.artifacts import Dataset, Metrics, Model, Parameters
from flowyml.errors import StepError
from flowyml.metadata.store import MetadataStore
from flowyml.routing.plan import DeclaredOutput, Plan, make_plan
from flowyml.routing.splitting import take_apart
from flowyml.stacks.rules import Route, Rule


def planned(shop: Workshop, *annotations: object, **rules: Rule) -> Plan:
    """Return the plan of steps with these annotations."""
    declared = [
        DeclaredOutput(f"step{count}", f"out{count}", annotation)
        for count, annotation in enumerate(annotations)
    ]
    return make_plan("fraud", declared, make_stack(shop.components, rules))


def said(plan: Plan) -> list[str]:
    """Return what is wrong with a plan."""
    return [f"{found.severity}: {found.problem.message}" for found in plan.problems]


@pytest.fixture
def shop(shop: Workshop) -> Workshop:
    """Give a workshop with all four roles."""
    shop.components = flaky_components(shop.folder)
    return shop


def test_each_output_has_type_format_uri_and_deliveries(shop: Workshop) -> None:
    """What is only known in the run stands in braces."""
    (output,) = planned(shop, dict[str, int]).outputs

    root = (shop.folder / "store").as_uri()
    assert (output.step, output.output, output.type) == ("step0", "out0", "dict")
    assert (output.serializer, output.store) == ("json", "artifact_store")
    assert output.uri == f"{root}/{{run_id}}/out0"
    (delivery,) = output.deliveries
    assert (delivery.hook, delivery.component, delivery.component_type, delivery.action) == (
        "store_artifact",
        "artifact_store",
        "flaky",
        "deliver",
    )


@pytest.mark.parametrize(
    ("rule", "action", "waits_for", "reason"),
    [
        (Rule(), "skip", None, "no rule says deploy: true"),
        (Rule(deploy=False), "skip", None, "the rule says deploy: false"),
        (Rule(register=False, deploy=True), "skip", None, "it needs register_model, which is"),
        (Rule(deploy=True), "wait", "manual", "waits for `flowyml model deploy`"),
        (
            Rule(deploy=True, deploy_condition="on_approval"),
            "wait",
            "approval",
            "waits for `flowyml model approve`",
        ),
        (
            Rule(deploy=True, deploy_condition="auto", deploy_min_metrics={"auc": 0.9}),
            "deliver",
            "metrics",
            "deploys when auc >= 0.9",
        ),
    ],
)
def test_the_gate_of_a_deployment_is_in_the_plan(
    shop: Workshop, rule: Rule, action: str, waits_for: str | None, reason: str
) -> None:
    """With what it waits for, or why there is none."""
    (output,) = planned(shop, Model, Model=rule).outputs
    deploy = output.deliveries[-1]

    assert (deploy.hook, deploy.action, deploy.waits_for) == ("deploy_model", action, waits_for)
    assert str(deploy.reason).startswith(reason)


def test_containers_are_planned_with_their_elements(shop: Workshop) -> None:
    """The container under the output's name, its elements under theirs or under a star."""
    plan = planned(
        shop, list[Metrics], tuple[Model, int], dict[str, Model], Pair, Report | None
    )  # fmt: skip

    assert [(output.output, output.type, output.serializer) for output in plan.outputs] == [
        ("out0", "list", "json"),
        ("out0.*", "Metrics", "decided by the value"),
        ("out1", "tuple", "json"),
        ("out1.0", "Model", "decided by the value"),
        ("out1.1", "int", "json"),
        ("out2", "dict", "json"),
        ("out2.*", "Model", "decided by the value"),
        ("out3", "Pair", "json"),
        ("out3.model", "Model", "decided by the value"),
        ("out3.score", "Metrics", "decided by the value"),
        ("out4", "Report", "json"),
        ("out4.scores", "Metrics", "decided by the value"),
        ("out4.note", "str", "text"),
        ("out4.best", "Model", "decided by the value"),
        ("out4.count", "int", "json"),
    ]
    assert said(plan) == []


def test_an_unknown_type_is_decided_by_the_value(shop: Workshop) -> None:
    """All that is certain is that it is stored."""
    (output,) = planned(shop, Any).outputs

    assert (output.type, output.serializer) == ("decided by the value", "decided by the value")
    assert [delivery.hook for delivery in output.deliveries] == ["store_artifact"]


def test_an_annotated_route_is_planned(shop: Workshop) -> None:
    """Also inside of a container."""
    plan = planned(shop, list[Annotated[Model, Route(register=False)]])

    assert plan.outputs[1].deliveries[1].action == "skip"


@pytest.mark.parametrize(
    ("annotations", "path", "message"),
    [
        ([dict, list], "x", "step0.out0 and step1.out1 would all be stored at"),
        ([list[Model]], "{run_id}", "step0.out0 and step0.out0.* would all be stored at"),
        ([dict, list], "{run_id}/{date}", "would all be stored at"),
        ([tuple[Model, Model]], "{step_name}", "would all be stored at"),
    ],
)
def test_outputs_that_would_meet_are_an_error(
    shop: Workshop, annotations: list[object], path: str, message: str
) -> None:
    """Before anything runs."""
    plan = planned(shop, *annotations, default=Rule(path=path))

    assert any(message in str(error) for error in plan.errors)


def test_a_record_whose_elements_have_no_stable_names_is_an_error(shop: Workshop) -> None:
    """As in the run, which would find its class nowhere: made in a function, or in a notebook."""

    @dataclass
    class Local:
        scores: Metrics

    value = Local(Metrics({"f1": 1.0}))
    with pytest.raises(StepError) as told:
        take_apart(value, Local, step="step0", output="out0")

    alone, inside_of_another = planned(shop, Local, dict[str, list[Local]]).errors

    why = str(told.value).partition("cannot be taken apart: ")[2]
    assert "gives artifacts no stable names; use a list" in why
    assert why in alone.message
    assert why in inside_of_another.message


def test_a_record_inside_of_itself_is_planned(shop: Workshop) -> None:
    """How deep it goes, its value decides."""
    plan = planned(shop, Chain)

    assert plan.errors == ()
    assert [output.output for output in plan.outputs] == ["out0", "out0.scores", "out0.rest.*"]


def test_outputs_that_differ_only_in_case_are_told_as_that(shop: Workshop) -> None:
    """Their paths have their names already: what helps is another name."""
    declared = [DeclaredOutput("two", name, dict) for name in ("Scores", "scores")]

    (error,) = make_plan("fraud", declared, make_stack(shop.components, {})).errors

    assert "two.Scores and two.scores would be stored at" in error.message
    assert "/Scores and" in error.message
    assert "differ only in their case" in error.message
    assert error.hint == "give one of them a name that differs in more than its case"


def test_an_output_inside_of_another_is_an_error(shop: Workshop) -> None:
    """One artifact's folder is no place for another one."""
    plan = planned(shop, dict, list, dict=Rule(path="{run_id}"), list=Rule(path="{run_id}/a"))

    (error,) = plan.errors
    assert "step1.out1 would be stored inside of step0.out0" in str(error)


@pytest.mark.parametrize(
    ("annotations", "path"),
    [
        ([dict, list], "{output_name}"),
        ([dict, list], "{step_name}"),
        ([dict, list], "{artifact_name}"),
        ([Model, Model], "{name}/{version}"),
        ([Any, Any], "{artifact_name}"),
        ([Model | Metrics], "{run_id}/x"),
        ([Model | None], "{run_id}/x"),
    ],
)
def test_outputs_that_may_be_kept_apart_are_no_error(
    shop: Workshop, annotations: list[object], path: str
) -> None:
    """Only what is certain to meet is."""
    assert planned(shop, *annotations, default=Rule(path=path)).errors == ()


def test_a_registry_that_cannot_read_the_store_is_an_error(shop: Workshop) -> None:
    """The message names the schemes."""

    class Cloudy(FlakyRegistry):
        reads_schemes: ClassVar[frozenset[str] | None] = frozenset({"gs"})

    shop.components["model_registry"] = Cloudy(shop.folder / "cloudy.jsonl")

    (error,) = planned(shop, Model).errors
    assert "model_registry (flaky) cannot read file://" in str(error)
    assert "(it reads gs://)" in str(error)


def test_a_component_whose_library_is_missing_is_an_error(shop: Workshop) -> None:
    """The message says how to install it; where nothing is delivered to it, all is well."""

    class Demanding(FlakyRegistry):
        libraries: ClassVar[Mapping[str, str]] = {
            "json": "a-library-that-is-here",
            "no_such_library": "flowyml-demanding[client]",
        }

    shop.components["model_registry"] = Demanding(shop.folder / "demanding.jsonl")

    (error,) = planned(shop, Model).errors
    assert error.message == "model_registry (flaky) needs no_such_library, which is not installed"
    assert error.hint == "pip install 'flowyml-demanding[client]'"
    assert planned(shop, Metrics).errors == ()


def test_a_library_that_several_components_miss_is_told_once(shop: Workshop) -> None:
    """With one command for all that is missing."""

    class Registry(FlakyRegistry):
        libraries: ClassVar[Mapping[str, str]] = {"no_such_library": "flowyml[lab]"}

    class Store(FlakyStore):
        libraries: ClassVar[Mapping[str, str]] = {
            "no_such_library": "flowyml[lab]",
            "nor_this_one": "nor-this-one",
        }

    shop.components["model_registry"] = Registry(shop.folder / "registry.jsonl")
    shop.components["artifact_store"] = Store(
        shop.folder / "store", outbox=shop.folder / "store.jsonl"
    )

    (error,) = planned(shop, Model).errors
    assert error.message == (
        "artifact_store (flaky) and model_registry (flaky) need no_such_library, which is not "
        "installed; artifact_store (flaky) needs nor_this_one, which is not installed"
    )
    assert error.hint == "pip install 'flowyml[lab]' 'nor-this-one'"


def test_what_is_most_likely_not_meant_is_a_warning(shop: Workshop) -> None:
    """A rule that speaks for nothing; a rule that asks for what there is not; an open gate."""
    auto = Rule(deploy=True, deploy_condition="auto")
    assert said(planned(shop, Model, Model=auto)) == [
        "warning: step0.out0 is deployed without a look at any metric"
    ]
    unseen = Rule(deploy=True, deploy_min_metrics={"accuracy": 0.9})
    assert said(planned(shop, Model, Model=unseen)) == [
        "warning: step0.out0: nothing looks at the deploy_min_metrics of its rule"
    ]
    by_hand = Rule(deploy=True, deploy_condition="manual", deploy_min_metrics={"accuracy": 0.9})
    assert said(planned(shop, Model, Model=by_hand)) == []
    del shop.components["model_registry"]
    register = Rule(register=True)
    rule = "its rule says register: true, but the stack 'test' has no model_registry"
    assert said(planned(shop, Model, Model=register, Modle=register, FraudModel=Rule())) == [
        f"warning: step0.out0: {rule}",
        "warning: the rule for 'Modle' speaks for no output of 'fraud'",
        "warning: the rule for 'FraudModel' speaks for no output of 'fraud'",
    ]
    assert said(planned(shop, Model, Any, FraudModel=register)) == []


class Models(Model):
    """Its name is close to another one's."""


def test_a_rule_whose_type_is_misspelt_asks_what_was_meant(shop: Workshop) -> None:
    """Also where the annotations do not tell everything; a class of the user's is no mistake."""
    for returned in ((Model,), (Model, Any)):
        (found,) = planned(shop, *returned, Modell=Rule()).problems
        assert (found.severity, found.problem.hint) == ("warning", "did you mean 'Model'?")
    (found,) = planned(shop, FraudModel, FraudModell=Rule()).problems
    assert found.problem.hint == "did you mean 'FraudModel'?"
    assert said(planned(shop, Models, Models=Rule())) == []
    assert said(planned(shop, Any, **{"shop.rows.Dataset": Rule()})) == []


def test_a_type_that_nobody_could_load_is_an_error(shop: Workshop) -> None:
    """Before it is trained."""

    class Local(Model):
        """Is gone when its function has ended."""

    (found,) = planned(shop, Local).errors
    assert "step 'step0', output 'out0': the class" in str(found)
    assert "define it at the top level of a Python file" in str(found)


def test_what_cannot_be_planned_is_an_error_of_its_output(shop: Workshop) -> None:
    """The others are planned all the same."""
    plan = planned(shop, dict, list, dict=Rule(format="npy"), list=Rule(store="cold"))

    assert len(plan.errors) == 2
    assert "step 'step0', output 'out0': there is no format 'npy'" in str(plan.errors[0])
    assert "no store 'cold'" in str(plan.errors[1])


# ─── the run does what the plan said ────────────────────────────────────────────────────────────

VALUES: dict[object, Any] = {
    Model: lambda: Model({"w": 1}),
    FraudModel: lambda: FraudModel({"w": 1}, metadata={"metrics": {"auc": 0.95}}),
    Metrics: lambda: Metrics({"auc": 0.9}),
    Parameters: lambda: Parameters({"lr": 1}),
    Dataset: lambda: Dataset([1, 2]),
    dict: lambda: {"a": 1},
    int: lambda: 3,
    str: lambda: "x",
}

maybe = st.sampled_from([None, True, False])
rules = st.builds(
    Rule,
    store=st.sampled_from([None, "default", "artifact_stores.cold"]),
    path=st.sampled_from([None, "{run_id}/{step_name}/{output_name}", "x/{output_name}/{date}"]),
    register=maybe,
    deploy=maybe,
    deploy_condition=st.sampled_from([None, "manual", "on_approval", "auto"]),
    deploy_min_metrics=st.sampled_from([None, {"auc": 0.9}, {"auc": 0.99}, {"f1": 0.1}]),
    log_to_tracker=maybe,
)
leaves = st.sampled_from(list(VALUES))
declared_types: st.SearchStrategy[Any] = st.recursive(
    leaves | st.tuples(leaves, rules).map(lambda pair: Annotated[pair[0], pair[1]]),
    lambda inner: (
        inner.map(lambda part: list[part])  # type: ignore[valid-type]
        | inner.map(lambda part: dict[str, part])  # type: ignore[valid-type]
        | st.tuples(inner, inner).map(lambda parts: tuple[parts[0], parts[1]])  # type: ignore[valid-type]
        | inner.map(lambda part: Union[part, None])  # noqa: UP007  # an Annotated knows no |
    ),
    max_leaves=3,
)
roles = st.sets(
    st.sampled_from(["experiment_tracker", "model_registry", "model_deployer"]), max_size=3
)
rule_tables = st.dictionaries(
    st.sampled_from(["Model", "FraudModel", "Metrics", "default", "dict", "list"]), rules
)


def value_of(annotation: Any) -> Any:
    """Return a value that keeps to an annotation."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in VALUES:
        return VALUES[annotation]()
    if origin is tuple:
        return tuple(value_of(part) for part in arguments)
    if origin is list:
        return [value_of(arguments[0]), value_of(arguments[0])]
    if origin is dict:
        return {"k": value_of(arguments[1])}
    return value_of(arguments[0])


def promised(outputs: Any, delivery: Any) -> set[tuple[str, str, str]]:
    """Return the ways in which a planned delivery may end when nothing fails."""
    if delivery.action == "skip":
        return {(delivery.hook, delivery.role, "skipped")}
    ends = {
        "manual": {"pending manual"},
        "approval": {"pending approval"},
        "metrics": {"pending metrics", "skipped", "done"},
        None: {"done"},
    }[delivery.waits_for]
    return {(delivery.hook, delivery.component, end) for end in ends}


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(declared_types, rule_tables, roles)
def test_a_run_does_exactly_what_its_plan_said(
    annotation: Any, table: dict[str, Rule], filled: set[str]
) -> None:
    """Every output that is stored, and every delivery, was in the plan; and nothing is left out."""
    with tempfile.TemporaryDirectory() as name, MetadataStore.open(Path(name, "m.db")) as metadata:
        folder = Path(name)
        a_run(metadata)
        every = flaky_components(folder)
        components = {role: every[role] for role in ("artifact_store", *filled)}
        components["artifact_stores.cold"] = FlakyStore(
            folder / "cold", outbox=folder / "cold.jsonl"
        )
        shop = Workshop(folder, metadata, table, components)
        stack = shop.stack()
        plan = make_plan("fraud", [DeclaredOutput("train", "out", annotation)], stack)
        if plan.errors:
            return

        delivered = shop.route(value_of(annotation), annotation, output="out")

        seen: set[str] = set()
        for artifact in delivered.artifacts:
            (output,) = [
                planned
                for planned in plan.outputs
                if _stands_for(planned.output, artifact.output) and planned.type == artifact.type
            ]
            seen.add(output.output)
            assert output.store == artifact.store
            filled_in = {
                "{run_id}": "run-1",
                "{date}": "2026-11-24",
                "{output_name}": artifact.output,
            }
            expected = output.uri
            for placeholder, value in filled_in.items():
                expected = expected.replace(placeholder, value)
            assert artifact.uri == expected
            if output.serializer != "decided by the value":
                assert artifact.manifest["serializer"] == output.serializer
            made = [d for d in delivered.deliveries if d.output == artifact.output]
            assert len(made) == len(output.deliveries)
            for line, promise in zip(made, output.deliveries, strict=True):
                end = " ".join(filter(None, [line.status.value, line.waits_for]))
                assert (line.hook, line.component, end) in promised(output, promise)
                if promise.action == "skip":
                    assert line.reason == promise.reason
        assert seen == {planned.output for planned in plan.outputs}


def _stands_for(pattern: str, output: str) -> bool:
    parts, names = pattern.split("."), output.split(".")
    return len(parts) == len(names) and all(
        part in {"*", name} for part, name in zip(parts, names, strict=True)
    )
