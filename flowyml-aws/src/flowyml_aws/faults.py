"""What AWS's refusals mean: whether they pass by themselves, and what to do where they do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flowyml.errors import DeliveryError, FlowyMLError
from flowyml.storage.refusals import INSTEAD, foreign_answer

__all__ = ["code_of", "explained", "is_missing", "is_transient", "message_of"]

TRANSIENT = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerException",
        "OperationAborted",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "429",  # the answer to a HEAD request has no code of AWS's
    }
)

EXPIRED = "the AWS credentials have expired; renew them (`aws sso login`, or a new session token)"
UNKNOWN = (
    "AWS does not accept these credentials; `aws sts get-caller-identity` shows which ones are "
    "found, AWS_PROFILE or `profile:` choose others"
)
DENIED = "AWS denies it to these credentials; the README of flowyml-aws lists the actions to allow"
REGION = "the bucket is in another region; say that one as `region:` in flowyml.yaml"

REMEDIES = {
    "AccessDenied": DENIED,
    "AccessDeniedException": DENIED,
    "AllAccessDisabled": DENIED,
    "AuthorizationHeaderMalformed": REGION,
    "ExpiredToken": EXPIRED,
    "ExpiredTokenException": EXPIRED,
    "IllegalLocationConstraintException": REGION,
    "InvalidAccessKeyId": UNKNOWN,
    "InvalidClientTokenId": UNKNOWN,
    "InvalidToken": UNKNOWN,
    "KMS.DisabledException": "the KMS key is disabled; enable it, or name another `kms_key_id:`",
    "KMS.NotFoundException": "there is no such KMS key; correct `kms_key_id:`",
    "NoSuchBucket": "there is no such bucket; create it, or correct `bucket:` in flowyml.yaml",
    "PermanentRedirect": REGION,
    "RequestExpired": EXPIRED,
    "RequestTimeTooSkewed": "this machine's clock is wrong by minutes; set it (`timedatectl`)",
    "ResourceLimitExceeded": (
        "the account's quota is used up; ask AWS Service Quotas for more, or take a smaller or "
        "another `instance_type:`"
    ),
    "SignatureDoesNotMatch": UNKNOWN,
    "TokenRefreshRequired": EXPIRED,
    "UnauthorizedAccess": DENIED,
    "UnrecognizedClientException": UNKNOWN,
    "301": REGION,
    "400": "S3 says no more than that; most often the credentials have expired",
    "403": DENIED,
    "500": INSTEAD,  # what botocore makes of a body that is no XML, be it of a 200
    # what botocore says itself, before anything was sent
    "NoCredentialsError": (
        "no AWS credentials were found; run `aws configure` or `aws sso login`, or set AWS_PROFILE"
    ),
    "PartialCredentialsError": "half of the AWS credentials is missing; see `aws configure list`",
    "SSOTokenLoadError": EXPIRED,
    "TokenRetrievalError": EXPIRED,
    "UnauthorizedSSOTokenError": EXPIRED,
    "EndpointConnectionError": (
        "nobody answers there; see that the network reaches AWS, and `endpoint_url:` if it is set"
    ),
}

CONNECTION = frozenset(
    {"ConnectionError", "HTTPClientError", "IncompleteReadError", "RetriesExceededError"}
)
"""What botocore and boto3 raise when there was no whole answer."""

MISSING = ("could not find", "does not exist", "not found")
"""SageMaker has no error code for what is not there: it is a ValidationException in words."""


def code_of(error: BaseException) -> str:
    """Return the code that AWS gave, or else the name of the exception; looks through wrappers."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and response.get("Error", {}).get("Code"):
        return str(response["Error"]["Code"])
    if error.__cause__ is not None and not _is_botocore(error):
        return code_of(error.__cause__)
    return type(error).__name__


def message_of(error: BaseException) -> str:
    """Return what AWS said, without the frame that botocore puts around it."""
    response = getattr(error, "response", None)
    said = response.get("Error", {}).get("Message") if isinstance(response, dict) else None
    return str(said or error)


def is_missing(error: BaseException) -> bool:
    """Whether SageMaker says that the thing asked for is not there."""
    words = message_of(error).lower()
    return code_of(error) in {"ResourceNotFound", "ValidationException", "ValidationError"} and any(
        phrase in words for phrase in MISSING
    )


def is_taken(error: BaseException) -> bool:
    """Whether SageMaker says that the name of what is to be made is taken."""
    return code_of(error) == "ValidationException" and "already existing" in message_of(error)


def is_overtaken(error: BaseException) -> bool:
    """Whether SageMaker says that another process made or changed the same endpoint meanwhile."""
    in_progress = code_of(error) == "ValidationException" and "in-progress" in message_of(error)
    return in_progress or is_taken(error)


def is_transient(error: BaseException) -> bool | None:
    """Say whether a call may go through later; None where nothing is known about the error."""
    if isinstance(error, FlowyMLError):
        return getattr(error, "transient", False)
    code = code_of(error)
    if code in TRANSIENT or _status(error) >= 500:  # noqa: PLR2004  # HTTP's server errors
        return True
    if code in REMEDIES and code != "EndpointConnectionError":
        return False
    if _is_botocore(error):
        return _is_connection(error) or _is_unreadable(error)
    return False if _status(error) else None


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an error of AWS into one that says what was being done and what to do about it.

    Args:
        doing: What the block does, as ``registering 'fraud' in SageMaker``.

    Raises:
        DeliveryError: AWS refused, or could not be reached.
    """
    try:
        yield
    except Exception as cause:
        if not _is_botocore(cause):
            raise
        if _is_unreadable(cause):
            raise foreign_answer(doing, cause) from cause
        code = code_of(cause)
        said = message_of(cause).rstrip(".")
        remedy = f"; {REMEDIES[code]}" if code in REMEDIES else ""
        message = f"{doing} failed: {code}: {said}{remedy}"
        raise DeliveryError(message, transient=bool(is_transient(cause))) from cause


def _status(error: BaseException) -> int:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    return _status(error.__cause__) if error.__cause__ is not None else 0


def _is_botocore(error: BaseException) -> bool:
    return type(error).__module__.startswith(("botocore.", "boto3.", "s3transfer."))


def _is_connection(error: BaseException) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & CONNECTION)


def _is_unreadable(error: BaseException) -> bool:
    return type(error).__name__ == "ResponseParserError"
