"""Model packages: how a registered model is written down in SageMaker, and read back.

The metadata of a package holds what FlowyML knows about the model. Listings do not show it, so the
description repeats version and delivery key, and only packages that fit are looked at closely.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

from flowyml.errors import DeliveryError
from flowyml.records import ApprovalStatus, DeliveryContext, ModelVersion, Registration
from flowyml_aws.bundles import STARTING, Bundle
from flowyml_aws.names import quote, resource_name, unquote
from flowyml_aws.properties import read_properties, write_properties
from flowyml_aws.variants import ENVIRONMENT, container_environment

__all__ = [
    "ALIAS",
    "APPROVALS",
    "NAME",
    "Summary",
    "check_name",
    "client_token",
    "description",
    "group_name",
    "model_version",
    "package_fields",
    "registered_bundle",
]

REGISTRY: Final = "sagemaker_model_registry"
NAME: Final = "flowyml:name"
ALIAS: Final = "flowyml:alias:"
UNCOUNTED: Final = "="
"""Stands in the description for a version that SageMaker counts."""

APPROVALS: Mapping[ApprovalStatus, str] = {
    "none": "PendingManualApproval",
    "pending": "PendingManualApproval",
    "approved": "Approved",
    "rejected": "Rejected",
}
DECISIONS: Mapping[str, ApprovalStatus] = {"Approved": "approved", "Rejected": "rejected"}

NEEDED: Final = ("name", "uri", "digest", "key")
"""Facts without which a package is no version."""

MARK = re.compile(r"\[flowyml (?P<version>[^\[\]]+) (?P<key>\S+)\]$")
LONGEST_LABEL = 400
LONGEST_URI = 250


@frozen
class Summary:
    """A package as listings show it.

    Attributes:
        arn: Its ARN.
        number: SageMaker's count within the group.
        version: The user's version; SageMaker's count where the user gave none.
        key: Key of the delivery that registered it.
    """

    arn: str
    number: int
    version: str
    key: str

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Summary | None:
        """Read an entry of a listing; None for a package that FlowyML did not make."""
        found = MARK.search(entry.get("ModelPackageDescription") or "")
        if found is None:
            return None
        number = int(entry["ModelPackageVersion"])
        counted = found["version"] == UNCOUNTED
        version = str(number) if counted else unquote(found["version"])
        return cls(entry["ModelPackageArn"], number, version, unquote(found["key"]))


def check_name(name: str) -> None:
    """Refuse a name of which nothing could be seen.

    Raises:
        DeliveryError: It is one.
    """
    if not name.strip() or not name.isprintable():
        message = f"SageMaker gets no model named {name!r}; call it by letters that can be printed"
        raise DeliveryError(message)


def group_name(name: str) -> str:
    """Return the name of the package group that holds a model's versions."""
    return resource_name(name)


def client_token(key: str, version: str | None) -> str:
    """Return a delivery's key, and what it makes, as one of SageMaker's idempotency tokens."""
    return hashlib.sha256(f"{key} {version or ''}".encode()).hexdigest()[:36]


def description(registration: Registration, key: str) -> str:
    """Return the description of a package: for people first, the mark for listings last."""
    producer = registration.stored.manifest.producer
    origin = f" by run {producer.run_id}, step {producer.step}" if producer else ""
    label = f"{registration.name} {registration.version or ''}".strip()[:LONGEST_LABEL] + origin
    version = UNCOUNTED if registration.version is None else _word(registration.version)
    return f"{_printable(label)} [flowyml {version} {_word(key)}]"


def package_fields(
    registration: Registration, context: DeliveryContext, bundle: Bundle, image: str
) -> dict[str, Any]:
    """Return the parameters that register a model as a package of its group."""
    kinds = registration.serving_config.get("content_types") or ["application/json"]
    container = {
        "Image": image,
        "ModelDataUrl": bundle.uri,
        "Environment": container_environment(registration.serving_config),
    }
    producer = registration.stored.manifest.producer
    made_by = {"GeneratedBy": f"flowyml {producer.pipeline} {producer.run_id}"} if producer else {}
    fields = {
        "ModelPackageGroupName": group_name(registration.name),
        "ModelPackageDescription": description(registration, context.key),
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": [kinds] if isinstance(kinds, str) else list(kinds),
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "ModelApprovalStatus": "PendingManualApproval",
        "CustomerMetadataProperties": write_properties(_facts(registration, context, bundle)),
        "ClientToken": client_token(context.key, registration.version),
    }
    return {**fields, "MetadataProperties": made_by} if made_by else fields


