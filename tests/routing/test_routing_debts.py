"""What a run owes is paid by any later process, from the ledger and the stores alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from tests.routing.routing_samples import Watcher, Workshop, flaky_components
from tests.servers.flaky import Outbox

from flowyml.artifacts import Metrics, Model, Parameters
from flowyml.errors import DeliveryError
from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import StepStatus
from flowyml.routing.containers import Leaf
from flowyml.routing.deliver import Courier
from flowyml.stacks.rules import Rule
from flowyml_local.storage import LocalArtifactStore

AUTO = {"Model": Rule(deploy=True, deploy_condition="auto")}


def test_a_new_process_pays_everything_in_order(shop: Workshop) -> None:
    """It registers and deploys the model, logs the metrics, and the step is done."""
    shop.rules = AUTO
    shop.components = flaky_components(
        shop.folder, register_model="before:permanent:1", log_metrics="before:permanent:1"
    )
    model = Model(
        {"w": 1}, name="fraud", metadata={"metrics": {"auc": 0.9}, "when": (1, 2)},
        serving_config={"cpu": 2},
    )  # fmt: skip
    shop.route((model, Metrics({"auc": 0.9})), output="out")

    paid = shop.courier().pay_debts()

    assert [(d.hook, d.status.value) for d in paid] == [
        ("register_model", "done"),
        ("deploy_model", "done"),
        ("log_metrics", "done"),
    ]
    assert shop.metadata.debts("run-1") == []
    assert shop.metadata.steps("run-1")[0].status == StepStatus.DONE
    (registered,) = Outbox(shop.folder / "registry.jsonl").effects()
    assert registered["metadata"] == {"metrics": {"auc": 0.9}, "when": [1, 2]}
    (logged,) = Outbox(shop.folder / "tracker.jsonl").effects()
    assert logged["data"] == {"auc": 0.9}


def test_what_fails_again_stays_owed(shop: Workshop) -> None:
    """Attempts go on being counted, nothing is raised, the step stays stored."""
    shop.components = flaky_components(shop.folder, log_metrics="before:permanent:2")
    shop.rules = {"Metrics": Rule(on_error="fail")}
    with pytest.raises(DeliveryError):
        shop.route(Metrics({"auc": 0.9}), output="scores")

    (again,) = shop.courier().pay_debts()

    assert (again.status.value, again.attempts) == ("failed", 2)
    assert shop.metadata.steps("run-1")[0].status == StepStatus.STORED
    assert [d.status.value for d in shop.courier().pay_debts()] == ["done"]
    assert shop.courier().pay_debts() == ()


def test_a_component_that_is_down_is_not_asked_for_each_of_its_debts(shop: Workshop) -> None:
    """The first waits for it, the second asks once more, the others stay owed as they are."""
    shop.components = flaky_components(
        shop.folder, log_metrics="before:transient:100", register_model="before:permanent:1"
    )
    shop.attempts = 1
    shop.route(tuple(Metrics({"a": number}) for number in range(5)), output="scores")
    shop.route(Model({"w": 1}), step="fit")

    shop.attempts = 4
    paid = shop.courier().pay_debts()

    assert [(d.output, d.attempts, d.status.value) for d in paid] == [
        ("scores.0", 1 + 4, "failed"),
        ("scores.1", 1 + 1, "failed"),
        ("model", 1 + 1, "done"),
    ]
    assert [d.attempts for d in shop.metadata.debts("run-1")] == [5, 2, 0, 0, 0]
    assert len(shop.pauses) == 3


def test_one_value_that_always_fails_keeps_no_other_from_its_tracker(shop: Workshop) -> None:
    """A server that fails at one number, and says that this may pass, takes all others."""
    shop.components = flaky_components(shop.folder, log_metrics="before:transient:6")
    shop.attempts = 1
    shop.route(tuple(Metrics({"a": number}) for number in range(3)), output="scores")

    shop.attempts = 4
    shop.courier().pay_debts()

    assert [debt.output for debt in shop.metadata.debts("run-1")] == ["scores.0"]


def test_what_a_backend_did_before_the_kill_is_found_by_its_key(shop: Workshop) -> None:
    """The effect was there and its note was not: the second call finds it."""
    shop.rules = AUTO
    shop.components = flaky_components(
        shop.folder,
        register_model="after:permanent:1",
        deploy_model="after:permanent:1",
        log_metrics="after:permanent:1",
    )
    shop.route((Model({"w": 1}), Metrics({"a": 1})), output="out")

    shop.courier().pay_debts()
    shop.courier().pay_debts()

    assert shop.metadata.debts("run-1") == []
    for box in ("registry", "deployer", "tracker"):
        assert len(Outbox(shop.folder / f"{box}.jsonl").effects()) == 1
    kinds = [event.kind for event in shop.metadata.events("out.0")]
    assert kinds == ["registered", "deployed"]


def test_what_another_process_paid_meanwhile_is_not_delivered_again(shop: Workshop) -> None:
    """Each delivery is looked at once more before it is made."""
    shop.components = flaky_components(shop.folder, log_metrics="before:permanent:2")
    shop.route((Metrics({"a": 1}), Metrics({"b": 2})), output="out")
    other = shop.courier()
    shop.watcher = _Hasty(other)

    shop.courier().pay_debts()

    assert len(Outbox(shop.folder / "tracker.jsonl").effects()) == 2
    assert shop.metadata.debts("run-1") == []


class _Hasty(Watcher):
    """Another process, which pays everything as soon as this one has paid something."""

    def __init__(self, other: Courier) -> None:
        super().__init__()
        self.other = other

    def delivery(self, delivery: DeliveryRecord) -> None:
        self.other.pay_debts()


def test_a_model_that_waits_is_no_debt_and_is_not_paid(shop: Workshop) -> None:
    """Only a person moves it."""
    shop.rules = {"Model": Rule(deploy=True)}
    shop.components = flaky_components(shop.folder)
    shop.route(Model({"w": 1}))

    assert shop.courier().pay_debts() == ()
    assert shop.line("deploy_model").waits_for == "manual"
    assert shop.line("deploy_model").reason == (
        "waits for `flowyml model deploy model --version 1`"
    )


def test_what_was_never_stored_stays_owed_until_its_step_runs_again(shop: Workshop) -> None:
    """The value went with the process that made it."""
    shop.components = flaky_components(shop.folder, store_artifact="before:permanent:1")
    with pytest.raises(DeliveryError):
        shop.route(Metrics({"a": 1}), output="scores")

    assert shop.courier().pay_debts() == ()

    assert len(shop.metadata.debts("run-1")) == 2
    shop.route(Metrics({"a": 1}), output="scores")
    assert shop.metadata.debts("run-1") == []
    assert shop.line("store_artifact", "scores").attempts == 2


def test_what_nothing_can_store_any_more_keeps_no_other_debt_from_being_paid(
    shop: Workshop,
) -> None:
    """The store had read the batches of a generator when it failed; its step has to run again."""
    shop.components = flaky_components(
        shop.folder, store_artifact="during:permanent:1", log_metrics="before:permanent:1"
    )
    shop.rules = {"default": Rule(on_error="defer")}
    courier = shop.courier()
    batches = (batch for batch in pa.table({"a": [1, 2]}).to_batches())
    shop.route(batches, step="read", output="rows", courier=courier)
    shop.route(Metrics({"auc": 0.9}), output="scores", courier=courier)

    courier.pay_debts()

    assert shop.status("log_metrics", "scores") == "done"
    assert "run the step again" in str(shop.line("store_artifact", "rows").error)
    assert [step.status for step in shop.metadata.steps("run-1")] == [
        StepStatus.PENDING,
        StepStatus.DONE,
    ]
    assert shop.metadata.artifacts(run_id="run-1", step="read") == []


def test_what_waits_to_be_stored_is_not_closed_when_its_step_returns(shop: Workshop) -> None:
    """A step runs again, and what it yields still cannot be stored: the rest of it stays owed."""
    shop.components = flaky_components(shop.folder)
    shop.rules = {"Metrics": Rule(on_error="defer", path="blocked/{output_name}")}
    blocked = shop.folder / "store" / "blocked"
    blocked.parent.mkdir()
    blocked.touch()
    for _ in range(2):
        courier = shop.courier()
        courier.deliver_one("train", Leaf("train.yielded", Metrics({"auc": 0.9})))
        assert shop.route({"a": 1}, courier=courier).status == StepStatus.PENDING

    assert len(shop.metadata.debts("run-1")) == 2
    blocked.unlink()
    courier.pay_debts()

    assert shop.metadata.debts("run-1") == []
    assert shop.status("log_metrics", "train.yielded") == "done"
    assert shop.metadata.steps("run-1")[0].status == StepStatus.DONE


def test_a_component_that_is_gone_is_named(shop: Workshop) -> None:
    """Somebody took the tracker out of the file."""
    shop.components = flaky_components(shop.folder, log_metrics="before:permanent:1")
    shop.route(Metrics({"a": 1}), output="scores")
    del shop.components["experiment_tracker"]

    (tried,) = shop.courier().pay_debts()

    assert "the stack 'test' has no experiment_tracker any more" in str(tried.error)


def test_parameters_that_were_logged_by_call_are_paid_from_the_ledger(shop: Workshop) -> None:
    """Nothing of them is in any store."""
    shop.components = flaky_components(shop.folder, log_parameters="before:permanent:1")
    settings = Parameters({"lr": 0.1, "layers": (3, 4)})
    shop.courier().deliver_one("train", Leaf("settings", settings), ["log_parameters"])
    assert list((shop.folder / "store").glob("*")) == []

    shop.courier().pay_debts()

    (logged,) = Outbox(shop.folder / "tracker.jsonl").effects()
    assert logged["data"] == {"lr": 0.1, "layers": [3, 4]}


def test_a_debt_is_paid_with_what_was_stored_or_not_at_all(shop: Workshop, tmp_path: Path) -> None:
    """Somebody changed the stored metrics: they are not logged, and the ledger says why."""
    shop.components = flaky_components(shop.folder, log_metrics="before:permanent:1")
    store = shop.components["artifact_store"]
    assert isinstance(store, LocalArtifactStore)
    shop.route(Metrics({"a": 1}), output="scores")
    (file,) = [path for path in store.path.rglob("*.json") if path.name != "artifact.json"]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b"1", b"2"))

    (tried,) = shop.courier().pay_debts()

    assert tried.status.value == "failed"
    assert "SHA-256" in str(tried.error)
    assert Outbox(shop.folder / "tracker.jsonl").effects() == []
