"""What may be deleted to make room, compared with a plain definition of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metadata.metadata_samples import NOW, a_delivery, a_run, an_artifact, new_store

from flowyml.metadata.retention import Retention
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, RunStatus

DAY = timedelta(days=1)

ROOT = "file:///store"


@attrs.frozen
class History:
    """What some runs stored, and what somebody needs of it."""

    artifacts: Sequence[ArtifactRecord]
    parents: Mapping[int, frozenset[int]] = attrs.field(factory=dict)
    registered: frozenset[int] = frozenset()
    worked_on: frozenset[str] = frozenset()
    killed: frozenset[str] = frozenset()
    in_use: frozenset[str] = frozenset()
    retention: Retention = attrs.field(factory=lambda: Retention(0, DAY))

    def written_into(self, store: MetadataStore) -> None:
        for run_id in {artifact.run_id for artifact in self.artifacts}:
            goes_on = run_id in self.worked_on | self.killed
            store.add_run(a_run(run_id, status=RunStatus.RUNNING if goes_on else RunStatus.DONE))
        for run_id in self.worked_on:
            store.acquire_lease(run_id, "somebody", 30)
        for run_id in self.killed - self.worked_on:
            store.acquire_lease(run_id, "somebody who was killed", 0)
        for artifact in self.artifacts:
            number = artifact.artifact_id
            parents = sorted(self.parents.get(number, ()))
            assert store.add_artifact(artifact, parents) == number
            hook = "register_model" if number in self.registered else "store_artifact"
            place = {"run_id": artifact.run_id, "output": artifact.output, "hook": hook}
            store.add_deliveries([a_delivery(**place, status=DeliveryStatus.DONE)])

    def found_in(self, store: MetadataStore) -> list[ArtifactRecord]:
        found = store.collectable(self.retention, roots=[ROOT], in_use=self.in_use)
        return list(store.artifacts_of(found))

    def collectable(self) -> list[ArtifactRecord]:
        with new_store(NOW) as store:
            self.written_into(store)
            return self.found_in(store)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw artifacts of two pipelines; some share a URI, some lie elsewhere, some are needed."""
    count = draw(st.integers(0, 12))
    artifacts = []
    for number in range(1, count + 1):
        run = draw(st.integers(1, 6))
        root = draw(st.sampled_from([ROOT, ROOT, ROOT, f"{ROOT}-of-others"]))
        artifacts.append(
            an_artifact(
                f"output-{number}",
                artifact_id=number,
                run_id=f"run-{run}",
                pipeline="ab"[run % 2],
                uri=f"{root}/{draw(st.integers(1, 9))}",
                digest=f"sha256:{draw(st.integers(1, 9))}",
                created_at=NOW - draw(st.integers(0, 9)) * DAY,
            )
        )
    ids = range(1, count + 1)
    parents = {
        child: draw(st.frozensets(st.integers(1, child - 1), max_size=2))
        for child in ids
        if child > 1
    }
    addresses = [each for artifact in artifacts for each in (artifact.uri, artifact.digest)]
    return History(
        artifacts,
        parents,
        draw(st.frozensets(st.sampled_from(ids), max_size=2)) if count else frozenset(),
        draw(st.frozensets(st.just("run-6"), max_size=1)),
        draw(st.frozensets(st.sampled_from(["run-5", "run-6"]), max_size=2)),
        draw(st.frozensets(st.sampled_from(["sha256:none", *addresses]), max_size=1)),
        Retention(draw(st.integers(0, 3)), draw(st.integers(0, 9)) * DAY),
    )


def _oracle(history: History) -> set[str]:
    """Say of each URI by the definition, slowly, whether it may go."""
    uris = {artifact.uri for artifact in history.artifacts}
    return {uri for uri in uris if uri.startswith(f"{ROOT}/") and _may_go(history, uri)}


def _may_go(history: History, uri: str) -> bool:
    there = [artifact for artifact in history.artifacts if artifact.uri == uri]
    return not any(_is_needed(history, artifact) for artifact in there)


