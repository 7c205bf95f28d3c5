"""Versions of models: how a registered model is written down in Vertex AI, and read back.

What listings are searched by are labels. What has no field and no label is JSON in the description.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, get_args

from flowyml.errors import DeliveryError
from flowyml.records import ApprovalStatus, DeliveryContext, ModelVersion, Registration
from flowyml_gcp.names import (
    digest_label,
    digest_of,
    label_text,
    label_value,
    version_of,
)
from flowyml_gcp.vertex import MANAGED

__all__ = [
    "REGISTRY",
    "description",
    "folder",
    "is_ours",
    "labels_of",
    "model_version",
    "predict_schemata",
]

REGISTRY: Final = "vertex_model_registry"

LONGEST_DESCRIPTION: Final = 4000

APPROVAL: Final = "flowyml-approval"
DIGEST: Final = "flowyml-digest"
FRAMEWORK: Final = "flowyml-framework"
KEY: Final = "flowyml-key"
VERSION: Final = "flowyml-version"


def is_ours(model: Any) -> bool:
    """Whether FlowyML registered a version, and not somebody in the console."""
    return DIGEST in model.labels


def model_version(model: Any) -> ModelVersion:
    """Return the record of one version as Vertex AI describes it.

    Raises:
        DeliveryError: Somebody changed a label of it, so that it cannot be read any more.
    """
    facts = _facts(model.version_description)
    own = {VERSION: label_text, DIGEST: digest_of, KEY: digest_of, APPROVAL: _approval}
    told = {name: _told(model, name, read) for name, read in own.items() if name in model.labels}
    resource = model.name.partition("@")[0]
    aliases = (alias for alias in model.version_aliases if version_of(alias) is None)
    return ModelVersion(
        name=model.display_name,
        version=told.get(VERSION, model.version_id),
        uri=facts.get("uri") or model.artifact_uri,
        digest=f"sha256:{told[DIGEST]}" if DIGEST in told else "",
        registry=REGISTRY,
        created_at=model.version_create_time or model.create_time,
        registry_id=f"{resource}@{model.version_id}",
        key=told.get(KEY),
        framework=label_text(model.labels[FRAMEWORK]) if FRAMEWORK in model.labels else None,
        run_id=facts.get("run_id"),
        approval=told.get(APPROVAL, "none"),
        aliases=tuple(alias for alias in aliases if alias != "default"),
        metadata=facts.get("metadata", {}),
        input_schema=facts.get("input_schema"),
        output_schema=facts.get("output_schema"),
        serving_config=facts.get("serving_config", {}),
    )


def _told(model: Any, name: str, read: Callable[[str], Any]) -> Any:
    value = model.labels[name]
    try:
        return read(value)
    except ValueError as cause:
        version = f"version {model.version_id} of the model {model.display_name!r}"
        message = (
            f"the label {name!r} of {version} was changed in Vertex AI: it is {value!r}; put back "
            "there what it was, or delete this version and register the model anew"
        )
        raise DeliveryError(message) from cause


def _approval(text: str) -> str:
    if text not in get_args(ApprovalStatus):
        raise ValueError(text)
    return text


def folder(registration: Registration) -> str:
    """Return the folder that holds the data files: below the artifact's own where they are new."""
    stored = registration.stored
    return "/".join(part for part in (stored.uri.rstrip("/"), stored.manifest.generation) if part)


def labels_of(registration: Registration, context: DeliveryContext) -> dict[str, str]:
    """Return the labels of a version: what it is found by, and what people may ask for."""
    labels = {
        **MANAGED,
        DIGEST: digest_label(registration.stored.digest),
        KEY: digest_label(context.key),
        "flowyml-run": label_value(context.run.run_id),
        "flowyml-pipeline": label_value(context.run.pipeline),
        "flowyml-step": label_value(context.producer.step),
    }
    if registration.framework:
        labels[FRAMEWORK] = label_value(registration.framework)
    if registration.version:
        labels[VERSION] = label_value(registration.version, what="version")
    return labels


def predict_schemata(registration: Registration) -> dict[str, str]:
    """Pass on schemas that are files in Cloud Storage, the only form that Vertex AI takes."""
    schemas = {
        "instance_schema_uri": registration.input_schema,
        "prediction_schema_uri": registration.output_schema,
    }
    return {
        name: schema
        for name, schema in schemas.items()
        if isinstance(schema, str) and schema.startswith("gs://")
    }


def description(registration: Registration) -> str:
    """Keep what has no field of its own as JSON; leave out the largest where it is too long."""
    producer = registration.stored.manifest.producer
    facts = {
        "uri": registration.stored.uri,
        "run_id": producer.run_id if producer else None,
        "metadata": registration.metadata,
        "serving_config": registration.serving_config,
        "input_schema": registration.input_schema,
        "output_schema": registration.output_schema,
    }
    text = json.dumps(facts, default=str)
    while len(text) > LONGEST_DESCRIPTION:
        largest = max(facts, key=lambda name: len(json.dumps(facts[name], default=str)))
        facts.pop(largest)
        text = json.dumps({**facts, "cut": f"{largest} is in artifact.json"}, default=str)
    return text


def _facts(description: str) -> dict[str, Any]:
    try:
        facts = json.loads(description or "{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
