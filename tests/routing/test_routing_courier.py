"""The outputs of a step reach every component of their plan, and the ledger says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.routing.routing_samples import Workshop, flaky_components
from tests.servers.flaky import Outbox

from flowyml.artifacts import Metrics, Model, Parameters
from flowyml.errors import DeliveryError
from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import DeliveryStatus, StepStatus
from flowyml.routing.containers import Leaf
from flowyml.stacks.rules import Rule

AUTO = Rule(deploy=True, deploy_condition="auto")


def test_a_plain_value_is_stored_and_its_step_is_done(shop: Workshop) -> None:
    """The artifact, its digest and the step's end are written down."""
    delivered = shop.route({"a": 1})

    (artifact,) = delivered.artifacts
    assert shop.metadata.artifact(artifact.artifact_id) == artifact
    assert shop.metadata.knows_digest(artifact.digest)
    assert shop.status("store_artifact") == "done"
    assert shop.line("store_artifact").attempts == 1
    assert delivered.status == shop.metadata.steps("run-1")[0].status == StepStatus.DONE


def test_a_model_reaches_all_four_hooks_in_order(shop: Workshop) -> None:
    """Stored, registered, deployed; the metrics beside it are stored and logged."""
    shop.components = flaky_components(shop.folder)
    shop.rules = {"Model": AUTO}

    delivered = shop.route(
        (Model({"w": 1}, name="fraud", version="7"), Metrics({"auc": 0.9})), output="out"
    )

    done = [(d.output, d.hook, d.status.value) for d in delivered.deliveries]
    assert done == [
        ("out", "store_artifact", "done"),
        ("out.0", "store_artifact", "done"),
        ("out.0", "register_model", "done"),
        ("out.0", "deploy_model", "done"),
        ("out.1", "store_artifact", "done"),
        ("out.1", "log_metrics", "done"),
    ]
    (deployed,) = Outbox(shop.folder / "deployer.jsonl").effects()
    (registered,) = Outbox(shop.folder / "registry.jsonl").effects()
    assert deployed["digest"] == registered["digest"] == delivered.artifacts[1].digest
    assert (deployed["endpoint"], deployed["version"]) == ("fraud", "7")
    assert [e.kind for e in shop.metadata.events("fraud")] == ["registered", "deployed"]


def test_every_delivery_is_written_down_before_anything_is_called(shop: Workshop) -> None:
    """When the store fails, the ledger has all of them, also those that never had their turn."""
    shop.components = flaky_components(shop.folder, store_artifact="before:permanent:1")

    with pytest.raises(DeliveryError):
        shop.route(Model({"w": 1}))

    hooks = [(d.hook, d.status.value) for d in shop.metadata.deliveries("run-1")]
    assert hooks == [
        ("store_artifact", "failed"),
        ("register_model", "pending"),
        ("deploy_model", "skipped"),
    ]


def test_a_store_that_fails_ends_the_step_with_all_names(shop: Workshop) -> None:
    """The message names step, output, hook and component, and the cause is chained."""
    shop.components = flaky_components(shop.folder, store_artifact="before:permanent:1")

    with pytest.raises(DeliveryError, match="never") as caught:
        shop.route({"a": 1})

    for name in ("'train'", "'model'", "store_artifact by artifact_store", "one attempt"):
        assert name in str(caught.value)
    assert isinstance(caught.value.__cause__, DeliveryError)
    assert not caught.value.transient


def test_a_tracker_that_fails_leaves_a_debt(shop: Workshop) -> None:
    """By default a failure after storing is deferred: the step's work is not lost."""
    shop.components = flaky_components(shop.folder, log_metrics="before:permanent:1")

    delivered = shop.route(Metrics({"auc": 0.9}), output="scores")

    assert delivered.status == StepStatus.STORED
    assert shop.status("log_metrics", "scores") == "failed"
    assert [debt.hook for debt in shop.metadata.debts("run-1")] == ["log_metrics"]


def test_a_rule_may_make_any_failure_end_the_step(shop: Workshop) -> None:
    """``on_error: fail`` raises for a tracker as well; what is stored stays stored."""
    shop.components = flaky_components(shop.folder, log_metrics="before:permanent:1")
    shop.rules = {"Metrics": Rule(on_error="fail")}

    with pytest.raises(DeliveryError, match="log_metrics by experiment_tracker"):
        shop.route(Metrics({"auc": 0.9}), output="scores")

    assert shop.status("store_artifact", "scores") == "done"
    assert shop.metadata.steps("run-1")[0].status == StepStatus.STORED


