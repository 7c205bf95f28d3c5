"""Which stored artifacts may be deleted to make room: a pure decision over the records.

What a model version that is registered, aliased, deployed or waits for a decision was stored as is
never collected, and neither is anything that it was made from. Of the rest, the newest runs of each
pipeline keep theirs, and so does everything that is younger than an age.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from flowyml.metadata.rows import ArtifactRecord

__all__ = ["Retention", "collectable"]


@frozen
class Retention:
    """What is kept although nothing protects it.

    Attributes:
        runs: How many runs of each pipeline keep their artifacts, the newest first.
        age: What is younger stays.
    """

    runs: int = 10
    age: timedelta = timedelta(days=30)


def collectable(
    artifacts: Sequence[ArtifactRecord],
    parents: Mapping[int, Collection[int]],
    protected: Iterable[int],
    retention: Retention,
    now: datetime,
) -> list[str]:
    """Return the URIs that may be deleted, the oldest first.

    Args:
        artifacts: Every artifact of the project.
        parents: For an artifact's id those of the artifacts that it was made from.
        protected: Ids of artifacts that are never collected, with all their ancestors.
        retention: What else is kept.
        now: The time that ages are counted from.
    """
    kept = _with_ancestors(protected, parents)
    recent = _recent_runs(artifacts, retention.runs)
    oldest = now - retention.age
    # Several runs may have stored one thing at one URI: it stays while one of them needs it.
    needed = {
        artifact.uri
        for artifact in artifacts
        if artifact.artifact_id in kept or artifact.run_id in recent or artifact.created_at > oldest
    }
    there = (artifact for artifact in artifacts if artifact.collected_at is None)
    uris = dict.fromkeys(artifact.uri for artifact in sorted(there, key=_age))
    return [uri for uri in uris if uri not in needed]


def _age(artifact: ArtifactRecord) -> tuple[datetime, int]:
    return artifact.created_at, artifact.artifact_id


def _with_ancestors(ids: Iterable[int], parents: Mapping[int, Collection[int]]) -> set[int]:
    found: set[int] = set()
    ahead = list(ids)
    while ahead:
        current = ahead.pop()
        if current not in found:
            found.add(current)
            ahead += parents.get(current, ())
    return found


def _recent_runs(artifacts: Iterable[ArtifactRecord], count: int) -> set[str]:
    """Return the runs that are the newest of their pipelines, by the last thing they stored."""
    last: defaultdict[str, dict[str, tuple[datetime, int]]] = defaultdict(dict)
    for artifact in artifacts:
        runs = last[artifact.pipeline]
        runs[artifact.run_id] = max(runs.get(artifact.run_id, _age(artifact)), _age(artifact))
    recent: set[str] = set()
    for runs in last.values():
        recent.update(sorted(runs, key=lambda run: runs[run], reverse=True)[:count])
    return recent
