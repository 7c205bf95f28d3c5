"""Runs are added once, changed by id, found by the beginning of an id, and listed newest first."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metadata.metadata_samples import NOW, a_run, new_store

from flowyml.errors import MetadataError, NotFoundError
from flowyml.metadata.rows import RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import RunStatus

LATER = NOW + timedelta(hours=1)
NAIVE = NOW.replace(tzinfo=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
times = st.datetimes(timezones=st.just(UTC))
zoned_times = st.datetimes(
    NAIVE.replace(year=2000), NAIVE.replace(year=2100), timezones=st.timezones()
)


@given(
    run=st.builds(
        RunRecord,
        run_id=texts,
        pipeline=texts,
        stack=texts,
        status=st.sampled_from(RunStatus),
        started_at=times,
        reference=st.none() | texts,
        config=st.none() | texts,
        parameters=st.dictionaries(st.text(), json_values, max_size=3),
        finished_at=st.none() | times,
        error=st.none() | texts,
    )
)
@settings(max_examples=60, deadline=None)
def test_a_run_comes_back_as_it_was_added(run: RunRecord) -> None:
    """Every field survives, whatever characters, moments and values it holds."""
    with new_store() as store:
        store.add_run(run)

        assert store.runs() == [run]
        if run.run_id:
            assert store.run(run.run_id) == run


@given(moment=zoned_times)
@settings(max_examples=60, deadline=None)
def test_a_time_in_any_zone_comes_back_as_the_same_moment(moment: datetime) -> None:
    """Times are kept in UTC, to the microsecond."""
    with new_store() as store:
        store.add_run(a_run(started_at=moment))
        (run,) = store.runs()

    assert run.started_at == moment.astimezone(UTC)
    assert run.started_at.tzinfo is UTC


def test_an_id_is_given_once(store: MetadataStore) -> None:
    """A second run with the id of another is refused, and the first stays as it is."""
    store.add_run(a_run())

    with pytest.raises(MetadataError, match=r"'run-1' is already in .*another id"):
        store.add_run(a_run(pipeline="other"))

    assert store.run("run-1").pipeline == "fraud"


def test_parameters_that_are_no_json_are_refused_by_name(store: MetadataStore) -> None:
    """The message says which run and what kind of value."""
    with pytest.raises(MetadataError, match=r"'run-1' cannot be recorded: .*set.*JSON values"):
        store.add_run(a_run(parameters={"columns": {1, 2}}))

    assert store.runs() == []


@pytest.mark.parametrize("status", [status for status in RunStatus if status != "running"])
def test_every_status_but_running_ends_a_run_now(path: Path, status: RunStatus) -> None:
    """The end is taken from the clock, and going on takes it away with the error."""
    with MetadataStore.open(path, clock=lambda: LATER) as store:
        store.add_run(a_run())
        store.set_run_status("run-1", status, error="why")
        ended = store.run("run-1")
        store.set_run_status("run-1", RunStatus.RUNNING)
        again = store.run("run-1")

    assert (ended.status, ended.finished_at, ended.error) == (status, LATER, "why")
    assert (again.status, again.finished_at, again.error) == (RunStatus.RUNNING, None, None)


def test_an_error_is_recorded_whatever_characters_it_has(store: MetadataStore) -> None:
    """A message with a file name that is no valid text does not keep a failure from being kept."""
    store.add_run(a_run())
    store.set_run_status("run-1", RunStatus.FAILED, error="no file 'caf\udce9\x00.csv'")

    assert store.run("run-1").error == "no file 'caf\\udce9\x00.csv'"


def test_a_run_is_found_by_the_beginning_of_its_id(store: MetadataStore) -> None:
    """A prefix is enough where it is unique; a whole id is, even where it begins another."""
    for run_id in ("abc", "abcd", "b%c", "b_c", "ü-1"):
        store.add_run(a_run(run_id))

    found = {prefix: store.run(prefix).run_id for prefix in ("abc", "abcd", "b%", "b_", "ü")}

    assert found == {"abc": "abc", "abcd": "abcd", "b%": "b%c", "b_": "b_c", "ü": "ü-1"}


def test_a_prefix_of_several_ids_lists_them(store: MetadataStore) -> None:
    """An ambiguous prefix is an error with the candidates, the first five of them."""
    for number in range(7):
        store.add_run(a_run(f"abc-{number}"))

    listed = "abc-0, abc-1, abc-2, abc-3, abc-4, ...; give more characters"
    with pytest.raises(NotFoundError, match=re.escape(listed)):
        store.run("abc")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("20261124-bbb", "did you mean '20261124-abb'"),
        ("zzz", "no run 'zzz' in .*`flowyml runs list` shows the newest"),
        ("", "no run ''"),
    ],
)
def test_a_run_that_is_not_there_is_said(store: MetadataStore, reference: str, says: str) -> None:
    """The message names the store, close matches and the command that lists runs."""
    store.add_run(a_run("20261124-abb"))

    with pytest.raises(NotFoundError, match=says) as raised:
        store.run(reference)

    assert str(store._database.path) in str(raised.value)


def test_in_an_empty_store_there_is_nothing_to_find(store: MetadataStore) -> None:
    """The first thing to do is to run something."""
    with pytest.raises(NotFoundError, match="it has none; try `flowyml run`"):
        store.run("abc")


def test_the_status_of_a_run_is_set_by_its_whole_id(store: MetadataStore) -> None:
    """What changes a run does not guess which one is meant."""
    store.add_run(a_run("abc"))

    with pytest.raises(NotFoundError, match=r"no run 'ab'.*did you mean 'abc'"):
        store.set_run_status("ab", RunStatus.DONE)

    assert store.run("abc").status is RunStatus.RUNNING


@given(
    ids=st.lists(st.text("abc%_é", min_size=1, max_size=4), unique=True, max_size=12),
    prefix=st.text("abc%_é", min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_a_prefix_means_what_it_says(ids: list[str], prefix: str) -> None:
    """Look-up by prefix agrees with comparing every id."""
    fitting = [prefix] if prefix in ids else [run_id for run_id in ids if run_id.startswith(prefix)]
    with new_store() as store:
        for run_id in ids:
            store.add_run(a_run(run_id))
        if len(fitting) == 1:
            assert store.run(prefix).run_id == fitting[0]
        else:
            with pytest.raises(NotFoundError, match="ambiguous" if fitting else "no run"):
                store.run(prefix)


@given(
    rows=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(RunStatus)), max_size=12),
    pipeline=st.none() | st.sampled_from("abc"),
    status=st.none() | st.sampled_from(RunStatus),
    limit=st.none() | st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_a_list_is_the_newest_of_what_fits(
    rows: list[tuple[str, RunStatus]], pipeline: Any, status: Any, limit: Any
) -> None:
    """Lists agree with filtering all runs by hand, newest first."""
    with new_store() as store:
        for number, (name, state) in enumerate(rows):
            store.add_run(a_run(f"run-{number}", pipeline=name, status=state))
        listed = [run.run_id for run in store.runs(pipeline=pipeline, status=status, limit=limit)]

    expected = [
        f"run-{number}"
        for number, (name, state) in reversed(list(enumerate(rows)))
        if pipeline in {None, name} and status in {None, state}
    ]
    assert listed == expected[:limit]


def test_a_time_without_a_zone_is_refused(store: MetadataStore) -> None:
    """A moment that could be anywhere is a mistake of the caller."""
    with pytest.raises(TypeError):
        store.add_run(a_run(started_at=NAIVE))


def test_a_clock_of_another_zone_is_understood(path: Path) -> None:
    """What the clock says is kept in UTC."""
    zone = timezone(timedelta(hours=5))
    with MetadataStore.open(path, clock=lambda: LATER.astimezone(zone)) as store:
        store.add_run(a_run())
        store.set_run_status("run-1", RunStatus.DONE)

        assert store.run("run-1").finished_at == LATER
