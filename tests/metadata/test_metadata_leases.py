"""A run has one owner at a time, and an owner that vanished does not keep it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import define
from tests.metadata.metadata_samples import NOW

from flowyml.metadata.store import MetadataStore


@define
class Clock:
    """Stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Move on."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """Give a clock that is moved by hand."""
    return Clock()


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[MetadataStore]:
    """Give a store with a clock that is moved by hand."""
    with MetadataStore.open(path, clock=clock) as store:
        yield store


def test_a_run_has_one_owner(store: MetadataStore) -> None:
    """While one has it nobody else gets it; another run is free."""
    assert store.acquire_lease("run-1", "first", seconds=10)

    assert not store.acquire_lease("run-1", "second", seconds=10)
    assert store.acquire_lease("run-2", "second", seconds=10)


def test_a_lease_counts_in_every_connection(store: MetadataStore, path: Path, clock: Clock) -> None:
    """Another process that opened the same file sees the lease."""
    store.acquire_lease("run-1", "first", seconds=10)

    with MetadataStore.open(path, clock=clock) as other:
        assert not other.acquire_lease("run-1", "second", seconds=10)


@pytest.mark.parametrize(("passed", "free"), [(9.999, False), (10, True), (11, True)])
def test_a_lease_expires(store: MetadataStore, clock: Clock, passed: float, free: bool) -> None:
    """When its time is up another owner may take it, and not before."""
    store.acquire_lease("run-1", "first", seconds=10)
    clock.pass_by(passed)

    assert store.acquire_lease("run-1", "second", seconds=10) is free


def test_a_renewed_lease_lasts_from_the_renewal(store: MetadataStore, clock: Clock) -> None:
    """An owner that goes on renewing keeps the run."""
    store.acquire_lease("run-1", "first", seconds=10)
    clock.pass_by(9)
    assert store.renew_lease("run-1", "first", seconds=10)
    clock.pass_by(9)

    assert not store.acquire_lease("run-1", "second", seconds=10)
    clock.pass_by(1)
    assert store.acquire_lease("run-1", "second", seconds=10)


def test_a_late_renewal_holds_while_nobody_took_the_run(store: MetadataStore, clock: Clock) -> None:
    """An owner that was slow goes on, because nobody else has had the run in between."""
    store.acquire_lease("run-1", "first", seconds=10)
    clock.pass_by(60)

    assert store.renew_lease("run-1", "first", seconds=10)
    assert not store.acquire_lease("run-1", "second", seconds=10)


@pytest.mark.parametrize("second_is_done", [False, True])
def test_a_lost_lease_is_not_renewed(
    store: MetadataStore, clock: Clock, second_is_done: bool
) -> None:
    """An owner whose run was taken learns it at its next renewal, even if it is free again."""
    store.acquire_lease("run-1", "first", seconds=10)
    clock.pass_by(60)
    store.acquire_lease("run-1", "second", seconds=10)
    if second_is_done:
        store.release_lease("run-1", "second")

    assert not store.renew_lease("run-1", "first", seconds=10)
    assert store.acquire_lease("run-1", "third", seconds=10) is second_is_done


def test_the_owner_may_take_its_run_again(store: MetadataStore, clock: Clock) -> None:
    """Taking what one has is a renewal."""
    store.acquire_lease("run-1", "first", seconds=10)
    clock.pass_by(9)

    assert store.acquire_lease("run-1", "first", seconds=10)
    clock.pass_by(9)
    assert not store.acquire_lease("run-1", "second", seconds=10)


def test_a_released_run_is_free(store: MetadataStore) -> None:
    """Giving back works once, and the next owner need not wait."""
    store.acquire_lease("run-1", "first", seconds=10)

    assert store.release_lease("run-1", "first")
    assert not store.release_lease("run-1", "first")
    assert store.acquire_lease("run-1", "second", seconds=10)


def test_nobody_gives_back_what_another_has(store: MetadataStore) -> None:
    """A release or a renewal by another owner is refused and changes nothing."""
    store.acquire_lease("run-1", "first", seconds=10)

    assert not store.release_lease("run-1", "second")
    assert not store.renew_lease("run-1", "second", seconds=10)
    assert not store.acquire_lease("run-1", "second", seconds=10)
    assert store.renew_lease("run-1", "first", seconds=10)
