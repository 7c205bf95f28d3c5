"""What the tests of flowyml-aws send to the servers: models to store, register and deploy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from sklearn.linear_model import LinearRegression

from flowyml.core import Model
from flowyml.records import DeliveryContext, Producer, Registration, RunInfo, StoredArtifact
from flowyml.serialization import pack
from flowyml.storage.files import StoreRequest
from flowyml_aws.storage import S3ArtifactStore

BUCKET: Final = "artifacts"
ROLE: Final = "arn:aws:iam::123456789012:role/serving"

RUN = RunInfo("run-1", "training", "staging", datetime(2026, 1, 2, tzinfo=UTC))
PRODUCER = Producer("training", "run-1", "train", "model")


def a_context(key: str = "key-1") -> DeliveryContext:
    """Return the context of one delivery."""
    return DeliveryContext(key, RUN, PRODUCER)


def a_model(slope: float = 2.0, **fields: Any) -> Model:
    """Return a model that multiplies by a number."""
    rows = np.array([[0.0], [1.0], [2.0]])
    fitted = LinearRegression(fit_intercept=False).fit(rows, rows[:, 0] * slope)
    return Model(fitted, **{"name": "fraud_detector", "version": "1.0.0", **fields})


def stored(store: S3ArtifactStore, model: Model, path: str = "run-1/model") -> StoredArtifact:
    """Store a model."""
    packed = pack(model, type_name="Model", name="model", producer=PRODUCER, key="stored")
    request = StoreRequest(path, packed.manifest, packed.write)
    return store.store_artifact(request, a_context("stored"))


def a_registration(
    store: S3ArtifactStore, model: Model | None = None, path: str = "run-1/model"
) -> Registration:
    """Store a model and return the request to register it."""
    model = model or a_model()
    return Registration(
        name=model.name or "model",
        version=model.version,
        stored=stored(store, model, path),
        framework=model.framework,
        metadata=model.metadata,
        input_schema=model.input_schema,
        output_schema=model.output_schema,
        serving_config=model.serving_config,
    )
