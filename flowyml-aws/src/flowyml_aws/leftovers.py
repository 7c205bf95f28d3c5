"""Models and configurations of SageMaker that serve nowhere any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowyml_aws.endpoints import Endpoint
from flowyml_aws.faults import is_missing
from flowyml_aws.names import resource_name, tag_map, unique_name

__all__ = ["ENDPOINT", "sweep", "tags_of"]

ENDPOINT: Final = "flowyml:endpoint"
"""The tag that says for which endpoint something was made."""


def sweep(client: Any, endpoint: str, look: Callable[[], Endpoint | None]) -> None:
    """Delete the models and configurations of an endpoint that do not serve there.

    Args:
        client: The client for SageMaker.
        endpoint: Name of the endpoint, as FlowyML has it.
        look: Describes the endpoint; None where there is none.
    """
    serving = look()
    kept = {serving.config} if serving else set()
    models = {model for config in kept for model in _models_of(client, config)}
    configs = set(_own(client, endpoint, "endpoint_configs", "EndpointConfig")) - kept
    unused = set(_own(client, endpoint, "models", "Model")) - models
    now = look()
    if now != serving or (now and now.moving):
        return  # another deployment is at work, and sweeps when it is done
    for config in sorted(configs):
        _quietly(client.delete_endpoint_config, EndpointConfigName=config)
    for model in sorted(unused):
        _quietly(client.delete_model, ModelName=model)


def tags_of(client: Any, arn: str) -> dict[str, str]:
    """Return the tags of a resource; none where it is gone."""
    try:
        pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
        return tag_map([tag for page in pages for tag in page["Tags"]])
    except Exception as error:
        if is_missing(error):
            return {}
        raise


def _own(client: Any, endpoint: str, kind: str, entry: str) -> list[str]:
    """List what FlowyML made for an endpoint: by the name first, then by the tag."""
    start = unique_name(resource_name(endpoint), "").rpartition("-")[0]
    pages = client.get_paginator(f"list_{kind}").paginate(NameContains=start)
    entries = [found for page in pages for found in page[f"{entry}s"]]
    return [
        found[f"{entry}Name"]
        for found in entries
        if found[f"{entry}Name"].startswith(f"{start}-")
        and tags_of(client, found[f"{entry}Arn"]).get(ENDPOINT) == endpoint
    ]


def _models_of(client: Any, config: str) -> list[str]:
    try:
        found = client.describe_endpoint_config(EndpointConfigName=config)
    except Exception as error:
        if is_missing(error):
            return []
        raise
    return [variant["ModelName"] for variant in found["ProductionVariants"]]


def _quietly(delete: Any, **named: str) -> None:
    try:
        delete(**named)
    except Exception as error:
        if not is_missing(error):
            raise
