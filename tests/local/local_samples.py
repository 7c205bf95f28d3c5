"""Records as the tests of the local backends need them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from flowyml.records import (
    DeliveryContext,
    Manifest,
    Producer,
    Registration,
    RunInfo,
    StoredArtifact,
    StoredFile,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

PRODUCER = Producer(pipeline="fraud", run_id="run-1", step="train", output="model")


def a_context(key: str = "key-1", run_id: str = "run-1") -> DeliveryContext:
    """Return what a hook is told, under the idempotency key of a test."""
    return DeliveryContext(key, RunInfo(run_id, "fraud", "local", NOW), PRODUCER)


def a_stored(content: str = "weights") -> StoredArtifact:
    """Return a stored model whose digest depends on the content."""
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    manifest = Manifest(
        type="Model",
        python_type="sklearn.svm._classes:SVC",
        artifact_class="flowyml.artifacts:Model",
        serializer="pickle",
        serializer_version=1,
        files=(StoredFile("model.pkl", len(content), sha256),),
        name="fraud_detector",
        created_at=NOW,
    )
    return StoredArtifact(f"file:///models/{sha256[:8]}", "local", manifest)


def a_registration(
    version: str | None = "1.0.0",
    name: str = "fraud_detector",
    content: str = "weights",
    **more: Any,
) -> Registration:
    """Return a model that wants to be registered."""
    return Registration(name, version, a_stored(content), framework="sklearn", **more)
