"""What an artifact was made from and what was made from it, as one list."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from typing import Any

from flowyml.cli.objects import artifact_object
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore

__all__ = ["ancestry"]

Edges = Mapping[int, Collection[int]]


def ancestry(
    metadata: MetadataStore, artifact: ArtifactRecord, depth: int | None, limit: int | None
) -> list[dict[str, Any]]:
    """Return an artifact with its descendants and ancestors, the newest first.

    Args:
        metadata: Where the edges are.
        artifact: Where to begin.
        depth: How many generations to follow each way; None for all.
        limit: How many to return at most, the nearest; None for all.
    """
    parents: defaultdict[int, list[int]] = defaultdict(list)
    children: defaultdict[int, list[int]] = defaultdict(list)
    for edge in metadata.lineage(artifact.artifact_id, depth=depth):
        parents[edge.child].append(edge.parent)
        children[edge.parent].append(edge.child)
    start = artifact.artifact_id
    related = {start: ("self", 0)}
    related |= {number: ("ancestor", far) for number, far in _distances(start, parents).items()}
    related |= {number: ("descendant", far) for number, far in _distances(start, children).items()}
    nearest = sorted(related, key=lambda number: related[number][1])[:limit]
    return [
        {
            **artifact_object(metadata.artifact(number)),
            "relation": related[number][0],
            "distance": related[number][1],
            "parents": parents.get(number, []),
        }
        for number in sorted(nearest, reverse=True)
    ]


def _distances(start: int, edges: Edges) -> dict[int, int]:
    """Return how far away everything is that the edges lead to."""
    found: dict[int, int] = {}
    ahead = deque([(start, 0)])
    while ahead:
        current, far = ahead.popleft()
        for following in edges.get(current, ()):
            if following not in found:
                found[following] = far + 1
                ahead.append((following, far + 1))
    return found