def test_a_rule_may_defer_storing(shop: Workshop) -> None:
    """The step goes on without its artifact, and the end of the run stores it."""
    shop.components = flaky_components(shop.folder, store_artifact="before:permanent:1")
    shop.rules = {"Metrics": Rule(on_error="defer")}
    courier = shop.courier()

    delivered = shop.route(Metrics({"auc": 0.9}), output="scores", courier=courier)

    assert delivered.status == StepStatus.PENDING
    assert delivered.artifacts == ()
    courier.pay_debts()
    assert shop.metadata.debts("run-1") == []
    assert shop.metadata.steps("run-1")[0].status == StepStatus.DONE
    assert [a.output for a in shop.metadata.artifacts(run_id="run-1")] == ["scores"]


def test_a_hook_waits_for_its_predecessor(shop: Workshop) -> None:
    """A model that could not be registered is not deployed; both are owed."""
    shop.components = flaky_components(shop.folder, register_model="before:permanent:1")
    shop.rules = {"Model": AUTO}

    shop.route(Model({"w": 1}))

    assert shop.status("register_model") == "failed"
    assert shop.line("deploy_model").reason == "waits for register_model, which is not done"
    assert shop.line("deploy_model").attempts == 0
    assert len(shop.metadata.debts("run-1")) == 2


def test_a_skipped_delivery_says_why(shop: Workshop) -> None:
    """Without a registry there is nothing to register with, and nothing to deploy."""
    shop.route(Model({"w": 1}))

    assert shop.line("register_model").reason == "the stack 'test' has no model_registry"
    assert shop.line("deploy_model").reason == "no rule says deploy: true"
    assert {d.status for d in shop.watcher.seen[:2]} == {DeliveryStatus.SKIPPED}
    assert shop.watcher.seen[2].hook == "store_artifact"


def test_transient_failures_are_tried_again_with_pauses(shop: Workshop) -> None:
    """Every attempt is counted, has the same key, and the pauses grow within their bounds."""
    shop.components = flaky_components(shop.folder, log_metrics="before:transient:3")

    shop.route(Metrics({"auc": 0.9}), output="scores")

    line, box = shop.line("log_metrics", "scores"), Outbox(shop.folder / "tracker.jsonl")
    assert (line.status.value, line.attempts, line.error) == ("done", 4, None)
    assert [call["attempt"] for call in box.calls()] == [1, 2, 3, 4]
    assert {call["key"] for call in box.calls()} == {line.key}
    assert len(shop.pauses) == 3
    assert all(0 <= pause <= 2**count for count, pause in enumerate(shop.pauses))


def test_attempts_end(shop: Workshop) -> None:
    """What does not pass in four attempts is owed, with what the last one said."""
    shop.components = flaky_components(shop.folder, log_metrics="before:transient:9")

    shop.route(Metrics({"auc": 0.9}), output="scores")

    line = shop.line("log_metrics", "scores")
    assert (line.status.value, line.attempts) == ("failed", 4)
    assert line.error == "log_metrics before: try again later"


def test_permanent_failures_are_not_tried_again(shop: Workshop) -> None:
    """One attempt, no pause."""
    shop.components = flaky_components(shop.folder, log_metrics="before:permanent:9")

    shop.route(Metrics({"auc": 0.9}), output="scores")

    assert shop.line("log_metrics", "scores").attempts == 1
    assert shop.pauses == []


def test_a_component_classifies_its_own_errors(shop: Workshop) -> None:
    """The tracker calls its vendor's error transient, the registry has nothing to say."""
    shop.components = flaky_components(
        shop.folder, log_metrics="before:broken:1", register_model="before:broken:1"
    )

    shop.route((Model({"w": 1}), Metrics({"a": 1})), output="out")

    assert shop.line("log_metrics", "out.1").attempts == 2
    assert shop.line("register_model", "out.0").attempts == 1
    assert shop.line("register_model", "out.0").error == "BrokenError: register_model before"


def test_a_step_that_runs_again_delivers_nothing_twice(shop: Workshop) -> None:
    """The lines stay, the artifact keeps its id, and done deliveries are left alone."""
    shop.components = flaky_components(shop.folder)
    first = shop.route(Metrics({"auc": 0.9}), output="scores")

    again = shop.route(Metrics({"auc": 0.9}), output="scores")

    assert again.artifacts[0].artifact_id == first.artifacts[0].artifact_id
    assert len(Outbox(shop.folder / "tracker.jsonl").calls()) == 1
    assert len(shop.metadata.deliveries("run-1")) == 2