def _is_needed(history: History, artifact: ArtifactRecord) -> bool:
    return (
        any(
            _leads_to(history, other.artifact_id, artifact.artifact_id)
            for other in history.artifacts
            if _is_wanted(history, other)
        )
        or _newer_runs(history, artifact) < history.retention.runs
        or NOW - artifact.created_at < history.retention.age
    )


def _is_wanted(history: History, artifact: ArtifactRecord) -> bool:
    return (
        artifact.artifact_id in history.registered
        or artifact.run_id in history.worked_on
        or not history.in_use.isdisjoint({artifact.uri, artifact.digest})
    )


def _leads_to(history: History, child: int, ancestor: int) -> bool:
    above = history.parents.get(child, frozenset())
    return child == ancestor or any(_leads_to(history, parent, ancestor) for parent in above)


def _newer_runs(history: History, artifact: ArtifactRecord) -> int:
    def last(run: str) -> tuple[datetime, int]:
        stored = [a for a in history.artifacts if a.run_id == run]
        return max(a.created_at for a in stored), max(a.artifact_id for a in stored)

    runs = {a.run_id for a in history.artifacts if a.pipeline == artifact.pipeline}
    return sum(last(run) > last(artifact.run_id) for run in runs)


@given(histories())
@settings(max_examples=400, deadline=None)
def test_what_may_go_is_what_the_definition_says(history: History) -> None:
    """The quick way and the slow definition agree on every history."""
    found = [artifact.uri for artifact in history.collectable()]

    assert set(found) == _oracle(history)
    assert len(found) == len(set(found))


@given(histories())
@settings(max_examples=100, deadline=None)
def test_collecting_leaves_nothing_to_collect(history: History) -> None:
    """What is left after a collection is needed: a second one finds nothing."""
    with new_store(NOW) as store:
        history.written_into(store)
        for artifact in history.found_in(store):
            store.collect_artifact(artifact.uri)

        assert history.found_in(store) == []


def test_what_was_collected_and_stored_again_may_go_again() -> None:
    """A run that came later stored the same thing at the same address."""
    first = an_artifact("a", artifact_id=1, uri=f"{ROOT}/x", created_at=NOW - 9 * DAY)
    again = attrs.evolve(first, output="b", artifact_id=2, created_at=NOW - 2 * DAY)
    with new_store(NOW) as store:
        History([first]).written_into(store)
        store.collect_artifact(first.uri)
        store.add_artifact(again, [])

        assert History([]).found_in(store) == [again]


def test_the_oldest_goes_first() -> None:
    """Whoever stops in between has made room where it hurts least."""
    ages = {"young": 2, "old": 3, "older": 5}
    artifacts = [
        an_artifact(name, artifact_id=n, uri=f"{ROOT}/{name}", created_at=NOW - age * DAY)
        for n, (name, age) in enumerate(ages.items(), start=1)
    ]

    assert History(artifacts).collectable() == artifacts[::-1]


def test_by_default_ten_runs_and_thirty_days_are_kept() -> None:
    """An eleventh run that is old goes; nothing younger than a month does."""
    artifacts = [
        an_artifact(
            "out",
            artifact_id=n + 1,
            run_id=f"run-{n}",
            uri=f"{ROOT}/{n}",
            created_at=NOW - (25 + n) * DAY,
        )
        for n in range(16)
    ]

    found = History(artifacts, retention=Retention()).collectable()

    assert found == artifacts[:9:-1]


def test_many_are_read_in_order() -> None:
    """More than are read at once: none is missing, none comes twice."""
    artifacts = [
        an_artifact(f"{n}", artifact_id=n, uri=f"{ROOT}/{n}", created_at=NOW - 2 * DAY)
        for n in range(1, 2502)
    ]
    with new_store(NOW) as store, store.transaction():
        History(artifacts).written_into(store)

        assert History([]).found_in(store) == artifacts
