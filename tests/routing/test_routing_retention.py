"""What may be deleted to make room, compared with a plain definition of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metadata.metadata_samples import NOW, an_artifact

from flowyml.metadata.rows import ArtifactRecord
from flowyml.routing.retention import Retention, collectable

DAY = timedelta(days=1)


@attrs.frozen
class History:
    """What some runs stored, and what somebody needs of it."""

    artifacts: Sequence[ArtifactRecord]
    parents: Mapping[int, frozenset[int]]
    protected: frozenset[int]
    retention: Retention

    def collectable(self) -> list[str]:
        return collectable(self.artifacts, self.parents, self.protected, self.retention, NOW)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw artifacts of two pipelines; some share a URI, some are gone, some are needed."""
    count = draw(st.integers(0, 12))
    artifacts = []
    for number in range(1, count + 1):
        run = draw(st.integers(1, 6))
        artifacts.append(
            an_artifact(
                f"output-{number}",
                artifact_id=number,
                run_id=f"run-{run}",
                pipeline="ab"[run % 2],
                uri=f"file:///{draw(st.integers(1, 9))}",
                created_at=NOW - draw(st.integers(0, 9)) * DAY,
                collected_at=draw(st.sampled_from([None, None, None, NOW])),
            )
        )
    ids = range(1, count + 1)
    parents = {
        child: draw(st.frozensets(st.integers(1, child - 1), max_size=2))
        for child in ids
        if child > 1
    }
    protected = draw(st.frozensets(st.sampled_from(ids), max_size=3)) if count else frozenset()
    retention = Retention(draw(st.integers(0, 3)), draw(st.integers(0, 9)) * DAY)
    return History(artifacts, parents, protected, retention)


def _oracle(history: History) -> set[str]:
    """Say of each URI by the definition, slowly, whether it may go."""
    uris = {artifact.uri for artifact in history.artifacts}
    return {uri for uri in uris if _may_go(history, uri)}


def _may_go(history: History, uri: str) -> bool:
    there = [artifact for artifact in history.artifacts if artifact.uri == uri]
    if all(artifact.collected_at for artifact in there):
        return False
    return not any(_is_needed(history, artifact) for artifact in there)


def _is_needed(history: History, artifact: ArtifactRecord) -> bool:
    return (
        any(_leads_to(history, wanted, artifact.artifact_id) for wanted in history.protected)
        or _newer_runs(history, artifact) < history.retention.runs
        or NOW - artifact.created_at < history.retention.age
    )


def _leads_to(history: History, child: int, ancestor: int) -> bool:
    above = history.parents.get(child, frozenset())
    return child == ancestor or any(_leads_to(history, parent, ancestor) for parent in above)


def _newer_runs(history: History, artifact: ArtifactRecord) -> int:
    def last(run: str) -> tuple[datetime, int]:
        return max((a.created_at, a.artifact_id) for a in history.artifacts if a.run_id == run)

    runs = {a.run_id for a in history.artifacts if a.pipeline == artifact.pipeline}
    return sum(last(run) > last(artifact.run_id) for run in runs)


@given(histories())
@settings(max_examples=400, deadline=None)
def test_what_may_go_is_what_the_definition_says(history: History) -> None:
    """The quick way and the slow definition agree on every history."""
    found = history.collectable()

    assert set(found) == _oracle(history)
    assert len(found) == len(set(found))


@given(histories())
@settings(max_examples=100, deadline=None)
def test_collecting_leaves_nothing_to_collect(history: History) -> None:
    """What is left after a collection is needed: a second one finds nothing."""
    gone = set(history.collectable())
    after = [
        attrs.evolve(artifact, collected_at=NOW) if artifact.uri in gone else artifact
        for artifact in history.artifacts
    ]

    assert attrs.evolve(history, artifacts=after).collectable() == []


def test_the_oldest_goes_first() -> None:
    """Whoever stops in between has made room where it hurts least."""
    artifacts = [
        an_artifact(name, artifact_id=number, uri=name, created_at=NOW - age * DAY)
        for number, (name, age) in enumerate([("young", 1), ("old", 3), ("older", 5)])
    ]

    assert collectable(artifacts, {}, (), Retention(0, DAY), NOW) == ["older", "old", "young"]


def test_by_default_ten_runs_and_thirty_days_are_kept() -> None:
    """An eleventh run that is old goes; nothing younger than a month does."""
    artifacts = [
        an_artifact("out", artifact_id=n, run_id=f"run-{n}", uri=f"{n}", created_at=NOW - n * DAY)
        for n in range(25, 41)
    ]

    assert collectable(artifacts, {}, (), Retention(), NOW) == [str(n) for n in range(40, 34, -1)]
