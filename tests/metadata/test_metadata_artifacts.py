"""Artifacts are added once for each output, and listed newest first by what they are."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metadata.metadata_samples import a_run, an_artifact, digest_of, new_store

from flowyml.errors import MetadataError, NotFoundError
from flowyml.metadata.rows import LineageEdge
from flowyml.metadata.store import MetadataStore


@pytest.fixture
def store(store: MetadataStore) -> MetadataStore:
    """Give a store with two runs."""
    store.add_run(a_run("run-1"))
    store.add_run(a_run("run-2"))
    return store


def test_an_artifact_comes_back_as_it_was_added(store: MetadataStore) -> None:
    """Every field survives, and the id is the one that was given."""
    artifact = an_artifact(version="1.0", manifest={"nested": {"list": [1, 2.5, None, "ü"]}})

    artifact_id = store.add_artifact(artifact, [])

    added = attrs.evolve(artifact, artifact_id=artifact_id)
    assert store.artifact(artifact_id) == added
    assert store.artifacts() == [added]
    assert store.find_artifact(artifact.digest) == added


def test_the_same_output_again_takes_the_place_of_the_first(store: MetadataStore) -> None:
    """A step that is run again leaves one artifact, with its id, and the edges of the last time."""
    old_parent, new_parent = (store.add_artifact(an_artifact(name), []) for name in ("a", "b"))
    first = store.add_artifact(an_artifact("model", digest=digest_of("old")), [old_parent])
    store.add_artifact(an_artifact("model", run_id="run-2"), [])
    child = store.add_artifact(an_artifact("scores"), [first])

    again = an_artifact("model", digest=digest_of("new"), version="2", type="FraudModel", size=7)
    second = store.add_artifact(again, [new_parent])

    assert second == first
    assert store.artifact(first) == attrs.evolve(again, artifact_id=first)
    assert store.lineage(first) == [LineageEdge(new_parent, first), LineageEdge(first, child)]
    assert not store.knows_digest(digest_of("old"))
    assert store.knows_digest(digest_of("new"))


def test_a_parent_counts_once(store: MetadataStore) -> None:
    """A step that takes one artifact for two parameters has one edge to it."""
    parent = store.add_artifact(an_artifact("data"), [])

    child = store.add_artifact(an_artifact("model"), [parent, parent])

    assert store.lineage(child) == [LineageEdge(parent, child)]


def test_an_artifact_is_not_made_from_itself(store: MetadataStore) -> None:
    """An edge from an artifact to itself is refused, and the artifact stays as it was."""
    artifact_id = store.add_artifact(an_artifact(size=1), [])

    with pytest.raises(MetadataError, match="run-1/model was not recorded"):
        store.add_artifact(an_artifact(size=2), [artifact_id])

    assert store.artifact(artifact_id).size == 1


def test_only_what_was_stored_is_known(store: MetadataStore) -> None:
    """A digest is known when an artifact has it, whole and exactly."""
    digest = digest_of("run-1/model")
    assert not store.knows_digest(digest)

    store.add_artifact(an_artifact(), [])

    assert store.knows_digest(digest)
    assert not store.knows_digest(digest[:-1])
    assert not store.knows_digest(digest.upper())


def test_of_several_with_one_digest_the_newest_is_meant(store: MetadataStore) -> None:
    """Two runs that stored the same content have an artifact each."""
    store.add_artifact(an_artifact(digest=digest_of("same")), [])
    newest = store.add_artifact(an_artifact(run_id="run-2", digest=digest_of("same")), [])

    assert store.find_artifact(digest_of("same")).artifact_id == newest


def test_an_unknown_id_is_said(store: MetadataStore) -> None:
    """The message names the store and the command that lists artifacts."""
    with pytest.raises(NotFoundError, match=r"id 77 in .*metadata.db; `flowyml artifact list`"):
        store.artifact(77)


fields = {
    "run_id": st.sampled_from(["run-1", "run-2"]),
    "step": st.sampled_from("st"),
    "name": st.sampled_from("nm"),
    "type": st.sampled_from(["Model", "Metrics"]),
}


@given(
    rows=st.lists(st.fixed_dictionaries(fields), max_size=15),
    wanted=st.fixed_dictionaries({}, optional=fields),
    limit=st.none() | st.integers(0, 4),
)
@settings(max_examples=120, deadline=None)
def test_a_list_is_the_newest_of_what_fits_all_conditions(
    rows: list[dict[str, Any]], wanted: dict[str, Any], limit: int | None
) -> None:
    """Lists agree with filtering all artifacts by hand, for every combination of conditions."""
    with new_store() as store:
        store.add_run(a_run("run-1"))
        store.add_run(a_run("run-2"))
        ids = [
            store.add_artifact(an_artifact(f"output-{number}", **row), [])
            for number, row in enumerate(rows)
        ]
        listed = [artifact.artifact_id for artifact in store.artifacts(**wanted, limit=limit)]

    fitting = [
        number for number, row in zip(ids, rows, strict=True) if row.items() >= wanted.items()
    ]
    assert listed == fitting[::-1][:limit]


def test_an_id_grows_with_every_artifact(store: MetadataStore) -> None:
    """Ids tell the order in which artifacts were added."""
    ids = [store.add_artifact(an_artifact(f"output-{number}"), []) for number in range(5)]

    assert all(earlier < later for earlier, later in pairwise(ids))


def test_a_manifest_that_is_no_json_is_refused_by_name(store: MetadataStore) -> None:
    """The message names the run and the output."""
    says = "the artifact run-1/model cannot be recorded"

    with pytest.raises(MetadataError, match=re.escape(says)):
        store.add_artifact(an_artifact(manifest={"value": object()}), [])


def test_what_was_collected_stays_in_the_records(store: MetadataStore, path: Path) -> None:
    """Every artifact at the URI is marked with the time; the next opening still knows."""
    parent = store.add_artifact(an_artifact("data"), [])
    child = store.add_artifact(an_artifact("model"), [parent])

    store.collect_artifact(store.artifact(parent).uri)

    with MetadataStore.open(path) as later:
        assert later.artifact(parent).collected_at is not None
        assert later.artifact(child).collected_at is None
        assert later.lineage(child) == [LineageEdge(parent, child)]


def test_what_is_stored_again_is_no_longer_collected(store: MetadataStore) -> None:
    """A step that ran again put its output back."""
    artifact_id = store.add_artifact(an_artifact(), [])
    store.collect_artifact(store.artifact(artifact_id).uri)

    store.add_artifact(an_artifact(), [])

    assert store.artifact(artifact_id).collected_at is None
