"""A decision is bound to a digest, is made once, and every act is in the history."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import define, field
from tests.routing.routing_samples import STARTED, Workshop, a_run, flaky_components
from tests.servers.flaky import FlakyDeployer, FlakyStore, Outbox

from flowyml.artifacts import Model
from flowyml.errors import DeliveryError, IntegrityError, NotFoundError
from flowyml.plugins import hookimpl
from flowyml.records import DeliveryContext, Deployment, ModelVersion, RunInfo, RunStatus
from flowyml.routing.containers import Leaf
from flowyml.routing.lifecycle import ModelLifecycle
from flowyml.stacks.rules import Rule

ON_APPROVAL = {"Model": Rule(deploy=True, deploy_condition="on_approval", endpoint_name="live")}
MANUAL = {"Model": Rule(deploy=True)}


@pytest.fixture
def shop(shop: Workshop) -> Workshop:
    """Give a workshop with all four roles, where models wait for approval."""
    shop.components = flaky_components(shop.folder)
    shop.rules = ON_APPROVAL
    return shop


def _lifecycle(shop: Workshop, actor: str = "bob") -> ModelLifecycle:
    return ModelLifecycle(shop.stack(), shop.metadata, actor, shop.retries)


def _train(shop: Workshop, version: str | None = "1", weight: int = 1) -> None:
    output = f"model{version}{weight}"
    shop.route(Model({"w": weight}, name="fraud", version=version), output=output, step=output)


def _kinds(shop: Workshop) -> list[str]:
    return [event.kind for event in shop.metadata.events("fraud")]


def _served(shop: Workshop) -> list[tuple[str, str]]:
    effects = Outbox(shop.folder / "deployer.jsonl").effects()
    return [(line["endpoint"], line["version"]) for line in effects]


def test_a_request_waits_with_its_digest(shop: Workshop) -> None:
    """It is no debt, the registry knows of it, and the reason says what to do."""
    _train(shop)

    line = shop.line("deploy_model", "model11")
    artifact = shop.metadata.artifacts(run_id="run-1")[0]
    assert (line.status.value, line.waits_for) == ("pending", "approval")
    assert (line.payload or {})["digest"] == artifact.digest
    assert line.reason == "waits for `flowyml model approve fraud --version 1`"
    assert shop.metadata.debts() == []
    assert _kinds(shop) == ["registered", "requested"]
    model = _lifecycle(shop).stack.hooks.get_model("model_registry", "fraud", "1")
    assert model
    assert model.approval == "pending"


def test_approval_deploys_and_says_who_when_and_why(shop: Workshop) -> None:
    """The delivery of the run is done, the registry is in step, the history has it all."""
    _train(shop)

    deployment = _lifecycle(shop).approve("fraud", "1", "good enough")

    assert deployment
    assert (deployment.endpoint, deployment.version) == ("live", "1")
    assert shop.status("deploy_model", "model11") == "done"
    events, first_bad = _lifecycle(shop).history("fraud")
    assert first_bad is None
    assert [event.kind for event in events] == ["registered", "requested", "approved", "deployed"]
    approved = events[2]
    artifact = shop.metadata.artifacts(run_id="run-1")[0]
    assert (approved.actor, approved.comment, approved.digest) == (
        "bob",
        "good enough",
        artifact.digest,
    )
    model = _lifecycle(shop).stack.hooks.get_model("model_registry", "fraud", "1")
    assert model
    assert model.approval == "approved"


def test_rejection_ends_the_delivery(shop: Workshop) -> None:
    """Nothing is deployed, now or later."""
    _train(shop)

    _lifecycle(shop).reject("fraud", "1", "biased")

    line = shop.line("deploy_model", "model11")
    assert (line.status.value, line.reason) == ("skipped", "rejected by bob: biased")
    assert _served(shop) == []
    with pytest.raises(DeliveryError, match="was rejected by bob: biased"):
        _lifecycle(shop).deploy("fraud", "1")


@pytest.mark.parametrize("first", ["approve", "reject"])
@pytest.mark.parametrize("second", ["approve", "reject"])
def test_a_second_decision_is_refused(shop: Workshop, first: str, second: str) -> None:
    """Whoever decided first is named."""
    _train(shop)
    getattr(_lifecycle(shop, "ada"), first)("fraud", "1")

    with pytest.raises(DeliveryError, match=r"by ada on .* already"):
        getattr(_lifecycle(shop), second)("fraud", "1")


def test_of_many_that_decide_at_once_one_does(shop: Workshop) -> None:
    """The others are told, and there is one decision in the history."""
    _train(shop)
    ready = threading.Barrier(4)

    def decide(verdict: str) -> str:
        ready.wait()
        try:
            getattr(_lifecycle(shop, verdict), verdict)("fraud", "1")
        except DeliveryError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        said = list(pool.map(decide, ["approve", "reject", "approve", "reject"]))

    assert said.count("") == 1
    assert sum(kind in {"approved", "rejected"} for kind in _kinds(shop)) == 1


def test_a_model_that_was_changed_in_the_store_is_not_approved(shop: Workshop) -> None:
    """Its digest is not the one that approval was asked for."""
    _train(shop)
    _overwrite(shop)

    with pytest.raises(IntegrityError, match="was registered as"):
        _lifecycle(shop).approve("fraud", "1")

    assert _served(shop) == []
    assert "approved" not in _kinds(shop)


@pytest.mark.parametrize("verdict", ["approve", "reject"])
@pytest.mark.parametrize("damage", ["alter", "remove"])
def test_a_model_whose_bytes_were_altered_is_not_decided_about(
    shop: Workshop, verdict: str, damage: str
) -> None:
    """Its manifest is what it was, and nothing is recorded; once it is restored, all goes on."""
    _train(shop)
    uri = shop.metadata.artifacts(run_id="run-1")[0].uri
    folder = Path(uri.removeprefix("file://"))
    (file,) = [path for path in folder.iterdir() if path.name != "artifact.json"]
    content = file.read_bytes()
    file.unlink()
    if damage == "alter":
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])

    with pytest.raises(IntegrityError, match="fraud@1 is not what was registered, nothing was dec"):
        getattr(_lifecycle(shop), verdict)("fraud", "1")

    model = _lifecycle(shop).stack.hooks.get_model("model_registry", "fraud", "1")
    assert model
    assert model.approval == "pending"
    assert _kinds(shop) == ["registered", "requested"]
    assert shop.metadata.debts("run-1") == []
    file.write_bytes(content)
    getattr(_lifecycle(shop), verdict)("fraud", "1")


def _move_store(shop: Workshop) -> None:
    """Let the stack have another store, in which lies what was in the first one."""
    moved = shop.folder / "moved"
    (shop.folder / "store").rename(moved)
    shop.components["artifact_store"] = FlakyStore(moved, outbox=shop.folder / "store.jsonl")


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_model_whose_bytes_were_altered_after_a_move_is_not_decided_about(
    shop: Workshop, verdict: str
) -> None:
    """The folder of its store has another name by now, and its manifest is what it was."""
    _train(shop)
    _move_store(shop)
    (manifest,) = (shop.folder / "moved").rglob("artifact.json")
    (file,) = [path for path in manifest.parent.iterdir() if path != manifest]
    content = file.read_bytes()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])

    with pytest.raises(IntegrityError, match="fraud@1 is not what was registered, nothing was dec"):
        getattr(_lifecycle(shop), verdict)("fraud", "1")

    assert _kinds(shop) == ["registered", "requested"]
    file.write_bytes(content)
    _lifecycle(shop).reject("fraud", "1")
    assert _kinds(shop)[-1] == "rejected"


@define(slots=False)
class _Addresses(FlakyDeployer):
    """Keeps where the models lie that it is to serve."""

    told: list[str] = field(factory=list, init=False)

    @hookimpl
    def deploy_model(
        self, model: ModelVersion, endpoint: str, context: DeliveryContext
    ) -> Deployment:
        self.told.append(model.uri)
        return super().deploy_model(model, endpoint, context)


@pytest.mark.parametrize("how", ["approve", "deploy"])
def test_a_model_that_was_moved_is_served_from_where_it_lies(shop: Workshop, how: str) -> None:
    """The registry has the address of then, whether a person or a run that waited deploys."""
    if how == "deploy":
        shop.rules = MANUAL
    _train(shop)
    _move_store(shop)
    deployer = _Addresses(outbox=shop.folder / "deployer.jsonl")
    shop.components["model_deployer"] = deployer

    getattr(_lifecycle(shop), how)("fraud", "1")

    (told,) = deployer.told
    assert told.startswith((shop.folder / "moved").as_uri())


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_model_that_no_store_of_the_stack_has_is_not_decided_about(
    shop: Workshop, verdict: str
) -> None:
    """Nobody can read it there, and the message says where it was stored."""
    _train(shop)
    shop.components["artifact_store"] = FlakyStore(
        shop.folder / "empty", outbox=shop.folder / "store.jsonl"
    )

    with pytest.raises(NotFoundError, match=r"has fraud@1, which was stored at file://.*; nothing"):
        getattr(_lifecycle(shop), verdict)("fraud", "1")

    assert _kinds(shop) == ["registered", "requested"]
    assert shop.metadata.debts("run-1") == []


def test_a_model_that_was_changed_in_the_registry_is_not_approved(shop: Workshop) -> None:
    """Both digests are in the message."""
    _train(shop)
    box = Outbox(shop.folder / "registry.jsonl")
    box.add({**box.effects()[0], "digest": "sha256:other", "key": "another"})

    with pytest.raises(IntegrityError, match="sha256:other"):
        _lifecycle(shop).approve("fraud", "1")


def test_nobody_asked(shop: Workshop) -> None:
    """A model that is deployed by hand needs no approval, and the message says so."""
    shop.rules = MANUAL
    _train(shop)

    with pytest.raises(NotFoundError, match="flowyml model deploy"):
        _lifecycle(shop).approve("fraud", "1")
    with pytest.raises(NotFoundError, match="no model 'fraud@9'"):
        _lifecycle(shop).approve("fraud", "9")


def test_what_waits_for_approval_is_not_deployed_by_hand(shop: Workshop) -> None:
    """The gate is not walked around."""
    _train(shop)

    with pytest.raises(DeliveryError, match="waits for approval"):
        _lifecycle(shop).deploy("fraud", "1")


def test_an_approved_model_that_could_not_be_deployed_is_owed(shop: Workshop) -> None:
    """The decision holds; resuming the run deploys."""
    shop.components = flaky_components(shop.folder, deploy_model="before:permanent:1")
    _train(shop)
    shop.metadata.set_run_status("run-1", RunStatus.DONE)

    with pytest.raises(DeliveryError, match="flowyml resume run-1"):
        _lifecycle(shop).approve("fraud", "1")

    assert [debt.hook for debt in shop.metadata.debts("run-1")] == ["deploy_model"]
    assert shop.metadata.run("run-1").status == RunStatus.INCOMPLETE
    shop.courier().pay_debts()
    assert _served(shop) == [("live", "1")]
    assert _kinds(shop)[-1] == "deployed"


def test_a_run_that_another_process_works_on_is_left_to_it(shop: Workshop) -> None:
    """The decision holds, and the other process deploys."""
    _train(shop)
    shop.metadata.acquire_lease("run-1", "another process", 60)

    with pytest.raises(DeliveryError, match="another process works on the run run-1"):
        _lifecycle(shop).approve("fraud", "1")

    shop.courier().pay_debts()
    assert _served(shop) == [("live", "1")]


def test_a_request_that_did_not_reach_the_registry_is_owed(shop: Workshop) -> None:
    """A registry that is down when approval is asked for hears of it later, and once."""
    shop.components = flaky_components(shop.folder, set_approval="before:permanent:1")
    _train(shop)
    assert len(shop.metadata.debts("run-1")) == 1

    shop.courier().pay_debts()

    assert shop.line("deploy_model", "model11").waits_for == "approval"
    assert _kinds(shop) == ["registered", "requested"]


def test_a_manual_deployment_is_the_one_that_the_run_waits_for(shop: Workshop) -> None:
    """It has the run's key, and its delivery is done."""
    shop.rules = MANUAL
    _train(shop)
    waiting = shop.line("deploy_model", "model11")

    deployment = _lifecycle(shop).deploy("fraud", "1", "canary")

    assert (deployment.key, deployment.endpoint) == (waiting.key, "canary")
    assert shop.status("deploy_model", "model11") == "done"
    assert _kinds(shop) == ["registered", "deployed"]
    assert shop.metadata.events("fraud")[-1].actor == "bob"