def model_version(package: Mapping[str, Any], aliases: Mapping[str, str]) -> ModelVersion:
    """Return what a described package says about its model.

    Args:
        package: The answer of ``describe_model_package``; one that FlowyML made.
        aliases: Version by alias, of the whole group.

    Raises:
        DeliveryError: Somebody took away a property of it, so that it cannot be read any more.
    """
    facts = read_properties(package.get("CustomerMetadataProperties") or {})
    own = facts.get("flowyml", {})
    serving = facts.get("serving") or {}
    if missing := [f"flowyml.{name}" for name in NEEDED if name not in own]:
        message = (
            f"{', '.join(missing)} is gone from the metadata of {package['ModelPackageArn']}; put "
            "back there what it was, or delete this package and register the model anew"
        )
        raise DeliveryError(message)
    version = str(own.get("version", package["ModelPackageVersion"]))
    return ModelVersion(
        name=str(own["name"]),
        version=version,
        uri="".join(own["uri"]) if isinstance(own["uri"], list) else str(own["uri"]),
        digest=str(own["digest"]),
        registry=REGISTRY,
        created_at=package["CreationTime"],
        registry_id=package["ModelPackageArn"],
        key=str(own["key"]),
        framework=own.get("framework"),
        run_id=own.get("run"),
        approval=DECISIONS.get(package.get("ModelApprovalStatus") or "", "pending"),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == version)),
        metadata=facts.get("metadata") or {},
        input_schema=facts.get("input_schema"),
        output_schema=facts.get("output_schema"),
        serving_config={**serving, **_environment_of(package)},
    )


def registered_bundle(package: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of the bundle that a package was registered with."""
    facts = read_properties(package.get("CustomerMetadataProperties") or {})
    found = facts.get("flowyml", {}).get("bundle")
    return None if found is None else str(found)


def _facts(registration: Registration, context: DeliveryContext, bundle: Bundle) -> dict[str, Any]:
    """Return everything worth keeping, what must not be lost first."""
    uri = registration.stored.uri
    pieces = [
        uri[start : start + LONGEST_URI // 3] for start in range(0, len(uri), LONGEST_URI // 3)
    ]
    producer = registration.stored.manifest.producer
    own: dict[str, Any] = {
        "name": registration.name,
        "uri": uri if len(quote(uri)) <= LONGEST_URI else pieces,
        "digest": registration.stored.digest,
        "key": context.key,
        "bundle": bundle.sha256,
        "run": context.run.run_id,
    }
    if registration.version is not None:
        own["version"] = registration.version
    if registration.framework is not None:
        own["framework"] = registration.framework
    if producer is not None:
        own |= {"pipeline": producer.pipeline, "step": producer.step, "output": producer.output}
    serving = registration.serving_config
    metrics = registration.metadata.get("metrics", {})
    rest = {name: value for name, value in registration.metadata.items() if name != "metrics"}
    return {
        "flowyml": own,
        "serving": {name: kept for name, kept in serving.items() if name != ENVIRONMENT},
        "metadata": {"metrics": metrics, **rest},
        "input_schema": registration.input_schema if registration.input_schema is not None else {},
        "output_schema": (
            registration.output_schema if registration.output_schema is not None else {}
        ),
    }


def _environment_of(package: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the user's variables of the container, which has room for whole ones."""
    (container,) = package["InferenceSpecification"]["Containers"]
    variables = container.get("Environment") or {}
    own = {
        name: value for name, value in variables.items() if (name, value) not in STARTING.items()
    }
    return {ENVIRONMENT: own} if own else {}


def _word(text: str) -> str:
    return quote(text).replace(" ", "=20")


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
