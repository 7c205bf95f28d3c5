"""``flowyml artifact`` tells what is stored and where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Ask
from tests.metadata.metadata_samples import a_run, an_artifact, digest_of

from flowyml.metadata.store import MetadataStore

KEYS = {
    "id",
    "run_id",
    "pipeline",
    "step",
    "output",
    "name",
    "version",
    "type",
    "status",
    "uri",
    "store",
    "digest",
    "size",
    "created_at",
    "collected_at",
}


@pytest.fixture
def chain(metadata: MetadataStore) -> list[int]:
    """Give three artifacts, each made from the one before."""
    metadata.add_run(a_run())
    ids: list[int] = []
    for output, type_ in (("data", "Dataset"), ("model", "Model"), ("metrics", "Metrics")):
        artifact = an_artifact(output, step=f"make_{output}", type=type_)
        ids.append(metadata.add_artifact(artifact, ids[-1:]))
    return ids


def test_nothing_is_stored_yet(flowyml: Ask, project: Path) -> None:
    """A list of nothing is an answer, and asking for it leaves nothing behind."""
    assert flowyml("artifact", "list").out == "No artifacts.\n"
    assert flowyml("artifact", "list", "-o", "json").objects == []
    assert list(project.iterdir()) == []


@pytest.mark.usefixtures("chain")
def test_artifacts_are_listed_the_newest_first(flowyml: Ask) -> None:
    """JSON has the documented keys."""
    listed = flowyml("artifact", "list", "-o", "json").objects

    assert [artifact["name"] for artifact in listed] == ["metrics", "model", "data"]
    assert all(set(artifact) == KEYS for artifact in listed)
    assert listed[1]["uri"] == "file:///artifacts/run-1/model"
    assert listed[1]["digest"] == digest_of("run-1/model")
    assert listed[1]["status"] == "stored"


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--type", "Model"], ["model"]),
        (["--step", "make_data"], ["data"]),
        (["--name", "metrics"], ["metrics"]),
        (["--run", "run"], ["metrics", "model", "data"]),
        (["--run", "run-1", "--type", "Dataset"], ["data"]),
        (["-n", "2"], ["metrics", "model"]),
    ],
)
def test_a_list_of_artifacts_can_be_narrowed(
    flowyml: Ask, options: list[str], found: list[str]
) -> None:
    """By run, step, name, type and count."""
    listed = flowyml("artifact", "list", *options, "-o", "json").objects

    assert [artifact["name"] for artifact in listed] == found


def test_an_artifact_is_named_in_many_ways(flowyml: Ask, chain: list[int]) -> None:
    """By id, URI, RUN/output, name and digest."""
    digest = digest_of("run-1/model")
    names = [
        str(chain[1]),
        "file:///artifacts/run-1/model",
        "run-1/model",
        "run:run-1/model",
        "model",
        digest,
        digest[:15],
    ]
    shown = [flowyml("artifact", "show", name, "-o", "json").objects[0] for name in names]

    assert {artifact["id"] for artifact in shown} == {chain[1]}
    assert shown[0]["manifest"] == {
        "type": "Model",
        "files": [{"name": "model.pkl", "size": 120}],
    }


@pytest.mark.usefixtures("chain")
def test_an_artifact_is_shown_with_its_files(flowyml: Ask) -> None:
    """A person reads where it lies, who made it, and what is in it."""
    shown = flowyml("artifact", "show", "model").out

    assert "uri      file:///artifacts/run-1/model\n" in shown
    assert "made by  fraud: make_model.model\n" in shown
    assert "model.pkl" in shown


@pytest.mark.usefixtures("chain")
def test_lineage_leads_both_ways(flowyml: Ask) -> None:
    """Descendants, the artifact itself, ancestors; each with what it was made from."""
    related = flowyml("artifact", "lineage", "model", "-o", "json").objects

    assert [(item["name"], item["relation"], item["distance"]) for item in related] == [
        ("metrics", "descendant", 1),
        ("model", "self", 0),
        ("data", "ancestor", 1),
    ]
    assert related[1]["parents"] == [related[2]["id"]]
    assert all(set(item) == KEYS | {"relation", "distance", "parents"} for item in related)


@pytest.mark.usefixtures("chain")
def test_lineage_goes_as_far_as_it_is_asked(flowyml: Ask) -> None:
    """One generation is not two."""
    near = flowyml("artifact", "lineage", "metrics", "--depth", "1", "-o", "json").objects
    far = flowyml("artifact", "lineage", "metrics", "-o", "json").objects

    assert [item["name"] for item in near] == ["metrics", "model"]
    assert [item["distance"] for item in far] == [0, 1, 2]


@pytest.mark.usefixtures("chain")
def test_an_artifact_that_does_not_exist(flowyml: Ask) -> None:
    """The message says what a reference may be."""
    answer = flowyml("artifact", "show", "modle")

    assert answer.code == 2
    assert "did you mean 'model'" in answer.err


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "model", "--all"]])
def test_verify_wants_one_or_all(flowyml: Ask, arguments: list[str]) -> None:
    """Neither and both are bad usage."""
    answer = flowyml("artifact", *arguments)

    assert answer.code == 2
    assert "give the artifact to verify, or --all" in answer.err


@pytest.mark.parametrize("age", ["30", "d", "-1d", "1y", "9999999d"])
def test_an_age_has_a_unit(flowyml: Ask, age: str) -> None:
    """What is no age is refused before anything is looked at."""
    answer = flowyml("artifact", "gc", f"--older-than={age}", "--dry-run")

    assert answer.code == 2
    assert "write a number and a unit" in answer.err