def test_a_version_is_deployed_again_by_hand(shop: Workshop) -> None:
    """To another endpoint, with a key of its own."""
    shop.rules = MANUAL
    _train(shop)
    first = _lifecycle(shop).deploy("fraud")

    second = _lifecycle(shop).deploy("fraud", endpoint="other")

    assert first.key != second.key
    assert _served(shop) == [("fraud", "1"), ("other", "1")]


def test_a_deployment_by_hand_is_tried_again(shop: Workshop) -> None:
    """Like any other."""
    shop.rules = MANUAL
    shop.components = flaky_components(shop.folder, deploy_model="before:transient:2")
    _train(shop)
    _lifecycle(shop).deploy("fraud", "1")

    _lifecycle(shop).deploy("fraud", "1", "other")

    assert _served(shop) == [("fraud", "1"), ("other", "1")]
    assert len(shop.pauses) == 2


def test_a_slow_deployment_keeps_nobody_from_deciding_about_another_version(
    shop: Workshop,
) -> None:
    """Version 1 is on its way to its endpoint, and version 2 is rejected meanwhile."""
    _train(shop, "1")
    later = RunInfo("run-2", "fraud", "test", STARTED)
    a_run(shop.metadata, later)
    shop.metadata.add_steps("run-2", ["train"])
    model = Model({"w": 2}, name="fraud", version="2")
    shop.courier(later).deliver_one("train", Leaf("other", model))
    shop.components["model_deployer"] = _Meanwhile(
        shop.folder / "deployer.jsonl", act=lambda: _lifecycle(shop).reject("fraud", "2")
    )

    _lifecycle(shop).approve("fraud", "1")

    assert _kinds(shop)[-3:] == ["approved", "rejected", "deployed"]


