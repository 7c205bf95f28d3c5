"""What steps gave is kept by the digest of all that it depends on."""

from __future__ import annotations

import attrs
from tests.metadata.metadata_samples import NOW, a_run

from flowyml.metadata.rows import ResultRecord
from flowyml.metadata.store import MetadataStore

RESULT = ResultRecord("key-1", "production", "train", "run-1", {"its code": "abc"}, NOW)


def test_a_result_is_found_by_its_key(store: MetadataStore) -> None:
    """What was added comes back as it was; an unknown key finds nothing."""
    store.add_run(a_run())
    store.add_result(RESULT)

    assert store.result("key-1") == RESULT
    assert store.result("key-2") is None


def test_a_key_has_one_result(store: MetadataStore) -> None:
    """The same key again takes the place of what was there."""
    store.add_run(a_run())
    store.add_result(RESULT)
    store.add_result(attrs.evolve(RESULT, parts={}))

    assert store.result("key-1") == attrs.evolve(RESULT, parts={})


def test_the_newest_result_of_a_step_is_found(store: MetadataStore) -> None:
    """It is the one that was added last, also where that was there before."""
    store.add_run(a_run())
    for key in ("key-1", "key-2", "key-1"):
        store.add_result(attrs.evolve(RESULT, key=key))

    newest = store.newest_result("production", "train")

    assert newest is not None
    assert newest.key == "key-1"
    assert store.newest_result("production", "evaluate") is None
