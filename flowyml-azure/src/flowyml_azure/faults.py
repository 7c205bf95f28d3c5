"""What Azure's refusals mean: whether they pass by themselves, and what to do where they do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flowyml.errors import DeliveryError, FlowyMLError
from flowyml.storage.refusals import foreign_answer

__all__ = ["code_of", "explained", "is_transient"]

CREDENTIALS: Final = (
    "run `az login`, set the AZURE_* variables of a service principal, or give the store a "
    "`connection_string:`"
)

REMEDIES: Final = {
    "AccountIsDisabled": "the storage account is disabled",
    "AuthenticationFailed": f"Azure does not accept these credentials; {CREDENTIALS}",
    "AuthorizationFailure": (
        "Azure does not let these credentials, or this machine, in; look at the key, the roles and "
        "the network rules of the storage account"
    ),
    "AuthorizationPermissionMismatch": (
        "these credentials may not do it; give them the role Storage Blob Data Contributor"
    ),
    "ClientAuthenticationError": f"there are no Azure credentials that work; {CREDENTIALS}",
    "ContainerBeingDeleted": "the container is being deleted; wait for it, or name another one",
    "ContainerNotFound": (
        "there is no such container; create it, or correct `container:` in flowyml.yaml"
    ),
    "CredentialUnavailableError": f"there are no Azure credentials; {CREDENTIALS}",
    "InvalidAuthenticationInfo": f"Azure does not accept these credentials; {CREDENTIALS}",
    "ServiceRequestError": (
        "nobody answers there; see that the network reaches Azure, and that the account's name is "
        "right"
    ),
}

CONNECTION: Final = frozenset(
    {
        "IncompleteReadError",
        "ServiceRequestError",
        "ServiceResponseError",
        "ServiceResponseTimeoutError",
    }
)
"""What azure-core raises when there was no whole answer."""

UNREADABLE: Final = frozenset({"DecodeError", "DeserializationError"})
"""What it raises for an answer that is none of Azure's, or was damaged on its way."""

TRANSIENT_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})


def code_of(error: BaseException) -> str:
    """Return the code that Azure gave, or else the name of the exception."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or type(error).__name__)


def is_transient(error: BaseException) -> bool | None:
    """Say whether a call may go through later; None where the error is not Azure's."""
    if isinstance(error, FlowyMLError):
        return getattr(error, "transient", False)
    classes = type(error).__mro__
    if not any(cls.__module__.startswith("azure.") for cls in classes):
        return None
    if not CONNECTION.isdisjoint(cls.__name__ for cls in classes) or _is_unreadable(error):
        return True
    return getattr(error, "status_code", None) in TRANSIENT_STATUS


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an error of Azure's into one that says what was being done and what to do about it."""
    try:
        yield
    except FlowyMLError:
        raise
    except Exception as cause:
        transient = is_transient(cause)
        if transient is None:
            raise
        if _is_unreadable(cause):
            raise foreign_answer(doing, cause) from cause
        names = [code_of(cause), *(cls.__name__ for cls in type(cause).__mro__)]
        remedy = next((REMEDIES[name] for name in names if name in REMEDIES), None)
        said = str(getattr(cause, "message", None) or cause).partition("\n")[0]
        message = f"{doing} failed: {said}" + (f"; {remedy}" if remedy else "")
        raise DeliveryError(message, transient=transient) from cause


def _is_unreadable(error: BaseException) -> bool:
    return type(error).__name__ in UNREADABLE
