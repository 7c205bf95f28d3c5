"""Points of a curve gather, and reach stores and trackers as if each had come on its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.routing.routing_samples import RUN, Workshop, a_run, flaky_components
from tests.servers.flaky import FlakyTracker

from flowyml.artifacts import Curve, Metrics
from flowyml.errors import DeliveryError, NotFoundError
from flowyml.metadata.store import MetadataStore
from flowyml.plugins import ExperimentTracker, hookimpl
from flowyml.records import DeliveryContext, DeliveryStatus, LoggedRun
from flowyml.routing.containers import Leaf
from flowyml.routing.gathering import MOST, Earlier, Gathering, Hooks, is_point
from flowyml.routing.reader import Reader
from flowyml.routing.router import Router

Seen = tuple[str, int | None, dict[str, Any], dict[str, Any], str, Any]

CALLED: Hooks = ("log_metrics",)


@define(slots=False)
class Plotter(ExperimentTracker):
    """A tracker that takes points together, and remembers how many came at once."""

    seen: list[Seen] = field(factory=list)
    batches: list[int] = field(factory=list)

    def note(self, metrics: Metrics, context: DeliveryContext) -> None:
        self.seen.append(
            (
                context.producer.output,
                metrics.step,
                dict(metrics),
                metrics.metadata,
                context.key,
                context.made_at,
            )
        )

    @hookimpl
    def log_metrics(self, metrics: Metrics, context: DeliveryContext) -> LoggedRun:
        self.note(metrics, context)
        return LoggedRun(context.run.run_id)

    @hookimpl
    def log_metrics_batch(self, batch: Sequence[tuple[Metrics, DeliveryContext]]) -> LoggedRun:
        self.batches.append(len(batch))
        for metrics, context in batch:
            self.note(metrics, context)
        return LoggedRun(batch[0][1].run.run_id)


@define
class Clock:
    """A clock that goes on when it is told to."""

    at: float = 0.0

    def __call__(self) -> float:
        return self.at


@define(slots=False)
class Try:
    """One try of the step ``train``, which hands over metrics under numbered names."""

    shop: Workshop
    clock: Clock = field(factory=Clock)
    count: int = 0

    def __attrs_post_init__(self) -> None:
        self.courier = self.shop.courier()
        self.curves = Gathering("train", self.deliver, self.earlier, self.clock)

    def earlier(self) -> Any:
        return self.courier.earlier_curves("train")

    def deliver(self, leaf: Leaf, hooks: Hooks) -> None:
        self.courier.deliver_one("train", leaf, hooks)

    def hand_over(self, metrics: Metrics, hooks: Hooks = None) -> None:
        self.count += 1
        name = f"yielded-{self.count}"
        leaf = Leaf(f"train.{name}", metrics)
        if is_point(leaf, self.courier.router, hooks):
            self.curves.add(name, leaf, hooks)
        else:
            self.curves.flush()
            self.deliver(leaf, hooks)


@pytest.fixture
def plotter(shop: Workshop) -> Plotter:
    """Give the tracker of the workshop's stack."""
    stores = flaky_components(shop.folder)
    tracker = Plotter()
    shop.components = {
        "artifact_store": stores["artifact_store"],
        "experiment_tracker": tracker,
    }
    return tracker


def outputs(metadata: MetadataStore) -> list[str]:
    """Return what is stored, in order."""
    return [artifact.output for artifact in reversed(metadata.artifacts(run_id=RUN.run_id))]


NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)

METRICS = st.builds(
    lambda data, step, facts: Metrics(data, step=step, metadata=facts),
    st.dictionaries(st.text(max_size=3), NUMBERS, max_size=3),
    st.none() | st.integers(-3, 2**60),
    st.dictionaries(st.sampled_from(["a", "b"]), st.text(max_size=2) | st.lists(st.none())),
)

HANDED_OVER = st.lists(
    st.tuples(METRICS, st.sampled_from([None, CALLED]), st.sampled_from([0.0, 0.4, 1.5])),
    max_size=12,
)


