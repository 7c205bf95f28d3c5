"""A user names an artifact by id, URI, RUN/output, name, step.output or digest."""

from __future__ import annotations

import re

import pytest
from tests.metadata.metadata_samples import a_run, an_artifact, digest_of

from flowyml.errors import NotFoundError
from flowyml.metadata.store import MetadataStore

CAFE = "sha256:cafe" + "0" * 60
CAFF = "sha256:caff" + "0" * 60
DECADE = "sha256:decade" + "1" * 58
DIGITS = "sha256:" + "1234" * 16


@pytest.fixture
def store(store: MetadataStore) -> MetadataStore:
    """Give a store with artifacts of two runs; the second run's have the same names."""
    store.add_run(a_run("aa-1"))
    store.add_run(a_run("ab-1"))
    store.add_artifact(an_artifact("model", run_id="aa-1", digest=CAFE, name="fraud"), [])
    store.add_artifact(an_artifact("model.0", run_id="aa-1", digest=CAFF, name="team/fraud"), [])
    store.add_artifact(an_artifact("model", run_id="ab-1", digest=DECADE, name="fraud"), [])
    store.add_artifact(an_artifact("stats", run_id="ab-1", digest=DIGITS, name="decade"), [])
    for output, run_id, digit in (("first.rows", "aa-1", "7"), ("out", "ab-1", "8")):
        loaded = an_artifact(output, run_id=run_id, step="v1.load", digest="sha256:" + digit * 64)
        store.add_artifact(loaded, [])
    called = an_artifact("train.first", run_id="ab-1", name="first", digest="sha256:" + "6" * 64)
    store.add_artifact(called, [])
    return store


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("v1.load.out", "ab-1/out"),
        ("v1.load.first.rows", "aa-1/first.rows"),
        ("train.model", "ab-1/model"),
        ("train.first", "ab-1/train.first"),
        ("train.model.0", "aa-1/model.0"),
        ("aa-1/train.model", "aa-1/model"),
        ("aa-1:train.model", "aa-1/model"),
        ("aa:model", "aa-1/model"),
        ("run:aa-1/train.model.0", "aa-1/model.0"),
        ("run:aa-1:model", "aa-1/model"),
        ("1", "aa-1/model"),
        ("0003", "ab-1/model"),
        ("file:///artifacts/aa-1/model", "aa-1/model"),
        ("aa-1/model", "aa-1/model"),
        ("aa/model.0", "aa-1/model.0"),
        ("ab/model", "ab-1/model"),
        ("fraud", "ab-1/model"),
        ("team/fraud", "aa-1/model.0"),
        (CAFE, "aa-1/model"),
        ("sha256:cafe", "aa-1/model"),
        ("sha256:d", "ab-1/model"),
        ("cafe", "aa-1/model"),
        ("CAFE0", "aa-1/model"),
        (CAFF.removeprefix("sha256:"), "aa-1/model.0"),
        ("decade", "ab-1/stats"),
        ("sha256:decade", "ab-1/model"),
        ("decade1", "ab-1/model"),
        ("1234", "ab-1/stats"),
    ],
)
def test_every_way_of_naming_an_artifact_finds_it(
    store: MetadataStore, reference: str, found: str
) -> None:
    """Prefixes of runs and digests will do; of one name the newest is meant; a name goes first."""
    artifact = store.find_artifact(reference)

    assert f"{artifact.run_id}/{artifact.output}" == found


def test_an_output_of_a_step_is_found_behind_runs_that_have_it_not(store: MetadataStore) -> None:
    """Five runs are looked through; for an older one, the message tells what to write."""
    for number in range(5):
        store.add_run(a_run(f"b-{number}"))
        store.add_artifact(an_artifact("other", run_id=f"b-{number}"), [])
        if number == 3:
            assert store.find_artifact("train.model").run_id == "ab-1"

    with pytest.raises(NotFoundError) as raised:
        store.find_artifact("train.model")

    said = str(raised.value)
    assert "where the 5 newest runs with a step 'train' were looked through;" in said
    assert "RUN/output" in said
    assert store.find_artifact("ab-1:train.model").run_id == "ab-1"


def test_the_newest_of_one_uri_is_meant(store: MetadataStore) -> None:
    """A path that a rule lets runs overwrite belongs to the last of them."""
    uri = "file:///artifacts/latest"
    store.add_artifact(an_artifact("x", run_id="aa-1", uri=uri), [])
    newest = store.add_artifact(an_artifact("x", run_id="ab-1", uri=uri), [])

    assert store.find_artifact(uri).artifact_id == newest


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("a/model", "the run 'a' is ambiguous .* it may be aa-1, ab-1; give more characters"),
        ("sha256:caf", "may be sha256:cafe00000000, sha256:caff00000000; give more of its digits"),
        ("fruad", "no artifact 'fruad' .*; did you mean 'fraud'"),
        ("aa-1/modell", "the run 'aa-1' stored no output 'modell' .* did you mean 'aa-1/model' or"),
        ("run:ab-1/train.modell", "the run 'ab-1' stored no output 'train.modell'"),
        ("run:nope/model", "no run 'nope'"),
        ("train.modell", "did you mean 'train.model'"),
        ("train.", "no artifact 'train.'"),
        ("caf", "no artifact 'caf'"),
        ("99", "no artifact '99'"),
        ("9" * 30, "no artifact '999"),
        ("²", "no artifact '²'"),
        ("", "no artifact ''"),
        ("/", "no artifact '/'"),
        ("sha256:", "no artifact 'sha256:'"),
        ("s3://nowhere/model", "no artifact 's3://nowhere/model'"),
        ("fraud%", "named by its id, its URI, RUN/output, its name, step.output or"),
    ],
)
def test_what_names_none_or_several_is_said(
    store: MetadataStore, reference: str, says: str
) -> None:
    """The message lists the candidates, or says how artifacts are named and what comes close."""
    with pytest.raises(NotFoundError, match=says):
        store.find_artifact(reference)


def test_many_digests_with_one_beginning_are_not_all_listed(store: MetadataStore) -> None:
    """Five candidates are enough to see that more digits are needed."""
    for number in range(8):
        digest = f"sha256:beef{number}" + "0" * 59
        store.add_artifact(an_artifact(f"o{number}", run_id="aa-1", digest=digest), [])

    with pytest.raises(NotFoundError, match=re.escape("sha256:beef40000000, ...; give more")):
        store.find_artifact("beef")


def test_one_digest_of_many_artifacts_is_one_meaning(store: MetadataStore) -> None:
    """Content that many runs stored is found by a short prefix of its digest."""
    digest = digest_of("constant")
    for number in range(8):
        last = store.add_artifact(an_artifact(f"o{number}", run_id="aa-1", digest=digest), [])

    assert store.find_artifact(digest[:15]).artifact_id == last


def test_in_an_empty_store_there_is_no_artifact(store: MetadataStore) -> None:
    """A store without artifacts says what makes some."""
    with (
        MetadataStore.open(store._database.path.with_name("other.db")) as empty,
        pytest.raises(NotFoundError, match="it has none; try `flowyml run`"),
    ):
        empty.find_artifact("fraud")
