"""A model's history is only ever added to, and whatever is changed in it shows."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from tests.metadata.metadata_samples import an_event, digest_of

from flowyml.errors import MetadataError
from flowyml.metadata.store import MetadataStore

KINDS = ("registered", "requested", "approved", "deployed", "undeployed")

COLUMNS = {
    "model": "other",
    "sequence": 77,
    "version": "9.9",
    "kind": "rejected",
    "digest": digest_of("another"),
    "actor": "eve",
    "comment": "fine",
    "at": 1,
    "details": '{"endpoint": "x"}',
    "previous": digest_of("another"),
    "entry_hash": digest_of("another"),
}


@pytest.fixture
def store(store: MetadataStore) -> MetadataStore:
    """Give a store with a history of five entries, and another model's between them."""
    for kind in KINDS:
        store.append_event(an_event(kind=kind, details={"endpoint": "fraud"}))
        store.append_event(an_event(model="churn", kind=kind))
    return store


def _tamper(store: MetadataStore, sql: str, *values: object) -> None:
    """Change the tables as somebody does who has taken the guards away."""
    store._database.write("DROP TRIGGER IF EXISTS model_events_stay", (), about="tampering")
    store._database.write("DROP TRIGGER IF EXISTS model_events_remain", (), about="tampering")
    assert store._database.write(sql, values, about="tampering").rowcount == 1


def test_an_entry_comes_back_as_it_was_added(store: MetadataStore) -> None:
    """What is returned is what is kept, with the sequence and the hashes."""
    event = an_event(comment="ü", details={"run": "run-1", "list": [1, None]})

    added = store.append_event(event)

    assert store.events("fraud")[-1] == added
    assert added.sequence == len(KINDS) + 1
    assert attrs.evolve(added, sequence=0, previous="", entry_hash="") == event


def test_each_entry_carries_the_hash_of_the_one_before(store: MetadataStore) -> None:
    """The first has none; each model has a chain and a count of its own."""
    for model in ("fraud", "churn"):
        events = store.events(model)
        assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
        assert [event.kind for event in events] == list(KINDS)
        hashes = [event.entry_hash for event in events]
        assert [event.previous for event in events] == ["", *hashes[:-1]]
        assert store.verify_history(model) is None
    assert store.events("fraud")[0].entry_hash != store.events("churn")[0].entry_hash


def test_a_model_without_a_history_has_nothing_wrong(store: MetadataStore) -> None:
    """There is nothing to list and nothing to verify."""
    assert store.events("nothing") == []
    assert store.verify_history("nothing") is None


@pytest.mark.parametrize("sequence", range(1, 6))
@pytest.mark.parametrize("column", COLUMNS)
def test_a_change_to_any_column_of_any_entry_shows(
    store: MetadataStore, column: str, sequence: int
) -> None:
    """The first entry that is wrong is named, whichever column was changed."""
    sql = f"UPDATE model_events SET {column} = ? WHERE model = 'fraud' AND sequence = ?"

    _tamper(store, sql, COLUMNS[column], sequence)

    assert store.verify_history("fraud") == sequence
    assert store.verify_history("churn") is None
    # An entry that was moved to another model is one too many there.
    assert store.verify_history("other") == (1 if column == "model" else None)


@pytest.mark.parametrize("sequence", range(1, 6))
def test_a_removed_entry_shows(store: MetadataStore, sequence: int) -> None:
    """Also the last one, whose removal leaves a chain without a fault."""
    _tamper(store, "DELETE FROM model_events WHERE model = 'fraud' AND sequence = ?", sequence)

    assert store.verify_history("fraud") == sequence


def test_a_removed_end_still_shows_after_more_was_added(store: MetadataStore) -> None:
    """New entries do not cover up that others are missing."""
    _tamper(store, "DELETE FROM model_events WHERE model = 'fraud' AND sequence = 5")

    store.append_event(an_event())

    assert store.verify_history("fraud") == 5


def test_entries_that_changed_places_show(store: MetadataStore) -> None:
    """Every entry is where it was added, or it is wrong."""
    for old, new in ((2, 100), (3, 2), (100, 3)):
        sql = "UPDATE model_events SET sequence = ? WHERE model = 'fraud' AND sequence = ?"
        _tamper(store, sql, new, old)

    assert store.verify_history("fraud") == 2


def test_an_entry_that_was_smuggled_in_shows(store: MetadataStore) -> None:
    """An entry with a fitting hash that the store did not add is one too many."""
    with MetadataStore.open(store._database.path.with_name("other.db")) as forge:
        for kind in (*KINDS, "approved"):
            forged = forge.append_event(an_event(kind=kind, details={"endpoint": "fraud"}))
        row = forge._database.row("SELECT * FROM model_events WHERE sequence = 6")
    assert row
    assert forged.previous == store.events("fraud")[-1].entry_hash
    store._database.write(
        "INSERT INTO model_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row, about="forgery"
    )

    assert store.verify_history("fraud") == 6


@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("DELETE FROM model_heads WHERE model = 'fraud'", 1),
        ("UPDATE model_heads SET sequence = 3 WHERE model = 'fraud'", 4),
        ("UPDATE model_heads SET sequence = 9 WHERE model = 'fraud'", 6),
        ("UPDATE model_heads SET entry_hash = 'x' WHERE model = 'fraud'", 5),
    ],
)
def test_a_change_to_the_end_of_the_chain_shows(
    store: MetadataStore, sql: str, broken: int
) -> None:
    """What says where the chain ends has to agree with it."""
    _tamper(store, sql)

    assert store.verify_history("fraud") == broken


@pytest.mark.parametrize(
    "sql", ["UPDATE model_events SET actor = 'eve'", "DELETE FROM model_events"]
)
def test_the_file_itself_refuses_changes(store: MetadataStore, sql: str) -> None:
    """A program that does not know better cannot change or remove an entry."""
    with pytest.raises(MetadataError, match="the history of a model is only ever added to"):
        store._database.write(sql, (), about="a change")

    assert store.verify_history("fraud") is None


def test_an_entry_that_cannot_be_read_is_said(store: MetadataStore) -> None:
    """A history that was changed into nonsense is an error that says how to find the place."""
    _tamper(store, "UPDATE model_events SET details = 'x' WHERE model = 'fraud' AND sequence = 2")

    with pytest.raises(MetadataError, match=r"model 'fraud' .*changed from outside.*model history"):
        store.events("fraud")
    assert store.verify_history("fraud") == 2


def test_a_history_survives_the_store(path: Path, store: MetadataStore) -> None:
    """The chain goes on where it ended when the store was closed."""
    store.close()

    with MetadataStore.open(path) as again:
        assert again.append_event(an_event()).sequence == len(KINDS) + 1
        assert again.verify_history("fraud") is None
