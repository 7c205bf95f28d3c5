"""The ledger keeps each delivery once, in order, and knows what is owed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metadata.metadata_samples import NOW, a_delivery, a_run, an_artifact, new_store

from flowyml.errors import MetadataError, NotFoundError
from flowyml.metadata.retention import Retention
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, RunStatus

HOOKS = ["store_artifact", "register_model", "deploy_model"]


@pytest.fixture
def store(store: MetadataStore) -> MetadataStore:
    """Give a store with two runs."""
    store.add_run(a_run("run-1"))
    store.add_run(a_run("run-2"))
    return store


def test_a_delivery_comes_back_as_it_was_added(store: MetadataStore) -> None:
    """Every field survives."""
    full = a_delivery(
        waits_for="manual", reason="waits", attempts=2, error="ü\x00", payload={"step": 1},
        reference="fraud@1", result={"version": "1", "list": [None, 1.5]},
    )  # fmt: skip
    bare = a_delivery(hook="log_metrics")

    store.add_deliveries([full, bare])

    assert store.deliveries("run-1") == [full, bare]
    assert store.delivery(full.key) == full
    assert store.delivery("nothing") is None


def test_deliveries_keep_the_order_in_which_they_were_added(store: MetadataStore) -> None:
    """The order is that of adding, not that of keys or updates, and each run has its own."""
    added = [a_delivery(hook=hook) for hook in HOOKS]
    store.add_deliveries(added)
    store.add_deliveries([a_delivery(run_id="run-2")])
    store.update_delivery(attrs.evolve(added[0], attempts=1))

    assert [delivery.hook for delivery in store.deliveries("run-1")] == HOOKS
    assert store.deliveries("run-3") == []


def test_adding_a_key_again_changes_nothing(store: MetadataStore) -> None:
    """A resumed run adds its deliveries again, and what was delivered stays delivered."""
    done = a_delivery(status=DeliveryStatus.DONE, reference="file:///x", attempts=1)
    store.add_deliveries([done])

    added = store.add_deliveries([a_delivery(), a_delivery(hook="register_model")])

    assert added == 1
    assert store.delivery(done.key) == done
    assert [delivery.hook for delivery in store.deliveries("run-1")] == HOOKS[:2]


def test_an_update_writes_down_how_it_stands(store: MetadataStore) -> None:
    """All that can change does; what is delivered, and where to, does not."""
    store.add_deliveries([a_delivery(waits_for="approval", reason="waits for approval")])
    updated = a_delivery(
        status=DeliveryStatus.FAILED, updated_at=NOW + timedelta(1), attempts=3, error="refused",
        payload={"a": 1}, reference="r", result={"b": 2},
    )  # fmt: skip

    store.update_delivery(updated)

    assert store.delivery(updated.key) == updated


def test_an_update_of_nothing_is_said(store: MetadataStore) -> None:
    """The message names hook, run, output and key."""
    with pytest.raises(
        NotFoundError, match=r"store_artifact of run-1/model is not in .*key sha256"
    ):
        store.update_delivery(a_delivery())


def test_deliveries_are_added_all_or_none(store: MetadataStore) -> None:
    """One that cannot be recorded takes the others with it, and is named."""
    odd = a_delivery(hook="register_model", payload={"value": object()})

    with pytest.raises(MetadataError, match="delivery register_model of run-1/model"):
        store.add_deliveries([a_delivery(), odd])

    assert store.deliveries("run-1") == []


@given(
    states=st.lists(
        st.fixed_dictionaries(
            {
                "run_id": st.sampled_from(["run-1", "run-2"]),
                "status": st.sampled_from(DeliveryStatus),
                "waits_for": st.sampled_from([None, "", "manual", "approval", "metrics"]),
            }
        ),
        max_size=8,
    ),
    change=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_the_debts_are_the_deliveries_that_are_debts(
    states: list[dict[str, Any]], change: st.DataObject
) -> None:
    """After any additions and updates the debts are those the records call debts, in order."""
    with new_store() as store:
        store.add_run(a_run("run-1"))
        store.add_run(a_run("run-2"))
        added = [a_delivery(output=f"o{n}", **state) for n, state in enumerate(states)]
        store.add_deliveries(added)
        if added:
            status = change.draw(st.sampled_from(DeliveryStatus))
            position = change.draw(st.integers(0, len(added) - 1))
            added[position] = attrs.evolve(added[position], status=status, waits_for=None)
            store.update_delivery(added[position])

        owed = [delivery for delivery in added if delivery.is_debt]
        assert store.debts() == owed
        for run_id in ("run-1", "run-2"):
            assert store.debts(run_id) == [d for d in owed if d.run_id == run_id]


def test_what_somebody_needs_is_claimed(store: MetadataStore) -> None:
    """Registered, waited for and owed is claimed; stored, logged and skipped alone is not."""
    done, skipped = DeliveryStatus.DONE, DeliveryStatus.SKIPPED
    lines = {
        "registered": a_delivery(hook="register_model", status=done),
        "waiting": a_delivery(hook="deploy_model", waits_for="approval"),
        "owed": a_delivery(hook="log_metrics", status=DeliveryStatus.FAILED),
        "theirs": a_delivery(hook="publish_prompt", status=done),
        "stored": a_delivery(hook="store_artifact", status=done),
        "logged": a_delivery(hook="log_metrics", status=done),
        "skipped": a_delivery(hook="register_model", status=skipped),
    }
    ids = {output: store.add_artifact(an_artifact(output), []) for output in lines}
    for output, line in lines.items():
        store.add_deliveries([attrs.evolve(line, key=output, output=output)])

    store.set_run_status("run-1", RunStatus.DONE)

    free = store.collectable(Retention(0, timedelta(0)), roots=["file:///artifacts"], in_use=())
    claimed = {output for output, number in ids.items() if number not in free}

    assert claimed == {"registered", "waiting", "owed", "theirs"}
