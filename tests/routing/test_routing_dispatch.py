"""A type names its hooks and finds its rule; two equally specific answers are an error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from tests.routing.routing_samples import Workshop, flaky_components, make_stack
from tests.servers.flaky import Outbox

from flowyml.artifacts import Artifact, Dataset, Model
from flowyml.errors import ConfigurationError, PipelineError
from flowyml.plugins import Component, hookimpl, hookspec
from flowyml.plugins.roles import DeliveryHook, Role
from flowyml.records import DeliveryContext, Receipt, StoredArtifact
from flowyml.routing.dispatch import hooks_for, hooks_of, rule_for, rule_names
from flowyml.routing.router import Router
from flowyml.stacks.rules import Route, Rule


class FraudModel(Model):
    """A user's own model."""


class Logged(Model):
    """A model that is logged as well."""

    hooks = ("store_artifact", "log_metrics")


class Published(Artifact):
    """What somebody publishes."""

    hooks = ("publish",)


class Both(FraudModel, Published):  # type: ignore[misc]  # that is what is refused
    """Inherits different hooks from its two bases."""


class Decided(FraudModel, Published):
    """The same, and says which it means."""

    hooks = ("store_artifact",)


class Scores(dict[str, float]):
    """A foreign class, as far as the house is concerned."""


def test_a_type_names_its_hooks_and_a_subclass_inherits_them() -> None:
    """A plain value is stored."""
    assert hooks_for(FraudModel) == hooks_for(Model) == Model.hooks
    assert hooks_for(Dataset) == hooks_for(dict) == hooks_for(object) == ("store_artifact",)


def test_a_subclass_may_name_others() -> None:
    """Its own word goes before its base's."""
    assert hooks_for(Logged) == ("store_artifact", "log_metrics")


def test_bases_that_disagree_are_refused() -> None:
    """Unless the class says itself which hooks it means."""
    with pytest.raises(PipelineError, match="Both inherits different hooks"):
        hooks_for(Both)
    assert hooks_for(Decided) == ("store_artifact",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "store_artifact",
            r"are a str, and are to be a tuple of names: write \('store_artifact',\)",
        ),
        (None, "are a NoneType, and are to be a tuple of names"),
    ],
)
def test_hooks_that_are_no_tuple_are_refused(given: Any, said: str) -> None:
    """A text is not taken for the names of its letters."""

    class Careless(Artifact):
        """An artifact without the comma."""

        hooks = given

    with pytest.raises(PipelineError, match=f"the hooks of .*Careless {said}"):
        hooks_for(Careless)


def test_a_foreign_class_is_registered_by_its_user(foreign: type) -> None:
    """One function, for the class and what derives from it."""
    derived = type("Derived", (foreign,), {})

    assert hooks_for(foreign) == hooks_for(derived) == ("store_artifact", "log_metrics")


@pytest.fixture
def foreign() -> Iterator[type]:
    """Register hooks for a foreign class."""
    hooks_of.register(Scores, lambda _value: ("store_artifact", "log_metrics"))
    yield Scores
    hooks_of.register(Scores, hooks_of.dispatch(object))


@pytest.mark.filterwarnings("ignore::flowyml.serialization.PickleWarning")
def test_values_of_a_foreign_class_reach_their_hooks(shop: Workshop, foreign: type) -> None:
    """A mapping is logged as metrics."""
    shop.components = flaky_components(shop.folder)

    shop.route(foreign({"auc": 0.5}), output="scores")

    (logged,) = Outbox(shop.folder / "tracker.jsonl").effects()
    assert logged["data"] == {"auc": 0.5}


def test_the_most_specific_rule_comes_first_and_inherits() -> None:
    """What it leaves unset is taken from less specific rules, then from ``default``."""
    rules = {
        "FraudModel": Rule(deploy=True),
        "Model": Rule(register=False, store="cold"),
        "default": Rule(store="warm", format="pickle"),
    }

    rule = rule_for(FraudModel, rules)

    assert (rule.deploy, rule.register, rule.store, rule.format) == (True, False, "cold", "pickle")
    assert rule_for(dict, rules) == Rule(store="warm", format="pickle")


