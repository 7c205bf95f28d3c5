"""The gate fails closed: only a plain finite number at or above its threshold meets it."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.routing.routing_samples import RUN, Workshop, flaky_components
from tests.servers.flaky import Outbox

from flowyml.artifacts import Metrics, Model
from flowyml.records import StepStatus
from flowyml.routing.containers import Leaf
from flowyml.routing.gates import decide, worst
from flowyml.stacks.rules import Rule

NAN, INF = math.nan, math.inf

TABLE: list[tuple[Any, bool, str]] = [
    ({"auc": 0.9}, True, ""),
    ({"auc": 0.95}, True, ""),
    ({"auc": 1}, True, ""),
    ({"auc": np.float32(0.95)}, True, ""),
    ({"auc": 0.8999999}, False, "auc is 0.8999999, below 0.9"),
    ({"auc": np.float32(0.9)}, False, "auc is 0.8999999761581421, below 0.9"),
    ({"auc": 0.5}, False, "auc is 0.5, below 0.9"),
    ({"auc": -INF}, False, "auc is -inf, which is no finite number"),
    ({"auc": INF}, False, "auc is inf, which is no finite number"),
    ({"auc": NAN}, False, "auc is nan, which is no finite number"),
    ({"auc": "0.95"}, False, "auc is '0.95', which is no finite number"),
    ({"auc": True}, False, "auc is True, which is no finite number"),
    ({"auc": np.bool_(True)}, False, "which is no finite number"),
    ({"auc": None}, False, "auc is None, which is no finite number"),
    ({"auc": Decimal("0.95")}, False, "which is no finite number"),
    ({"auc": 1 + 0j}, False, "which is no finite number"),
    ({"auc": 10**400}, False, "which is no finite number"),
    ({"auc": {"value": 0.95}}, False, "which is no finite number"),
    ({"auc": [0.95]}, False, "which is no finite number"),
    ({"test": {"auc": 0.95}}, False, "auc is missing"),
    ({"AUC": 0.95}, False, "auc is missing"),
    ({}, False, "auc is missing"),
    (None, False, "auc is missing"),
    (0.95, False, "auc is missing"),
    ([("auc", 0.95)], False, "auc is missing"),
    ("auc", False, "auc is missing"),
]


@pytest.mark.parametrize(("metrics", "met", "reason"), TABLE)
def test_a_threshold_is_met_by_a_finite_number_at_or_above_it(
    metrics: object, met: bool, reason: str
) -> None:
    """Everything else keeps the gate shut, and says why."""
    decision = decide({"auc": 0.9}, metrics)

    assert decision.met is met
    assert reason in "; ".join(decision.reasons)


@pytest.mark.parametrize("threshold", [NAN, INF, "0.9", None, True])
def test_a_threshold_that_is_no_number_is_never_met(threshold: Any) -> None:
    """A gate that cannot be read stays shut."""
    assert not decide({"auc": threshold}, {"auc": 1.0}).met


def test_every_threshold_has_to_be_met() -> None:
    """Each that is not is named; no thresholds at all are met."""
    decision = decide({"auc": 0.9, "f1": 0.8, "recall": 0.7}, {"auc": 0.95, "f1": 0.1})

    assert not decision.met
    assert str(decision) == "f1 is 0.1, below 0.8; recall is missing (it has to be at least 0.7)"
    assert decide({}, None).met


def test_of_several_values_the_worst_counts() -> None:
    """The least, or one that is no number at all."""
    assert worst([0.9, 0.7, 0.8]) == 0.7
    assert worst([0.9, "0.7"]) == "0.7"
    assert math.isnan(worst([0.9, NAN]))  # type: ignore[arg-type]


# ─── in a run ───────────────────────────────────────────────────────────────────────────────────


def _auto(**thresholds: float) -> dict[str, Rule]:
    rule = Rule(deploy=True, deploy_condition="auto", deploy_min_metrics=thresholds)
    return {"Model": rule}


def _deployed(shop: Workshop) -> list[dict[str, Any]]:
    return Outbox(shop.folder / "deployer.jsonl").effects()


@pytest.fixture
def shop(shop: Workshop) -> Workshop:
    """Give a workshop with all four roles and a gate."""
    shop.components = flaky_components(shop.folder)
    shop.rules = _auto(auc=0.9)
    return shop


def test_a_models_own_metrics_open_the_gate_at_once(shop: Workshop) -> None:
    """It is deployed when its step ends."""
    shop.route(Model({"w": 1}, metadata={"metrics": {"auc": 0.93}}))

    assert shop.status("deploy_model") == "done"
    assert len(_deployed(shop)) == 1


@pytest.mark.parametrize("auc", [0.5, NAN, "0.99", True])
def test_a_models_own_metrics_shut_the_gate_for_good(shop: Workshop, auc: object) -> None:
    """No later step can make up for a bad figure, and the ledger says what it was."""
    shop.route(Model({"w": 1}, metadata={"metrics": {"auc": auc}}))

    line = shop.line("deploy_model")
    assert line.status.value == "skipped"
    assert str(line.reason).startswith("the gate is not met: auc is ")
    assert _deployed(shop) == []


@pytest.mark.parametrize(
    "facts",
    [{}, {"metrics": {}}, {"metrics": 0.95}, {"metrics": {"t": {"auc": 1}}}, {"auc": 1.0}],
)
def test_a_metric_that_nobody_computes_is_not_met(shop: Workshop, facts: dict[str, Any]) -> None:
    """It is waited for until the end of the run, which skips the deployment."""
    shop.route(Model({"w": 1}, metadata=facts))
    assert shop.line("deploy_model").waits_for == "metrics"
    assert shop.metadata.debts("run-1") == []

    (settled,) = shop.courier().settle_gates()

    assert settled == shop.line("deploy_model")
    assert settled.status.value == "skipped"
    assert "auc is missing" in str(settled.reason)


def test_metrics_of_a_later_step_open_the_gate(shop: Workshop) -> None:
    """They are found by lineage, at the end of the run, by another process."""
    model = shop.route(Model({"w": 1}))
    ids = [artifact.artifact_id for artifact in model.artifacts]
    shop.route(Metrics({"auc": 0.95}), step="evaluate", output="scores", parents=ids)
    assert _deployed(shop) == []

    (settled,) = shop.courier().settle_gates()

    assert settled.status.value == "done"
    assert len(_deployed(shop)) == 1
    assert shop.courier().settle_gates() == ()


def test_metrics_of_a_step_far_below_count(shop: Workshop) -> None:
    """Computed from the predictions of the model."""
    model = shop.route(Model({"w": 1}))
    ids = [artifact.artifact_id for artifact in model.artifacts]
    guesses = shop.route([1, 2], step="predict", output="guesses", parents=ids)
    ids = [artifact.artifact_id for artifact in guesses.artifacts]
    shop.route(Metrics({"auc": 0.95}), step="evaluate", output="scores", parents=ids)

    (settled,) = shop.courier().settle_gates()

    assert settled.status.value == "done"


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        (Metrics({"auc": 0.5}), "auc is 0.5, below 0.9"),
        (Metrics({"f1": 0.99}), "auc is missing"),
        (Metrics({"auc": 0.99}, step=3), "auc is missing"),
        (Metrics({"auc": NAN}), "auc is nan"),
    ],
)
def test_metrics_of_a_later_step_that_do_not_reach_keep_it_shut(
    shop: Workshop, metrics: Metrics, reason: str
) -> None:
    """A figure of the middle of a training loop is not the final one."""
    model = shop.route(Model({"w": 1}))
    ids = [artifact.artifact_id for artifact in model.artifacts]
    shop.route(metrics, step="evaluate", output="scores", parents=ids)

    (settled,) = shop.courier().settle_gates()

    assert (settled.status.value, reason in str(settled.reason)) == ("skipped", True)


def test_metrics_that_have_nothing_to_do_with_a_model_do_not_count(shop: Workshop) -> None:
    """Being in the same run is not enough."""
    shop.route(Model({"w": 1}))
    shop.route(Metrics({"auc": 0.99}), step="evaluate", output="scores")

    (settled,) = shop.courier().settle_gates()

    assert settled.status.value == "skipped"


def test_metrics_of_a_model_that_was_made_from_another_say_nothing_about_it(
    shop: Workshop,
) -> None:
    """What a fine-tuned model reaches does not deploy the one that it began with."""
    first = shop.route(Model({"w": 1}, name="base"), output="base")
    ids = [artifact.artifact_id for artifact in first.artifacts]
    second = shop.route(Model({"w": 2}, name="tuned"), step="tune", output="tuned", parents=ids)
    ids = [artifact.artifact_id for artifact in second.artifacts]
    shop.route(Metrics({"auc": 0.99}), step="evaluate", output="scores", parents=ids)

    shop.courier().settle_gates()

    assert shop.status("deploy_model", "base") == "skipped"
    assert shop.status("deploy_model", "tuned") == "done"
    assert [line["model"] for line in _deployed(shop)] == ["tuned"]


def test_metrics_of_two_models_deploy_neither(shop: Workshop) -> None:
    """Nobody can tell which of them they speak of, and the reason says so."""
    parents = [
        shop.route(Model({"w": 1}, name=name), step=name, output=name).artifacts[0].artifact_id
        for name in ("old", "new")
    ]
    shop.route(Metrics({"auc": 0.99}), step="compare", output="scores", parents=parents)

    shop.courier().settle_gates()

    assert _deployed(shop) == []
    assert "compare.scores was computed from 2 models" in str(
        shop.line("deploy_model", "new").reason
    )


def test_own_metrics_go_before_those_of_later_steps(shop: Workshop) -> None:
    """A later step computes only what the model does not carry itself."""
    shop.rules = _auto(auc=0.9, f1=0.5)
    model = shop.route(Model({"w": 1}, metadata={"metrics": {"auc": 0.95}}))
    ids = [artifact.artifact_id for artifact in model.artifacts]
    scores = Metrics({"auc": 0.1, "f1": 0.6})
    shop.route(scores, step="evaluate", output="scores", parents=ids)

    (settled,) = shop.courier().settle_gates()

    assert settled.status.value == "done"


def test_nothing_is_decided_while_a_step_is_to_come(shop: Workshop) -> None:
    """The step that computes the metrics failed; a resumed run decides."""
    shop.route(Model({"w": 1}))
    shop.metadata.add_steps(RUN.run_id, ["evaluate"])
    shop.metadata.set_step_status(RUN.run_id, "evaluate", StepStatus.FAILED, error="no data")

    assert shop.courier().settle_gates() == ()
    assert shop.line("deploy_model").waits_for == "metrics"


def test_a_deployment_that_fails_when_its_gate_opens_is_owed(shop: Workshop) -> None:
    """The decision is kept; only the deployment is tried again."""
    shop.components = flaky_components(shop.folder, deploy_model="before:permanent:1")
    model = shop.route(Model({"w": 1}))
    ids = [artifact.artifact_id for artifact in model.artifacts]
    shop.route(Metrics({"auc": 0.95}), step="evaluate", output="scores", parents=ids)

    shop.courier().settle_gates()
    assert [debt.hook for debt in shop.metadata.debts("run-1")] == ["deploy_model"]

    (paid,) = shop.courier().pay_debts()
    assert paid.status.value == "done"


def test_a_model_that_reaches_its_gate_as_a_debt_is_decided_as_well(shop: Workshop) -> None:
    """Its registration was owed until the end of the run, when all other gates were decided."""
    shop.components = flaky_components(shop.folder, register_model="before:permanent:1")
    model = shop.route(Model({"w": 1}))
    ids = [artifact.artifact_id for artifact in model.artifacts]
    shop.route(Metrics({"auc": 0.95}), step="evaluate", output="scores", parents=ids)
    courier = shop.courier()
    assert courier.settle_gates() == ()

    paid = courier.pay_debts()

    assert [(d.hook, d.status.value) for d in paid] == [
        ("register_model", "done"),
        ("deploy_model", "done"),
    ]


def test_a_gate_is_decided_when_the_last_step_is_stored_at_the_end_of_the_run(
    shop: Workshop,
) -> None:
    """What that step yielded could not be stored until then; a done run is not gone on with."""
    shop.rules["dict"] = Rule(on_error="defer", path="blocked/{output_name}")
    model = shop.route(Model({"w": 1}))
    ids = [artifact.artifact_id for artifact in model.artifacts]
    blocked = shop.folder / "store" / "blocked"
    blocked.touch()
    courier = shop.courier()
    courier.deliver_one("evaluate", Leaf("evaluate.yielded", {"a": 1}))
    scores = Metrics({"auc": 0.95})
    shop.route(scores, step="evaluate", output="scores", parents=ids, courier=courier)
    assert courier.settle_gates() == ()
    blocked.unlink()

    (paid,) = courier.pay_debts()

    assert (paid.hook, paid.status.value) == ("deploy_model", "done")
    assert shop.metadata.debts("run-1") == []


def test_metrics_that_were_changed_in_the_store_keep_the_gate_shut(shop: Workshop) -> None:
    """The run ends all the same, and the reason says what is wrong with them."""
    model = shop.route(Model({"w": 1}))
    ids = [artifact.artifact_id for artifact in model.artifacts]
    shop.route(Metrics({"auc": 0.95}), step="evaluate", output="scores", parents=ids)
    folder = shop.folder / "store" / "run-1" / "scores"
    (file,) = [path for path in folder.iterdir() if path.name != "artifact.json"]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b"5", b"9"))

    (settled,) = shop.courier().settle_gates()

    assert settled.status.value == "skipped"
    assert "evaluate.scores cannot be read" in str(settled.reason)
