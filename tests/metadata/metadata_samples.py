"""Records to fill a metadata store with; every field may be given, none has to be."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord, ModelEvent, RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, RunStatus

NOW = datetime(2026, 11, 24, 10, 34, 45, 123456, tzinfo=UTC)

DELIVERY = DeliveryRecord(
    key="",
    run_id="run-1",
    step="train",
    output="model",
    hook="store_artifact",
    component="artifact_store",
    component_type="local",
    status=DeliveryStatus.PENDING,
    created_at=NOW,
    updated_at=NOW,
)

EVENT = ModelEvent(
    model="fraud",
    version="1.0",
    kind="registered",
    digest="sha256:" + "a" * 64,
    actor="ada",
    comment="",
    at=NOW,
)


def digest_of(text: str) -> str:
    """Return the digest of a text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def a_run(run_id: str = "run-1", **fields: Any) -> RunRecord:
    """Return a run."""
    run = RunRecord(run_id, "fraud", "local", RunStatus.RUNNING, NOW)
    return attrs.evolve(run, **fields)


def an_artifact(output: str = "model", **fields: Any) -> ArtifactRecord:
    """Return an artifact of the first run whose content is its place."""
    run_id = fields.get("run_id", "run-1")
    artifact = ArtifactRecord(
        run_id=run_id,
        pipeline="fraud",
        step="train",
        output=output,
        type="Model",
        name=output,
        version=None,
        store="artifact_store",
        uri=f"file:///artifacts/{run_id}/{output}",
        digest=digest_of(f"{run_id}/{output}"),
        size=120,
        manifest={"type": "Model", "files": [{"name": "model.pkl", "size": 120}]},
        created_at=NOW,
    )
    return attrs.evolve(artifact, **fields)


def a_delivery(**fields: Any) -> DeliveryRecord:
    """Return a delivery whose key follows from run, output, hook and component."""
    delivery = attrs.evolve(DELIVERY, **fields)
    place = f"{delivery.run_id}/{delivery.output}/{delivery.hook}/{delivery.component}"
    return delivery if delivery.key else attrs.evolve(delivery, key=digest_of(place))


def an_event(**fields: Any) -> ModelEvent:
    """Return an entry for a model's history."""
    return attrs.evolve(EVENT, **fields)


@contextmanager
def new_store(now: datetime | None = None) -> Iterator[MetadataStore]:
    """Give an empty store, for a property test that needs one for each example.

    Args:
        now: The time at which its clock stands still; None for a clock that goes.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        MetadataStore.open(
            Path(folder) / "metadata.db", clock=lambda: now or datetime.now(UTC)
        ) as store,
    ):
        yield store
