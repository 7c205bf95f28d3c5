"""Lineage goes up to all ancestors and down to all descendants, and not sideways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metadata.metadata_samples import a_run, an_artifact, new_store

from flowyml.metadata.rows import LineageEdge
from flowyml.metadata.store import MetadataStore

Edges = set[tuple[int, int]]


def _add(store: MetadataStore, family: list[list[int]]) -> list[int]:
    """Add an artifact for each list of parents, which are positions in the list."""
    ids: list[int] = []
    with store.transaction():
        store.add_run(a_run())
        for number, parents in enumerate(family):
            artifact = an_artifact(f"output-{number}")
            ids.append(store.add_artifact(artifact, [ids[parent] for parent in parents]))
    return ids


def _follow(edges: Edges, start: int, depth: int | None) -> Edges:
    """Walk both ways, generation by generation."""
    ends: tuple[Callable[[tuple[int, int]], int], ...] = (lambda e: e[0], lambda e: e[1])
    reached: Edges = set()
    for near, far in (ends, ends[::-1]):
        front, walked = {start}, 0
        seen: set[int] = set()
        while front and (depth is None or walked < depth):
            step = {edge for edge in edges if near(edge) in front}
            reached |= step
            seen |= front
            front = {far(edge) for edge in step} - seen
            walked += 1
    return reached


families = st.integers(1, 9).flatmap(
    lambda count: st.tuples(
        *[st.lists(st.integers(0, n - 1), max_size=3) if n else st.just([]) for n in range(count)]
    )
)


@given(family=families, start=st.integers(0, 8), depth=st.none() | st.integers(0, 4))
@settings(max_examples=100, deadline=None)
def test_lineage_is_what_walking_the_graph_finds(
    family: tuple[list[int], ...], start: int, depth: int | None
) -> None:
    """Both recursive queries agree with a plain walk over any graph."""
    with new_store() as store:
        ids = _add(store, list(family))
        chosen = ids[start % len(ids)]
        found = store.lineage(chosen, depth=depth)

    edges = {(ids[p], ids[n]) for n, parents in enumerate(family) for p in parents}
    expected = _follow(edges, chosen, depth)
    assert found == [LineageEdge(parent, child) for parent, child in sorted(expected)]


def test_siblings_are_no_lineage(store: MetadataStore) -> None:
    """What else was made from a parent, or into a child, does not belong."""
    data, model, _sibling, other = _add(store, [[], [0], [0], []])
    scores = store.add_artifact(an_artifact("scores"), [model, other])

    assert store.lineage(model) == [LineageEdge(data, model), LineageEdge(model, scores)]


def test_an_artifact_without_relations_has_no_lineage(store: MetadataStore) -> None:
    """So has one that does not exist."""
    (lonely,) = _add(store, [[]])

    assert store.lineage(lonely) == []
    assert store.lineage(12345) == []


@pytest.mark.parametrize("depth", [None, 3000])
def test_a_long_chain_is_followed_to_its_end(store: MetadataStore, depth: int | None) -> None:
    """Depth is bounded by nothing but the question."""
    ids = _add(store, [[], *([n] for n in range(2000))])

    assert len(store.lineage(ids[1000], depth=depth)) == 2000


def test_a_dense_graph_is_followed_once(store: MetadataStore) -> None:
    """A graph with more paths than atoms in the world takes no longer than it has edges."""
    layers = 60
    family: list[list[int]] = [[], []]
    for layer in range(layers):
        family += [[2 * layer, 2 * layer + 1]] * 2
    ids = _add(store, family)

    assert len(store.lineage(ids[-1])) == 4 * layers - 2
    assert len(store.lineage(ids[-1], depth=layers)) == 4 * layers - 2
