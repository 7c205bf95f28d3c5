"""What a model runs on: the settings of an endpoint, from the stack and from the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define

from flowyml.errors import DeliveryError
from flowyml_aws.bundles import STARTING

__all__ = [
    "ENVIRONMENT",
    "VARIANT",
    "DataCapture",
    "Serverless",
    "capture_config",
    "container_environment",
    "production_variant",
]

ENVIRONMENT: Final = "environment"
"""The entry of `Model.serving_config` that holds the variables of the container."""

VARIANT: Final = "AllTraffic"


@define
class Serverless:
    """An endpoint without instances, which costs nothing while nobody asks.

    Attributes:
        memory_mb: Memory in MB: 1024 to 6144, in steps of 1024.
        max_concurrency: How many requests it answers at once.
        provisioned_concurrency: How many of them are kept warm; None for none.
    """

    memory_mb: int = 2048
    max_concurrency: int = 5
    provisioned_concurrency: int | None = None


@define
class DataCapture:
    """Requests and answers that are kept in S3.

    Attributes:
        destination: URI of the folder in S3.
        sampling_percentage: Share of the requests, in per cent.
        kms_key_id: Key that encrypts them.
    """

    destination: str
    sampling_percentage: int = 100
    kms_key_id: str | None = None


def container_environment(serving: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables of a container: the program's, then the user's own.

    Args:
        serving: `Model.serving_config`.

    Raises:
        DeliveryError: What it says there are no variables.
    """
    own = serving.get(ENVIRONMENT) or {}
    if not isinstance(own, Mapping) or None in own.values():
        message = (
            f"serving_config[{ENVIRONMENT!r}] maps names of variables to their values; got {own!r}"
        )
        raise DeliveryError(message)
    return {**STARTING, **{str(name): str(value) for name, value in own.items()}}


def production_variant(
    model: str,
    *,
    serverless: Serverless | None,
    instance_type: str,
    count: int,
    serving: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the one variant of an endpoint configuration.

    Args:
        model: SageMaker's name of the model.
        serverless: The stack's wish for an endpoint without instances.
        instance_type: The stack's instance type.
        count: The stack's number of instances.
        serving: `Model.serving_config`, which goes before the stack.
    """
    variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": model}
    if serverless is not None and "instance_type" not in serving:
        config = {
            "MemorySizeInMB": int(serving.get("memory_mb", serverless.memory_mb)),
            "MaxConcurrency": serverless.max_concurrency,
        }
        if serverless.provisioned_concurrency is not None:
            config["ProvisionedConcurrency"] = serverless.provisioned_concurrency
        return {**variant, "ServerlessConfig": config}
    return {
        **variant,
        "InstanceType": str(serving.get("instance_type", instance_type)),
        "InitialInstanceCount": int(serving.get("initial_instance_count", count)),
        "InitialVariantWeight": 1.0,
    }


def capture_config(capture: DataCapture) -> dict[str, Any]:
    """Return data capture as requests have it."""
    config = {
        "EnableCapture": True,
        "InitialSamplingPercentage": capture.sampling_percentage,
        "DestinationS3Uri": capture.destination,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    return {**config, "KmsKeyId": capture.kms_key_id} if capture.kms_key_id else config