@define(slots=False)
class _Meanwhile(FlakyDeployer):
    """A deployer so slow that somebody does something else meanwhile."""

    act: Callable[[], None] = print

    @hookimpl
    def deploy_model(
        self, model: ModelVersion, endpoint: str, context: DeliveryContext
    ) -> Deployment:
        self.act()
        return super().deploy_model(model, endpoint, context)


def test_an_endpoint_is_moved_by_one_process_at_a_time(shop: Workshop) -> None:
    """The other is told which one is in the way."""
    shop.rules = MANUAL
    _train(shop)
    _lifecycle(shop).deploy("fraud", "1")
    shop.metadata.acquire_lease("endpoint:fraud", "another process", 60)

    for act in (
        lambda: _lifecycle(shop).deploy("fraud", "1"),
        lambda: _lifecycle(shop).undeploy("fraud"),
    ):
        with pytest.raises(DeliveryError, match="another process works on the endpoint 'fraud'"):
            act()

    _lifecycle(shop).deploy("fraud", "1", "other")
    assert _served(shop) == [("fraud", "1"), ("other", "1")]


def test_a_library_that_fails_is_told_in_words(shop: Workshop) -> None:
    """Whatever a backend raises when somebody acts by hand, the component is named."""
    shop.rules = MANUAL
    shop.components = flaky_components(
        shop.folder, deploy_model="before:broken:1", set_approval="before:broken:1"
    )
    _train(shop, "1")
    shop.metadata.set_run_status("run-1", RunStatus.DONE)
    with pytest.raises(DeliveryError, match="could not deploy: BrokenError: deploy_model before"):
        _lifecycle(shop).deploy("fraud", "1")
    _lifecycle(shop).deploy("fraud", "1")
    shop.components = flaky_components(shop.folder, deploy_model="during:broken:1")

    with pytest.raises(
        DeliveryError, match=r"model_deployer could not deploy fraud@1 at 'other': BrokenError: "
    ) as raised:
        _lifecycle(shop).deploy("fraud", "1", "other")

    assert raised.value.__cause__
    assert shop.metadata.run("run-1").status == RunStatus.DONE


