"""What the records of a step need to travel, where another machine does not share the project.

The task brings what is written down about the run and the step's inputs; the machine keeps a
metadata store of its own with it; the outcome brings back what was added there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
from attrs import frozen
from cattrs.preconf.json import make_converter

from flowyml.errors import NotFoundError
from flowyml.metadata.rows import (
    ArtifactRecord,
    DeliveryRecord,
    ModelEvent,
    RunRecord,
    StepRecord,
)
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
    events: list[ModelEvent]


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
    models = dict.fromkeys(name for delivery in delivered for name in _models(delivery))
    events = [event for model in models for event in metadata.events(model)]
    back = _Back(told, stored, parents, delivered, events)
    plain: dict[str, Any] = _CONVERTER.unstructure(back)
    return plain


def _models(delivery: DeliveryRecord) -> Iterator[str]:
    """Yield the models whose history a delivery may have added to."""
    for facts in (delivery.payload or {}, delivery.result or {}):
        yield from (facts[key] for key in ("name", "model") if isinstance(facts.get(key), str))


def unpack_back(metadata: MetadataStore, records: Mapping[str, Any]) -> None:
    """Write down what an outcome brought back; the same outcome again changes nothing."""
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
        _add_events(metadata, brought.events)
        metadata.set_step_status(
            step.run_id,
            step.name,
            step.status,
            error=step.error,
            cached_from=step.cached_from,
            note=step.note,
        )


def _add_events(metadata: MetadataStore, events: Iterable[ModelEvent]) -> None:
    """Append to the histories what is not in them yet; here it gets a place and hashes anew."""
    for event in events:
        bare = attrs.evolve(event, sequence=0, previous="", entry_hash="")
        known = (
            attrs.evolve(each, sequence=0, previous="", entry_hash="")
            for each in metadata.events(event.model)
        )
        if bare not in known:
            metadata.append_event(bare)
