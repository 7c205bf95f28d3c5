"""What components are told besides their deliveries reaches them in the end, or is owed."""

from __future__ import annotations

import pytest
from attrs import define, field
from tests.routing.routing_samples import Workshop
from tests.servers.flaky import FlakyStore

from flowyml.errors import DeliveryError
from flowyml.plugins import ExperimentTracker, Extension, hookimpl
from flowyml.records import RunInfo, RunStatus, StepStatus, StoredArtifact
from flowyml.routing.forgiving import Forgiveness
from flowyml.routing.patience import DOWN
from flowyml.stacks.hooks import LifecycleWarning

CLOSED = DeliveryError("the diary is closed")


@define(slots=False)
class _Reader:
    """Remembers what it was told; raises what it has for that first."""

    refusals: list[Exception] = field(factory=list)
    told: list[str] = field(factory=list)

    @hookimpl
    def artifact_stored(self, run: RunInfo, stored: StoredArtifact) -> None:
        self._note(f"{run.run_id} stored {stored.manifest.name}")

    @hookimpl
    def run_finished(self, run: RunInfo, status: RunStatus) -> None:
        self._note(f"{run.run_id} {status}")

    def _note(self, what: str) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.told.append(what)


@define(slots=False)
class Diary(_Reader, ExperimentTracker):
    """A tracker that takes no numbers."""


@define(slots=False)
class Onlooker(_Reader, Extension):
    """An extension."""


@pytest.fixture
def diary(shop: Workshop) -> Diary:
    """Give a tracker that the stack of the workshop has, beside its store."""
    tracker = Diary()
    store = FlakyStore(shop.folder / "store", outbox=shop.folder / "store.jsonl")
    shop.components = {"artifact_store": store, "experiment_tracker": tracker}
    return tracker


def _owed(shop: Workshop) -> list[tuple[str, str, str | None]]:
    return [(debt.hook, debt.component, debt.error) for debt in shop.metadata.debts("run-1")]


def test_who_is_told_of_everything_is_owed_nothing(shop: Workshop, diary: Diary) -> None:
    """There is no line in the ledger for it either."""
    shop.route({"a": 1}, output="facts")

    assert shop.courier().end(RunStatus.DONE) is RunStatus.DONE
    assert diary.told == ["run-1 stored facts", "run-1 done"]
    assert [line.hook for line in shop.metadata.deliveries("run-1")] == ["store_artifact"]


def test_an_artifact_that_a_component_missed_is_told_at_the_end(
    shop: Workshop, diary: Diary
) -> None:
    """Its step waits for nobody: it is done, and the run owes the component what it missed."""
    diary.refusals = [CLOSED]
    courier = shop.courier()

    delivered = shop.route({"a": 1}, output="facts", courier=courier)

    assert delivered.status is StepStatus.DONE
    assert diary.told == []
    assert _owed(shop) == [("artifact_stored", "experiment_tracker", "the diary is closed")]
    assert shop.watcher.seen[-1].hook == "artifact_stored"
    courier.pay_debts()
    assert _owed(shop) == []
    assert diary.told == ["run-1 stored facts"]
    assert shop.line("artifact_stored", "facts").attempts == 2


def test_it_is_told_from_the_ledger_by_any_later_process(shop: Workshop, diary: Diary) -> None:
    """And nobody else is told again, nor of anything else."""
    other = Diary()
    shop.components["experiment_tracker.other"] = other
    shop.route({"a": 1}, output="before")
    diary.refusals = [CLOSED]
    shop.route({"a": 1}, output="facts")

    shop.courier().pay_debts()

    assert diary.told == ["run-1 stored before", "run-1 stored facts"]
    assert other.told == ["run-1 stored before", "run-1 stored facts"]


def test_who_is_down_is_not_told_of_each_artifact(shop: Workshop, diary: Diary) -> None:
    """A server that hangs would cost each step its timeout; it is told at the end."""
    diary.refusals = [ConnectionError(), ConnectionError()]
    courier = shop.courier()

    for name in ("a", "b", "c"):
        shop.route({"a": 1}, step=name, output=name, courier=courier)

    assert [error == DOWN for _, _, error in _owed(shop)] == [False, False, True]
    assert diary.told == []
    courier.pay_debts()
    assert _owed(shop) == []
    assert diary.told == [f"run-1 stored {name}" for name in ("a", "b", "c")]