def test_what_a_backend_says_by_hand_shows_no_secret(shop: Workshop) -> None:
    """Neither in the message nor in what it is chained to."""
    shop.rules = MANUAL
    _train(shop)
    _lifecycle(shop).deploy("fraud", "1")
    shop.components["model_deployer"] = _Telling(shop.folder / "deployer.jsonl")

    with pytest.raises(
        DeliveryError, match=r"could not end the endpoint 'fraud': .*\*\*\*"
    ) as raised:
        _lifecycle(shop).undeploy("fraud")

    assert "hunter22" not in "".join(traceback.format_exception(raised.value))


@define(slots=False)
class _Telling(FlakyDeployer):
    """A deployer that quotes its password."""

    password: str = field(default="hunter22", repr=False)

    @hookimpl
    def undeploy_model(self, endpoint: str) -> bool:
        message = f"{endpoint}: 401 for {self.password}"
        raise DeliveryError(message)


def test_a_changed_model_is_not_deployed(shop: Workshop) -> None:
    """The digest is compared with what lies in the store."""
    shop.rules = MANUAL
    _train(shop)
    _overwrite(shop)

    with pytest.raises((IntegrityError, DeliveryError), match="was registered as"):
        _lifecycle(shop).deploy("fraud", "1")
    assert _served(shop) == []


def test_rollback_goes_back_step_by_step(shop: Workshop) -> None:
    """Three versions served; each rollback brings the one before, and the first has none."""
    shop.rules = MANUAL
    for version in "123":
        _train(shop, version, int(version))
        _lifecycle(shop).deploy("fraud", version)

    assert _lifecycle(shop).rollback("fraud").version == "2"
    assert _lifecycle(shop).rollback("fraud").version == "1"
    with pytest.raises(NotFoundError, match="no other version of 'fraud' served at 'fraud' before"):
        _lifecycle(shop).rollback("fraud")

    assert _served(shop)[-2:] == [("fraud", "2"), ("fraud", "1")]
    assert _kinds(shop)[-2:] == ["rolled_back", "rolled_back"]


