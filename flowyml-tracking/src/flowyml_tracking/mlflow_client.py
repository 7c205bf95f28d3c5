"""The way to an MLflow server, and what its failures mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from flowyml.errors import DeliveryError, PluginError
from flowyml_tracking.addresses import without_password

__all__ = ["answers", "connect", "is_missing", "is_passing", "is_taken"]

SETTINGS: Final = MappingProxyType(
    {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # A run's address is in the ledger; MLflow would print it between the user's own lines.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # MLflow would send a request again whose answer got lost, also one that makes something. A
        # delivery that failed is tried again anyway, and looks first for what was made before.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    }
)
"""Settings of MLflow's that exist only as environment variables; the user's own go first."""

PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same call may go through."""


@cache
def connect(tracking_uri: str | None, registry_uri: str | None = None) -> Any:
    """Return the client of one server, the same for all who ask; importing MLflow takes seconds.

    Raises:
        PluginError: There is no MLflow in this environment.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError as cause:
        message = f"MLflow cannot be imported: {cause}; `pip install 'flowyml[mlflow]'` brings it"
        raise PluginError(message) from cause
    with answers(tracking_uri or "its default address", "open its client"):
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri or tracking_uri)


@contextmanager
def answers(uri: str, task: str) -> Iterator[None]:
    """Turn what MLflow raises in a block into an error that names the server and the task.

    Args:
        uri: Address of the server.
        task: What the block asks for, as it stands after "could not".

    Raises:
        DeliveryError: MLflow refused, or could not be reached.
    """
    try:
        yield
    except DeliveryError:
        raise
    except _failures() as cause:
        shown = without_password(uri)
        reason = without_password(str(cause).partition("\n")[0]) or type(cause).__name__
        message = f"MLflow at {shown} could not {task}: {reason}"
        # A password in the address would come back with the cause.
        secret = without_password(str(cause)) != str(cause)
        error = DeliveryError(message, transient=bool(is_passing(cause)))
        raise error from (None if secret else cause)


def _failures() -> tuple[type[Exception], ...]:
    """Return MLflow's error, and what the libraries below it let through."""
    from mlflow.exceptions import MlflowException

    return (MlflowException, ImportError, OSError)


def is_passing(error: BaseException) -> bool | None:
    """Say whether a call that raised this may go through later; None where MLflow did not say."""
    status = getattr(error, "get_http_status_code", None)
    return None if status is None else status() in PASSING


def is_missing(error: BaseException) -> bool:
    """Say whether what was asked for does not exist."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def is_taken(error: BaseException) -> bool:
    """Say whether what was to be made exists already."""
    return getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS"
