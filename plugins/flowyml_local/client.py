"""The two questions that a server answers, asked over HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from flowyml.errors import DeliveryError
from flowyml_local.endpoints import Endpoint

__all__ = ["address", "ask", "is_healthy"]

WILDCARDS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # only read

HEALTH_PATIENCE: Final = 5.0
"""Seconds for a server to say that it is there."""

PREDICT_PATIENCE: Final = 300.0
"""Seconds for a server to predict."""


def address(endpoint: Endpoint) -> str:
    """Return the URL at which this machine reaches the endpoint."""
    host = _host(endpoint)
    return f"http://[{host}]:{endpoint.port}" if ":" in host else f"http://{host}:{endpoint.port}"


def is_healthy(endpoint: Endpoint) -> bool:
    """Whether the very server that is on record answers at its address."""
    try:
        status, said = _request(endpoint, "GET", "/health", None, HEALTH_PATIENCE)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return status == http.client.OK and said.get("launch") == endpoint.launch


def ask(endpoint: Endpoint, instances: Sequence[Any]) -> Sequence[Any]:
    """Return one prediction for each instance.

    Raises:
        DeliveryError: The server cannot be reached, or refuses.
    """
    body = json.dumps({"instances": instances}).encode()
    try:
        status, said = _request(endpoint, "POST", "/predict", body, PREDICT_PATIENCE)
    except (OSError, http.client.HTTPException, ValueError) as cause:
        message = (
            f"the endpoint {endpoint.name!r} does not answer at {address(endpoint)}: {cause}; "
            f"`flowyml model deploy {endpoint.model} --version {endpoint.version}` starts it again"
        )
        raise DeliveryError(message, transient=True) from cause
    if status != http.client.OK:
        message = f"the endpoint {endpoint.name!r} refuses ({status}): {said.get('error')}"
        raise DeliveryError(message)
    predictions: Sequence[Any] = said["predictions"]
    return predictions


def _host(endpoint: Endpoint) -> str:
    return WILDCARDS.get(endpoint.host, endpoint.host)


def _request(
    endpoint: Endpoint, method: str, path: str, body: bytes | None, patience: float
) -> tuple[int, dict[str, Any]]:
    """Ask directly: a proxy that the environment names has no business on the way."""
    connection = http.client.HTTPConnection(_host(endpoint), endpoint.port, timeout=patience)
    with closing(connection):
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        said: dict[str, Any] = json.loads(response.read())
        return response.status, said