def test_rollback_after_a_new_deployment_brings_what_served_last(shop: Workshop) -> None:
    """What was rolled back once does not come back."""
    shop.rules = MANUAL
    for version in "12":
        _train(shop, version, int(version))
        _lifecycle(shop).deploy("fraud", version)
    _lifecycle(shop).rollback("fraud")
    _train(shop, "3", 3)
    _lifecycle(shop).deploy("fraud", "3")

    assert _lifecycle(shop).rollback("fraud").version == "1"


def test_rollback_after_the_end_brings_back_what_served(shop: Workshop) -> None:
    """An endpoint that was ended by mistake."""
    shop.rules = MANUAL
    _train(shop)
    _lifecycle(shop).deploy("fraud", "1")
    assert _lifecycle(shop).undeploy("fraud") == ("fraud",)

    assert _lifecycle(shop).rollback("fraud").version == "1"
    assert _kinds(shop)[-2:] == ["undeployed", "rolled_back"]


def test_rollback_of_a_version_that_was_ended_and_serves_again(shop: Workshop) -> None:
    """It brings back another version, and where there is none it says so and deploys nothing."""
    shop.rules = MANUAL
    _train(shop, "1", 1)
    _train(shop, "2", 2)
    for endpoint, versions in (("alone", "2"), ("both", "12")):
        for version in versions:
            _lifecycle(shop).deploy("fraud", version, endpoint)
    _lifecycle(shop).undeploy("fraud")
    for endpoint in ("alone", "both"):
        _lifecycle(shop).deploy("fraud", "2", endpoint)
    served = _served(shop)

    with pytest.raises(NotFoundError, match="no other version of 'fraud' served at 'alone' before"):
        _lifecycle(shop).rollback("fraud", "alone")
    assert _served(shop) == served
    assert _lifecycle(shop).rollback("fraud", "both").version == "1"
    with pytest.raises(NotFoundError, match="no other version of 'fraud' served at 'both' before"):
        _lifecycle(shop).rollback("fraud", "both")


def test_rollback_asks_which_endpoint_is_meant(shop: Workshop) -> None:
    """Where there are two."""
    shop.rules = MANUAL
    for version in "12":
        _train(shop, version, int(version))
        for endpoint in ("a", "b"):
            _lifecycle(shop).deploy("fraud", version, endpoint)

    with pytest.raises(NotFoundError, match=r"it has: a, b"):
        _lifecycle(shop).rollback("fraud")
    assert _lifecycle(shop).rollback("fraud", "b").endpoint == "b"


def test_rollback_never_takes_an_endpoint_from_another_model(shop: Workshop) -> None:
    """Two models share the name of an endpoint, and the other one serves now."""
    shop.rules = MANUAL
    for version in "12":
        _train(shop, version, int(version))
        _lifecycle(shop).deploy("fraud", version, "live")
    shop.route(Model({"w": 9}, name="churn"), step="churn", output="churn")
    _lifecycle(shop).deploy("churn", endpoint="live")

    with pytest.raises(DeliveryError, match="serves churn@1"):
        _lifecycle(shop).rollback("fraud")
    with pytest.raises(NotFoundError, match="no endpoint serves 'fraud'"):
        _lifecycle(shop).undeploy("fraud")


def test_the_same_model_of_a_later_run_asks_anew(shop: Workshop) -> None:
    """Its delivery waits for a decision of its own."""
    _train(shop)
    _lifecycle(shop).approve("fraud", "1")
    later = RunInfo("run-2", "fraud", "test", STARTED)
    a_run(shop.metadata, later)
    shop.metadata.add_steps("run-2", ["train"])
    courier = shop.courier(later)
    courier.deliver_one("train", Leaf("again", Model({"w": 1}, name="fraud", version="2")))

    _lifecycle(shop).approve("fraud", "2")

    assert _served(shop) == [("live", "1"), ("live", "2")]


def _overwrite(shop: Workshop) -> None:
    """Store another model in the place of the registered one."""
    uri = shop.metadata.artifacts(run_id="run-1")[0].uri
    stack = shop.stack()
    stack.hooks.delete_artifact("artifact_store", uri)
    shop.rules = {}
    shop.components = {"artifact_store": shop.components["artifact_store"]}
    output = shop.metadata.artifacts(run_id="run-1")[0].output
    shop.courier().deliver_one("other", Leaf(output, {"w": 666}))
    shop.components = flaky_components(shop.folder)