@given(handed=HANDED_OVER)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_trackers_get_what_they_would_get_one_by_one(
    handed: list[tuple[Metrics, Hooks, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In the same order, with the same steps, facts, names and keys, however the points gather."""
    alone, gathered = (_log(handed, tmp_path_factory.mktemp("run"), way) for way in (False, True))

    assert [seen[:-1] for seen in gathered] == [seen[:-1] for seen in alone]
    times = [seen[-1] for seen in gathered]
    assert times == sorted(times)


def _log(handed: list[tuple[Metrics, Hooks, float]], folder: Path, gather: bool) -> list[Seen]:
    with MetadataStore.open(folder / "metadata.db") as metadata:
        a_run(metadata)
        tracker = Plotter()
        store = flaky_components(folder)["artifact_store"]
        components = {"artifact_store": store, "experiment_tracker": tracker}
        trying = Try(Workshop(folder, metadata, components=components))
        for metrics, hooks, pause in handed:
            trying.clock.at += pause
            trying.hand_over(metrics, hooks)
            if not gather:
                trying.curves.flush()
        trying.curves.flush()
    return tracker.seen


def test_points_wait_for_each_other_for_a_second(plotter: Plotter, shop: Workshop) -> None:
    """The first comes at once; those of the next second come together when it is over."""
    trying = Try(shop)
    for step in range(5):
        trying.hand_over(Metrics({"loss": step}).at_step(step))
        trying.clock.at += 0.3

    assert plotter.batches == [1, 4]
    assert outputs(shop.metadata) == ["train.yielded-1", "train.yielded-2"]


def test_a_long_curve_does_not_wait_for_the_second_to_be_over(
    plotter: Plotter, shop: Workshop
) -> None:
    """Ten thousand numbers are enough."""
    trying = Try(shop)
    wide = {str(name): 0.0 for name in range(MOST // 2)}
    for step in range(4):
        trying.hand_over(Metrics(wide).at_step(step))

    assert plotter.batches == [1, 2]


def test_a_delivery_that_takes_long_makes_the_next_one_wait() -> None:
    """So a tracker that does not answer takes a small part of the step's time, not all of it."""
    clock, seen = Clock(), list[int]()

    def deliver(leaf: Leaf, hooks: Hooks) -> None:
        assert hooks is None
        seen.append(len(leaf.value))  # type: ignore[arg-type]
        clock.at += 3

    curves = Gathering("train", deliver, Earlier, clock)
    for number in range(40):
        point = Leaf(f"train.{number}", Metrics({"loss": 0.5}).at_step(number))
        curves.add(str(number), point, None)
        clock.at += 1

    assert seen == [1, 30]


def test_an_object_that_its_step_changes_later_is_delivered_as_it_was(
    plotter: Plotter, shop: Workshop
) -> None:
    """A loop may use one and the same object for all its points."""
    trying, metrics = Try(shop), Metrics({"loss": 0}, step=1)
    for number in range(3):
        metrics.data["loss"] = number
        trying.hand_over(metrics)
    trying.curves.flush()

    assert [seen[2]["loss"] for seen in plotter.seen] == [0, 1, 2]


def test_another_try_leaves_out_what_is_safe(plotter: Plotter, shop: Workshop) -> None:
    """However its own points gather: nothing is stored or logged twice."""
    first = Try(shop)
    for step in range(4):
        first.hand_over(Metrics({"loss": step}).at_step(step))
    first.curves.flush()
    for pause in (0.0, 2.0):
        again = Try(shop)
        for step in range(6):
            again.hand_over(Metrics({"loss": step}).at_step(step))
            again.clock.at += pause
        again.curves.flush()

    assert [seen[1] for seen in plotter.seen] == [0, 1, 2, 3, 4, 5]
    stored = outputs(shop.metadata)
    assert stored == ["train.yielded-1", "train.yielded-2", "train.yielded-5", "train.yielded-6"]


def test_another_try_leaves_out_calls_that_the_ledger_keeps(
    plotter: Plotter, shop: Workshop
) -> None:
    """What is only logged is safe before the tracker has it."""
    for _ in range(2):
        trying = Try(shop)
        for step in range(3):
            trying.hand_over(Metrics({"loss": step}).at_step(step), CALLED)
        trying.curves.flush()

    assert [seen[1] for seen in plotter.seen] == [0, 1, 2]
    assert outputs(shop.metadata) == []


def test_a_curve_that_was_written_down_and_not_stored_gathers_as_it_was() -> None:
    """Its delivery is in the ledger already, and a longer one would hold the next one's points."""
    clock, lengths = Clock(), list[int]()
    earlier = Earlier(frozenset({"1"}), {"2": 3})
    curves = Gathering(
        "train",
        lambda leaf, _hooks: lengths.append(len(leaf.value)),  # type: ignore[arg-type]
        lambda: earlier,
        clock,
    )
    for number in range(1, 7):
        point = Leaf(f"train.{number}", Metrics({"loss": 0.5}).at_step(number))
        curves.add(str(number), point, None)
        clock.at += 2

    assert lengths == [3, 1, 1]


def test_a_curve_that_could_not_be_stored_is_stored_by_a_later_try(shop: Workshop) -> None:
    """Each point is in one curve in the end, however the tries gather."""
    shop.components = flaky_components(shop.folder, store_artifact="during:permanent:2")
    for pauses in ((0.0, 0.0, 2.0, 0.0), (0.0, 0.0, 0.0, 0.0), (2.0, 2.0, 2.0, 2.0)):
        trying = Try(shop)
        try:
            for step, pause in enumerate(pauses):
                trying.clock.at += pause
                trying.hand_over(Metrics({"loss": step}).at_step(step))
            trying.curves.flush()
        except DeliveryError:
            continue

    reader = Reader(shop.stack(), shop.metadata)
    artifacts = {each.output: each for each in shop.metadata.artifacts(run_id=RUN.run_id)}
    names = [f"train.yielded-{number}" for number in range(1, 5)]
    assert [reader.output(name, artifacts) for name in names] == [
        Metrics({"loss": step}).at_step(step) for step in range(4)
    ]
    curves = [reader.whole(artifact) for artifact in artifacts.values()]
    assert sum(len(curve) for curve in curves if isinstance(curve, Curve)) == 4


@pytest.mark.usefixtures("plotter")
def test_a_point_is_read_by_its_own_name(shop: Workshop) -> None:
    """Whatever curve it is in; one that was never handed over is not found."""
    trying = Try(shop)
    for step in range(3):
        trying.hand_over(Metrics({"loss": float("inf")}).at_step(step).with_metadata(fold=step))
    trying.curves.flush()

    reader = Reader(shop.stack(), shop.metadata)
    artifacts = {each.output: each for each in shop.metadata.artifacts(run_id=RUN.run_id)}
    point = Metrics({"loss": float("inf")}).at_step(2).with_metadata(fold=2)
    assert reader.output("train.yielded-3", artifacts) == point
    with pytest.raises(NotFoundError, match="the curve ends with 'yielded-3'"):
        reader.output("train.yielded-4", artifacts)
    assert artifacts["train.yielded-2"].type == "Metrics"


def test_a_tracker_that_is_down_owes_one_debt_for_each_curve(shop: Workshop) -> None:
    """The other has all of it; what is owed is paid from the store, in order, with its times."""
    plotter, closed = Plotter(), "log_metrics:before:permanent:2"
    shop.components = {
        **flaky_components(shop.folder),
        "experiment_tracker": plotter,
        "experiment_tracker.flaky": FlakyTracker(shop.folder / "down.jsonl", closed),
    }
    trying = Try(shop)
    for step in range(6):
        trying.hand_over(Metrics({"loss": step}).at_step(step))
        trying.clock.at += 0.3
    owed = shop.metadata.debts(RUN.run_id)
    assert [debt.output for debt in owed] == ["train.yielded-1", "train.yielded-2"]

    paid = shop.courier().pay_debts()

    assert [each.status for each in paid] == [DeliveryStatus.DONE] * 2
    late = FlakyTracker(shop.folder / "down.jsonl").box.effects("log_metrics")
    assert [line["step"] for line in late] == [seen[1] for seen in plotter.seen] == [*range(5)]


class Fitness(Metrics):
    """Metrics of a user's own."""


def test_what_a_curve_could_not_hold_is_no_point(plotter: Plotter, shop: Workshop) -> None:
    """It is delivered on its own, as ever."""
    router = Router(shop.stack())
    point = Metrics({"loss": 1}).at_step(1)
    others = [Metrics({"loss": 1}), Fitness({"loss": 1}).at_step(1), 3, {"loss": 1}]
    others += [point.with_metadata(parts=[1]), Metrics({"loss": 1}, step=1, name="mine")]

    assert plotter.batches == []
    assert is_point(Leaf("train.yielded", point), router, None)
    assert not any(is_point(Leaf("train.yielded", each), router, None) for each in others)
