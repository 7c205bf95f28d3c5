"""What Google's refusals mean: whether they pass by themselves, and what to do where they do not.

Errors are told apart by the names of their classes, so that nothing is imported to ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flowyml.errors import DeliveryError, FlowyMLError
from flowyml.storage.refusals import foreign_answer

__all__ = ["explained", "is_transient"]

TRANSIENT: Final = frozenset(
    {
        "Aborted",
        "BadGateway",
        "ChunkedEncodingError",
        "ConnectionError",
        "DataCorruption",
        "DeadlineExceeded",
        "GatewayTimeout",
        "InternalServerError",
        "RequestTimeout",
        "ResourceExhausted",
        "RetryError",
        "ServiceUnavailable",
        "Timeout",
        "TooManyRequests",
        "TransportError",
    }
)
"""Classes of google.api_core, google.auth, google.cloud.storage and requests."""

UNREADABLE: Final = frozenset({"InvalidJSONError", "InvalidResponse"})
"""What is raised for an answer that is not in JSON, or says too little: none of Google's."""

REFUSED: Final = 400
"""From this status on an answer is a refusal; below it, an error is about an unexpected success."""

CREDENTIALS: Final = (
    "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
)

REMEDIES: Final = {
    "DefaultCredentialsError": f"there are no Application Default Credentials; {CREDENTIALS}",
    "Forbidden": (
        "Google Cloud denies it to these credentials; the README of flowyml-gcp lists the roles"
    ),
    "NotFound": "there is no such bucket; create it, or correct `bucket:` in flowyml.yaml",
    "RefreshError": f"the Application Default Credentials have expired; {CREDENTIALS}",
    "Unauthorized": f"Google Cloud does not accept these credentials; {CREDENTIALS}",
}


def is_transient(error: BaseException) -> bool | None:
    """Say whether a call may go through later; None where the error is not Google's."""
    if isinstance(error, FlowyMLError):
        return getattr(error, "transient", False)
    classes = type(error).__mro__
    if not any(cls.__module__.startswith(("google.", "requests.")) for cls in classes):
        return None
    known = not TRANSIENT.isdisjoint(cls.__name__ for cls in classes)
    return known or _is_unreadable(error)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an error of Google's into one that says what was being done and what to do about it."""
    try:
        yield
    except FlowyMLError:
        raise
    except Exception as cause:
        transient = is_transient(cause)
        if transient is None:
            raise
        names = [cls.__name__ for cls in type(cause).__mro__]
        if _is_unreadable(cause):
            raise foreign_answer(doing, cause) from cause
        remedy = next((REMEDIES[name] for name in names if name in REMEDIES), None)
        said = " ".join(str(getattr(cause, "message", None) or cause).split())
        message = f"{doing} failed: {said}" + (f"; {remedy}" if remedy else "")
        raise DeliveryError(message, transient=transient) from cause


def _is_unreadable(error: BaseException) -> bool:
    code = getattr(error, "code", None)
    unexpected = isinstance(code, int) and code < REFUSED
    return unexpected or not UNREADABLE.isdisjoint(cls.__name__ for cls in type(error).__mro__)
