"""What the records of a step need to travel, where another machine does not share the project.

The task brings what is written down about the run and the step's inputs; the machine keeps a
metadata store of its own with it; the outcome brings back what was added there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from cattrs.preconf.json import make_converter

from flowyml.errors import NotFoundError
from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord, RunRecord, StepRecord
from flowyml.metadata.store import MetadataStore

__all__ = ["for_the_way_back", "for_the_way_there", "unpack_back", "unpack_there"]

Place = tuple[str, str]
"""A step and an output."""


@frozen
class _There:
    run: RunRecord
    artifacts: list[ArtifactRecord]


@frozen
class _Back:
    step: StepRecord
    artifacts: list[ArtifactRecord]
    parents: list[list[Place]]
    deliveries: list[DeliveryRecord]


_CONVERTER = make_converter()


def for_the_way_there(
    metadata: MetadataStore, run_id: str, upstream: Iterable[str]
) -> dict[str, Any]:
    """Return what a step needs to know: the run, and what the steps before it stored."""
    stored = [
        record for step in upstream for record in metadata.artifacts(run_id=run_id, step=step)
    ]
    plain: dict[str, Any] = _CONVERTER.unstructure(_There(metadata.run(run_id), stored))
    return plain


def unpack_there(metadata: MetadataStore, step: str, records: Mapping[str, Any]) -> None:
    """Write down what a task brought; what is there already is brought up to date."""
    brought = _CONVERTER.structure(records, _There)
    run_id = brought.run.run_id
    with metadata.transaction():
        if not _knows(metadata, run_id):
            metadata.add_run(brought.run)
        metadata.add_steps(run_id, [*{record.step for record in brought.artifacts}, step])
        for record in brought.artifacts:
            metadata.add_artifact(record, ())


def _knows(metadata: MetadataStore, run_id: str) -> bool:
    try:
        return metadata.run(run_id).run_id == run_id
    except NotFoundError:
        return False


def for_the_way_back(metadata: MetadataStore, run_id: str, step: str) -> dict[str, Any]:
    """Return what was written down about a step."""
    (told,) = [record for record in metadata.steps(run_id) if record.name == step]
    places = {
        record.artifact_id: (record.step, record.output)
        for record in metadata.artifacts(run_id=run_id)
    }
    stored = metadata.artifacts(run_id=run_id, step=step)
    parents = [
        [
            places[edge.parent]
            for edge in metadata.lineage(record.artifact_id, depth=1)
            if edge.child == record.artifact_id
        ]
        for record in stored
    ]
    delivered = [each for each in metadata.deliveries(run_id) if each.step == step]
    plain: dict[str, Any] = _CONVERTER.unstructure(_Back(told, stored, parents, delivered))
    return plain


def unpack_back(metadata: MetadataStore, records: Mapping[str, Any]) -> None:
    """Write down what an outcome brought back."""
    brought = _CONVERTER.structure(records, _Back)
    step = brought.step
    ids = {
        (record.step, record.output): record.artifact_id
        for record in metadata.artifacts(run_id=step.run_id)
    }
    with metadata.transaction():
        metadata.start_step(step.run_id, step.name)
        for record, parents in zip(brought.artifacts, brought.parents, strict=True):
            metadata.add_artifact(record, [ids[place] for place in parents if place in ids])
        metadata.add_deliveries(brought.deliveries)
        for delivery in brought.deliveries:
            metadata.update_delivery(delivery)
        metadata.set_step_status(
            step.run_id,
            step.name,
            step.status,
            error=step.error,
            cached_from=step.cached_from,
            note=step.note,
        )
