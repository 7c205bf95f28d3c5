"""Collecting clears the stores of a stack, and never without knowing what is needed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from tests.metadata.metadata_samples import a_delivery, a_run, an_artifact

from flowyml.errors import DeliveryError
from flowyml.metadata.lease import Lease
from flowyml.metadata.owners import new_owner
from flowyml.metadata.retention import Retention
from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord
from flowyml.metadata.store import MetadataStore
from flowyml.plugins import discovery
from flowyml.records import DeliveryStatus, RunStatus
from flowyml.routing.garbage import Collector
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project
from flowyml.stacks.stack import Stack

NOTHING = Retention(0, timedelta(0))

SILENT_REGISTRY = """\
from attrs import define
from flowyml.errors import DeliveryError
from flowyml.plugins import ModelRegistry, hookimpl


@define(slots=False)
class Registry(ModelRegistry):
    @hookimpl
    def list_models(self, name):
        raise DeliveryError("the registry does not answer")
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Give a stack with everything on this disk."""
    return Configuration.read(Project(tmp_path, None)).build("local")


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[MetadataStore]:
    """Give a store that knows of one run that is done."""
    with MetadataStore.open(tmp_path / ".flowyml" / "metadata.db") as metadata:
        metadata.add_run(a_run(status=RunStatus.DONE))
        yield metadata


def stored(stack: Stack, metadata: MetadataStore, output: str) -> ArtifactRecord:
    """Put a folder into the store, and its record into the metadata."""
    uri = f"{stack.store_uri('artifact_store')}/run-1/{output}"
    folder = Path(uri.removeprefix("file://"))
    folder.mkdir(parents=True)
    (folder / "artifact.json").write_text("{}")
    record = an_artifact(output, uri=uri)
    return attrs.evolve(record, artifact_id=metadata.add_artifact(record, []))


def is_there(artifact: ArtifactRecord) -> bool:
    """Whether an artifact lies in the store."""
    return Path(artifact.uri.removeprefix("file://"), "artifact.json").is_file()


def test_what_is_found_is_deleted_and_recorded(stack: Stack, metadata: MetadataStore) -> None:
    """To find deletes nothing; to collect deletes just what was found."""
    artifact = stored(stack, metadata, "data")
    collector = Collector(stack, metadata, NOTHING)

    assert list(collector.find()) == [artifact.artifact_id]
    assert is_there(artifact)
    assert list(collector.collect()) == [artifact]
    assert not is_there(artifact)
    assert metadata.artifact(artifact.artifact_id).collected_at
    assert list(collector.find()) == []


def test_whoever_stops_in_between_can_go_on(stack: Stack, metadata: MetadataStore) -> None:
    """What was deleted but not yet recorded is recorded by the next one."""
    artifact = stored(stack, metadata, "data")
    stack.hooks.delete_artifact("artifact_store", artifact.uri)

    assert list(Collector(stack, metadata, NOTHING).collect()) == [artifact]
    assert metadata.artifact(artifact.artifact_id).collected_at


@pytest.mark.parametrize(
    "need",
    [
        a_delivery(hook="register_model", status=DeliveryStatus.DONE),
        a_delivery(hook="deploy_model", waits_for="approval"),
        a_delivery(hook="log_metrics", status=DeliveryStatus.FAILED),
    ],
    ids=["registered", "awaits approval", "owed"],
)
def test_what_the_ledger_needs_stays(
    stack: Stack, metadata: MetadataStore, need: DeliveryRecord
) -> None:
    """Whichever stack's components wrote it."""
    artifact = stored(stack, metadata, "model")
    metadata.add_deliveries([need])

    assert list(Collector(stack, metadata, NOTHING).collect()) == []
    assert is_there(artifact)


def test_a_run_that_somebody_works_on_keeps_everything(
    stack: Stack, metadata: MetadataStore
) -> None:
    """Its next step may need it, whatever its status says at the moment."""
    stored(stack, metadata, "data")

    with Lease(metadata, "run-1"):
        assert list(Collector(stack, metadata, NOTHING).find()) == []


def test_a_run_whose_process_was_stopped_for_long_keeps_everything(
    stack: Stack, metadata: MetadataStore
) -> None:
    """A machine that slept renewed no lease, and its processes go on."""
    metadata.acquire_lease("run-1", new_owner(), 0)
    stored(stack, metadata, "data")

    assert list(Collector(stack, metadata, NOTHING).find()) == []


def test_a_run_whose_process_was_killed_is_collected_like_any_other(
    stack: Stack, metadata: MetadataStore
) -> None:
    """It says for ever that it is running, and its lease has ended."""
    metadata.set_run_status("run-1", RunStatus.RUNNING)
    metadata.acquire_lease("run-1", "a process that was killed", 0)
    artifact = stored(stack, metadata, "data")

    assert list(Collector(stack, metadata, NOTHING).collect()) == [artifact]
    assert not is_there(artifact)


def test_what_a_killed_run_stored_last_stays_for_a_while(
    stack: Stack, metadata: MetadataStore
) -> None:
    """So that it can be resumed."""
    metadata.set_run_status("run-1", RunStatus.RUNNING)
    stored(stack, metadata, "data")

    assert list(Collector(stack, metadata).find()) == []


def test_the_stores_of_other_stacks_are_left_alone(stack: Stack, metadata: MetadataStore) -> None:
    """What this stack cannot reach, it does not collect."""
    metadata.add_artifact(an_artifact(uri="s3://elsewhere/run-1/model"), [])

    assert list(Collector(stack, metadata, NOTHING).find()) == []


def test_a_registry_that_does_not_answer_stops_everything(
    tmp_path: Path, metadata: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deleted without its word."""
    site = tmp_path / "site"
    facts = site / "silent-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: silent\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(
        "[flowyml.model_registry]\nsilent = silent_registry:Registry\n"
    )
    (site / "silent_registry.py").write_text(SILENT_REGISTRY)
    monkeypatch.syspath_prepend(str(site))
    discovery.installed.cache_clear()
    config = tmp_path / "flowyml.yaml"
    config.write_text("stacks:\n  a:\n    model_registry: { type: silent }\n")
    stack = Configuration.read(Project(tmp_path, config)).build("a")
    discovery.installed.cache_clear()
    artifact = stored(stack, metadata, "data")

    with pytest.raises(DeliveryError, match="does not answer"):
        list(Collector(stack, metadata, NOTHING).collect())

    assert is_there(artifact)
