"""What ``-o json`` prints: one mapping for each record, under keys that scripts rely on.

docs/cli.md documents the keys. One may be added; none is renamed or taken away.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flowyml.metadata.rows import (
    ArtifactRecord,
    DeliveryRecord,
    ModelEvent,
    RunRecord,
    StepRecord,
)
from flowyml.records import Deployment, ModelVersion

__all__ = [
    "artifact_object",
    "delivery_object",
    "deployment_object",
    "event_object",
    "model_object",
    "run_object",
    "step_object",
]


def run_object(run: RunRecord, *, worked_on: bool | None = None) -> dict[str, Any]:
    """Return a run.

    Args:
        run: The run.
        worked_on: Of one that is marked as running, whether a process works on it.
    """
    return {
        "run_id": run.run_id,
        "pipeline": run.pipeline,
        "stack": run.stack,
        "status": run.status.value,
        "worked_on": worked_on,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "seconds": _seconds(run.started_at, run.finished_at),
        "reference": run.reference,
        "config": run.config,
        "parameters": run.parameters,
        "error": run.error,
    }


def step_object(step: StepRecord) -> dict[str, Any]:
    """Return a step of a run."""
    return {
        "name": step.name,
        "status": step.status.value,
        "attempts": step.attempts,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "seconds": _seconds(step.started_at, step.finished_at),
        "cached_from": step.cached_from,
        "note": step.note,
        "error": step.error,
    }


def artifact_object(artifact: ArtifactRecord) -> dict[str, Any]:
    """Return a stored artifact."""
    return {
        "id": artifact.artifact_id,
        "run_id": artifact.run_id,
        "pipeline": artifact.pipeline,
        "step": artifact.step,
        "output": artifact.output,
        "name": artifact.name,
        "version": artifact.version,
        "type": artifact.type,
        "status": "collected" if artifact.collected_at else "stored",
        "uri": artifact.uri,
        "store": artifact.store,
        "digest": artifact.digest,
        "size": artifact.size,
        "created_at": artifact.created_at,
        "collected_at": artifact.collected_at,
    }


def delivery_object(delivery: DeliveryRecord) -> dict[str, Any]:
    """Return a line of the ledger."""
    return {
        "key": delivery.key,
        "run_id": delivery.run_id,
        "step": delivery.step,
        "output": delivery.output,
        "hook": delivery.hook,
        "component": delivery.component,
        "type": delivery.component_type,
        "status": delivery.status.value,
        "waits_for": delivery.waits_for,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "error": delivery.error,
        "reference": delivery.reference,
        "result": delivery.result,
        "created_at": delivery.created_at,
        "updated_at": delivery.updated_at,
    }


def model_object(model: ModelVersion, deployments: tuple[Deployment, ...] = ()) -> dict[str, Any]:
    """Return a version of a model, with the endpoints that serve it."""
    serving = [
        deployment
        for deployment in deployments
        if (deployment.model, deployment.version) == (model.name, model.version)
    ]
    approval = "registered" if model.approval == "none" else model.approval
    return {
        "name": model.name,
        "version": model.version,
        "status": "deployed" if serving else approval,
        "approval": model.approval,
        "aliases": list(model.aliases),
        "uri": model.uri,
        "digest": model.digest,
        "run_id": model.run_id,
        "registry": model.registry,
        "registry_id": model.registry_id,
        "framework": model.framework,
        "metadata": model.metadata,
        "input_schema": model.input_schema,
        "output_schema": model.output_schema,
        "serving_config": model.serving_config,
        "created_at": model.created_at,
        "deployments": [deployment_object(deployment) for deployment in serving],
    }


def deployment_object(deployment: Deployment) -> dict[str, Any]:
    """Return what serves at an endpoint."""
    return {
        "endpoint": deployment.endpoint,
        "name": deployment.model,
        "version": deployment.version,
        "status": deployment.status,
        "url": deployment.url,
        "digest": deployment.digest,
        "deployer": deployment.deployer,
        "created_at": deployment.created_at,
    }


def event_object(event: ModelEvent) -> dict[str, Any]:
    """Return an entry of a model's history."""
    return {
        "sequence": event.sequence,
        "name": event.model,
        "version": event.version,
        "kind": event.kind,
        "digest": event.digest,
        "actor": event.actor,
        "comment": event.comment,
        "at": event.at,
        "details": event.details,
        "previous": event.previous,
        "entry_hash": event.entry_hash,
    }


def _seconds(started: datetime | None, finished: datetime | None) -> float | None:
    return (finished - started).total_seconds() if started and finished else None