def test_a_class_is_found_by_its_qualified_name_first() -> None:
    """Two classes of one name may have rules of their own."""
    name = f"{FraudModel.__module__}.FraudModel"
    rules = {name: Rule(store="mine"), "FraudModel": Rule(store="any", register=False)}

    rule = rule_for(FraudModel, rules)

    assert (rule.store, rule.register) == ("mine", False)
    assert {name, "FraudModel", "Model", "default"} <= rule_names(FraudModel)


def test_rules_of_unrelated_bases_that_differ_are_refused() -> None:
    """Unless a rule for the class itself says what they disagree about."""
    rules = {"FraudModel": Rule(store="a"), "Published": Rule(store="b")}

    with pytest.raises(PipelineError, match="write a rule for Decided itself"):
        rule_for(Decided, rules)
    assert rule_for(Decided, {**rules, "Decided": Rule(store="c")}).store == "c"


def test_rules_of_unrelated_bases_that_agree_are_merged() -> None:
    """Each speaks of something else."""
    rules = {"FraudModel": Rule(store="a"), "Published": Rule(log_to_tracker=False)}

    assert rule_for(Decided, rules) == Rule(store="a", log_to_tracker=False)


def test_an_annotation_goes_before_every_rule(shop: Workshop) -> None:
    """For its output alone."""
    shop.components = flaky_components(shop.folder)
    router = Router(make_stack(shop.components, {"Model": Rule(register=True)}))

    here = router.route(Model, Route(register=False))

    assert [planned.action for planned in here.deliveries] == ["deliver", "skip", "skip"]
    assert here.deliveries[1].reason == "the rule says register: false"
    assert here.deliveries[2].reason == "no rule says deploy: true"
    assert router.route(Model).deliveries[1].action == "deliver"


def test_a_hook_that_no_role_has_is_an_error(shop: Workshop) -> None:
    """It names the type, the hook, and those that there are."""

    class Report(Artifact):
        hooks = ("publish_report",)

    with pytest.raises(ConfigurationError, match="names the hook 'publish_report'"):
        Router(make_stack({**shop.stack().components})).route(Report)


# ─── a role of a third party ────────────────────────────────────────────────────────────────────


class PublisherSpec:
    """A role of another distribution."""

    @hookspec(firstresult=True)
    def publish_report(
        self, artifact: object, stored: StoredArtifact, context: DeliveryContext
    ) -> Receipt | None:
        """Publish."""


PUBLISHER = Role(
    "publisher", PublisherSpec, (DeliveryHook("publish_report", "publisher"),), several=True
)


@define(slots=False)
class Wall(Component):
    """Keeps what was published."""

    role = "publisher"
    answers: bool = True
    published: list[Any] = field(factory=list)

    @hookimpl
    def publish_report(
        self, artifact: Any, stored: StoredArtifact, context: DeliveryContext
    ) -> Receipt | None:
        self.published.append((artifact.data, stored.uri, context.key))
        return Receipt("wall/1", {"place": 1, "at": Path("wall")}) if self.answers else None


class Report(Artifact):
    """A third party's own artifact; it forgot that everything is stored."""

    hooks = ("publish_report",)


def test_a_third_party_delivers_its_own_type_to_its_own_role(shop: Workshop) -> None:
    """Stored first, and what comes back is in the ledger; a role may have several components."""
    walls = {f"publisher.{name}": Wall() for name in ("a", "b")}
    shop.roles = (PUBLISHER,)
    shop.components = {**shop.stack().components, **walls}

    shop.route(Report({"x": 1}))

    lines = [d for d in shop.metadata.deliveries("run-1") if d.hook == "publish_report"]
    assert [(d.component, d.status.value, d.reference) for d in lines] == [
        ("publisher.a", "done", "wall/1"),
        ("publisher.b", "done", "wall/1"),
    ]
    assert lines[0].result == {"place": 1, "at": "wall"}
    uri = shop.metadata.artifacts(run_id="run-1")[0].uri
    assert walls["publisher.b"].published == [({"x": 1}, uri, lines[1].key)]


def test_a_third_party_may_have_nothing_to_say(shop: Workshop) -> None:
    """The delivery is done all the same."""
    shop.roles = (PUBLISHER,)
    shop.components = {**shop.stack().components, "publisher": Wall(answers=False)}

    shop.route(Report({"x": 1}))

    assert shop.status("publish_report") == "done"


def test_routing_imports_no_library_that_it_may_not_need() -> None:
    """Tenacity comes in with the first failure, not before."""
    code = "import sys, flowyml.routing.deliver as d; print('tenacity' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