def test_what_may_pass_is_tried_again_with_pauses(shop: Workshop, diary: Diary) -> None:
    """As deliveries are; what may not pass waits for the next process."""
    diary.refusals = [ConnectionError(), ConnectionError(), ConnectionError()]
    shop.route({"a": 1}, output="facts")

    shop.courier().pay_debts()

    assert diary.told == ["run-1 stored facts"]
    assert len(shop.pauses) == 2
    diary.refusals = [CLOSED, CLOSED]
    assert shop.courier().end(RunStatus.DONE) is RunStatus.INCOMPLETE
    assert len(shop.pauses) == 2
    assert diary.refusals == [CLOSED]


def test_an_artifact_that_is_missed_again_is_owed_again(shop: Workshop, diary: Diary) -> None:
    """Its line may say that it was told, or forgiven, when its step runs once more."""
    diary.refusals = [CLOSED]
    shop.route({"a": 1}, output="facts")
    Forgiveness(shop.metadata, "ada", "let it be").of(shop.metadata.run("run-1"))
    assert _owed(shop) == []
    diary.refusals = [DeliveryError("closed again")]

    shop.route({"a": 1}, output="facts")

    assert _owed(shop) == [("artifact_stored", "experiment_tracker", "closed again")]


def test_the_end_of_a_run_is_told_at_the_second_attempt(shop: Workshop, diary: Diary) -> None:
    """One failure that may pass changes nothing."""
    diary.refusals = [ConnectionError()]

    assert shop.courier().end(RunStatus.DONE) is RunStatus.DONE
    assert diary.told == ["run-1 done"]
    assert _owed(shop) == []


def test_who_is_down_when_its_debts_are_paid_is_told_once_of_the_end(
    shop: Workshop, diary: Diary
) -> None:
    """Nobody waits for a hung server once more; the end of the run is owed besides."""
    diary.refusals = [ConnectionError() for _ in range(100)]
    courier = shop.courier()
    shop.route({"a": 1}, output="facts", courier=courier)
    courier.pay_debts()
    assert len(shop.pauses) == 3

    assert courier.end(RunStatus.DONE) is RunStatus.INCOMPLETE

    assert len(shop.pauses) == 3
    assert len(diary.refusals) == 100 - 1 - 4 - 1
    assert [hook for hook, *_ in _owed(shop)] == ["artifact_stored", "run_finished"]


def test_a_run_whose_end_a_component_missed_is_incomplete(shop: Workshop, diary: Diary) -> None:
    """Until it ends again; what the component is told is how the run ended, its debt apart."""
    diary.refusals = [CLOSED]

    assert shop.courier().end(RunStatus.DONE) is RunStatus.INCOMPLETE

    assert _owed(shop) == [("run_finished", "experiment_tracker", "the diary is closed")]
    shop.courier().pay_debts()
    assert diary.told == []
    assert shop.courier().end(RunStatus.DONE) is RunStatus.DONE
    assert diary.told == ["run-1 done"]
    assert _owed(shop) == []


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.INTERRUPTED])
def test_a_run_that_failed_stays_failed_where_its_end_is_owed(
    shop: Workshop, diary: Diary, status: RunStatus
) -> None:
    """Its debt is there all the same."""
    diary.refusals = [CLOSED]

    assert shop.courier().end(status) is status
    assert [hook for hook, *_ in _owed(shop)] == ["run_finished"]


def test_the_end_is_owed_to_who_is_gone_until_it_is_forgiven(shop: Workshop, diary: Diary) -> None:
    """A stack that has the component no more cannot tell it."""
    diary.refusals = [CLOSED]
    shop.courier().end(RunStatus.DONE)
    del shop.components["experiment_tracker"]

    assert shop.courier().end(RunStatus.DONE) is RunStatus.INCOMPLETE
    Forgiveness(shop.metadata, "ada", "it is gone").of(shop.metadata.run("run-1"), ["context"])
    assert shop.courier().end(RunStatus.DONE) is RunStatus.DONE


def test_an_extension_only_watches(shop: Workshop, diary: Diary) -> None:
    """What it raises is a warning, and nothing is owed to it."""
    shop.components["extensions.onlooker"] = Onlooker([CLOSED, ConnectionError("away")])

    with pytest.warns(LifecycleWarning, match="onlooker: artifact_stored failed: .* is closed"):
        shop.route({"a": 1}, output="facts")
    with pytest.warns(LifecycleWarning, match="onlooker: run_finished failed: .*: away"):
        assert shop.courier().end(RunStatus.DONE) is RunStatus.DONE
    assert diary.told == ["run-1 stored facts", "run-1 done"]
    assert _owed(shop) == []