def test_what_somebody_was_told_of_is_not_replaced(shop: Workshop) -> None:
    """A model that is registered is not overwritten by another one of the step's next attempt."""
    shop.components = flaky_components(shop.folder)
    shop.route(Model({"w": 1}, name="fraud"))

    with pytest.raises(DeliveryError, match="store_artifact"):
        shop.route(Model({"w": 2}, name="fraud"))


def test_what_nobody_was_told_of_is_replaced(shop: Workshop) -> None:
    """A step that failed after storing stores what its next attempt returns."""
    first = shop.route({"a": 1})

    again = shop.route({"a": 2})

    assert again.artifacts[0].digest != first.artifacts[0].digest
    assert again.artifacts[0].uri == first.artifacts[0].uri


def test_elements_that_are_not_returned_again_are_no_debt(shop: Workshop) -> None:
    """The first attempt returned two models and was killed before storing them."""
    shop.components = flaky_components(shop.folder, store_artifact="before:permanent:1")
    with pytest.raises(DeliveryError):
        shop.route([Model({"w": 1}), Model({"w": 2})], output="models")

    shop.route([Model({"w": 1})], output="models")

    assert shop.metadata.debts("run-1") == []
    assert shop.line("store_artifact", "models.1").reason == (
        "the step ran again without returning it"
    )


def test_a_call_inside_a_step_reaches_its_hook_alone(shop: Workshop) -> None:
    """``flowyml.log_metrics`` stores nothing; what it needs is kept in the ledger."""
    shop.components = flaky_components(shop.folder, log_metrics="before:permanent:1")
    shop.metadata.add_steps("run-1", ["train"])
    metrics = Metrics({"loss": float("inf")}, step=3, metadata={"split": ("a", 1)})

    delivered = _call(shop, metrics, ["log_metrics"])

    assert [d.hook for d in delivered] == ["log_metrics"]
    assert shop.metadata.artifacts(run_id="run-1") == []
    shop.courier().pay_debts()
    (logged,) = Outbox(shop.folder / "tracker.jsonl").effects()
    assert (logged["data"], logged["step"]) == ({"loss": float("inf")}, 3)


def test_a_call_brings_along_what_its_hook_needs(shop: Workshop) -> None:
    """``flowyml.register_model`` stores the model first."""
    shop.components = flaky_components(shop.folder)

    delivered = _call(shop, Model({"w": 1}), ["register_model"])

    assert [(d.hook, d.status.value) for d in delivered] == [
        ("store_artifact", "done"),
        ("register_model", "done"),
    ]


@pytest.mark.parametrize(
    ("rule", "status", "waits_for"),
    [
        (Rule(), "done", None),
        (Rule(deploy=False), "skipped", None),
        (Rule(deploy=True), "pending", "manual"),
        (Rule(deploy_condition="on_approval"), "pending", "approval"),
    ],
)
def test_a_deployment_by_call_needs_no_permit_and_passes_no_gate(
    shop: Workshop, rule: Rule, status: str, waits_for: str | None
) -> None:
    """A rule that says something holds for a call as well."""
    shop.components = flaky_components(shop.folder)
    shop.rules = {"Model": rule}

    _call(shop, Model({"w": 1}), ["deploy_model"])

    line = shop.line("deploy_model", "call")
    assert (line.status.value, line.waits_for) == (status, waits_for)


def test_what_was_delivered_by_call_is_not_delivered_by_the_next_attempt(shop: Workshop) -> None:
    """A step that is tried again yields the same names again."""
    shop.components = flaky_components(shop.folder)
    _call(shop, Metrics({"a": 1}), None)

    _call(shop, Metrics({"a": 1}), None)

    assert len(Outbox(shop.folder / "tracker.jsonl").calls()) == 1
    assert len(Outbox(shop.folder / "store.jsonl").calls()) == 1


def test_parameters_are_logged(shop: Workshop, tmp_path: Path) -> None:
    """They have a hook of their own."""
    shop.components = flaky_components(shop.folder)

    shop.route(Parameters({"lr": 0.1, "layers": [1, 2]}), output="settings")

    (logged,) = Outbox(tmp_path / "tracker.jsonl").effects()
    assert (logged["hook"], logged["data"]) == ("log_parameters", {"lr": 0.1, "layers": [1, 2]})


def _call(shop: Workshop, value: object, hooks: list[str] | None) -> tuple[DeliveryRecord, ...]:
    return shop.courier().deliver_one("train", Leaf("call", value), hooks).deliveries
