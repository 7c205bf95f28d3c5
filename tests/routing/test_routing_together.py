"""The outputs of one step are stored at the same time where that is waiting for other machines."""

from __future__ import annotations

import threading

import pytest
from attrs import define, field
from tests.routing.routing_samples import Workshop

from flowyml.artifacts import Metrics
from flowyml.errors import DeliveryError
from flowyml.plugins import hookimpl
from flowyml.records import DeliveryContext, StepStatus, StoredArtifact
from flowyml.routing.together import MOST
from flowyml.storage.files import StoreRequest
from flowyml_local.storage import LocalArtifactStore

PATIENCE = 30.0
"""Seconds after which a request that waits for another one gives up; nobody waits so long."""


@define(slots=False)
class Watched(LocalArtifactStore):
    """A store that notes in which threads it is asked, and how many requests overlap.

    Attributes:
        scheme: Where it seems to be.
        meet: Requests that wait for each other before any of them goes on.
        refuses: Outputs that it does not take.
    """

    scheme: str = "far"
    meet: threading.Barrier | None = None
    refuses: set[str] = field(factory=set)
    threads: set[str] = field(factory=set)
    most: int = 0
    now: int = 0
    lock: threading.Lock = field(factory=threading.Lock)

    def root_uri(self) -> str:
        return f"{self.scheme}://{self.path}"

    @hookimpl
    def store_artifact(self, request: StoreRequest, context: DeliveryContext) -> StoredArtifact:
        """Store, once all are here that are to be here together."""
        with self.lock:
            self.threads.add(threading.current_thread().name)
            self.now += 1
            self.most = max(self.most, self.now)
        if self.meet is not None:
            self.meet.wait(PATIENCE)
        if context.producer.output in self.refuses:
            message = "this one never"
            raise DeliveryError(message)
        stored = self.folders().store(request, key=context.key)
        with self.lock:
            self.now -= 1
        return stored


def _watch(shop: Workshop, **settings: object) -> Watched:
    store = Watched(shop.folder / "artifacts", **settings)  # type: ignore[arg-type]
    shop.components = {"artifact_store": store}
    return store


def _scores(count: int) -> list[Metrics]:
    return [Metrics({"n": number}) for number in range(count)]


def test_outputs_for_a_distant_store_are_on_their_way_together(shop: Workshop) -> None:
    """Four requests wait for each other: one after the other they would wait for ever."""
    store = _watch(shop, meet=threading.Barrier(4))

    delivered = shop.route(_scores(3), output="out")

    assert store.most == 4
    assert delivered.status is StepStatus.DONE
    assert [each.output for each in delivered.artifacts] == ["out", "out.0", "out.1", "out.2"]


def test_there_is_a_bound(shop: Workshop) -> None:
    """A step with many outputs asks for so many at once and no more."""
    store = _watch(shop, meet=threading.Barrier(MOST))

    shop.route(_scores(3 * MOST - 1), output="out")

    assert store.most == MOST
    assert len(store.threads) == MOST


@pytest.mark.parametrize(
    ("scheme", "count"), [("far", 0), ("file", 5)], ids=["one output", "a local store"]
)
def test_where_it_does_not_pay_there_are_no_threads(
    shop: Workshop, scheme: str, count: int
) -> None:
    """One output alone, or a disk that is no faster for being asked by many."""
    store = _watch(shop, scheme=scheme)

    shop.route(_scores(count) if count else {"a": 1}, output="out")

    assert store.threads == {threading.current_thread().name}


def test_of_several_that_fail_the_first_is_told(shop: Workshop) -> None:
    """Nothing counts as stored then; when the step runs again each output is stored once."""
    _watch(shop, refuses={"out.2", "out.1"})
    with pytest.raises(DeliveryError, match=r"output 'out\.1': store_artifact"):
        shop.route(_scores(3), output="out")
    assert shop.metadata.artifacts(run_id="run-1") == []
    _watch(shop)

    delivered = shop.route(_scores(3), output="out")

    assert delivered.status is StepStatus.DONE
    assert len(shop.metadata.artifacts(run_id="run-1")) == 4
    assert shop.metadata.debts() == []
