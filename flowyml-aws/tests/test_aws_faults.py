"""What AWS's refusals mean."""

from __future__ import annotations

import pytest
from boto3.exceptions import RetriesExceededError
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from flowyml.errors import DeliveryError
from flowyml_aws.faults import code_of, explained, is_missing, is_transient, message_of


def refusal(code: str, status: int = 400, message: str = "said.") -> ClientError:
    """Return an error as boto3 raises it."""
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "Operation")  # type: ignore[arg-type, unused-ignore]


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (refusal("SlowDown", 503), True),
        (refusal("ThrottlingException"), True),
        (refusal("Whatever", 500), True),
        (refusal("AccessDenied", 403), False),
        (refusal("ExpiredToken"), False),
        (refusal("RequestTimeTooSkewed", 403), False),
        (refusal("ValidationException"), False),
        (EndpointConnectionError(endpoint_url="x"), True),
        (ReadTimeoutError(endpoint_url="x"), True),
        (ConnectionClosedError(endpoint_url="x"), True),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (NoCredentialsError(), False),
        (ParamValidationError(report="x"), False),
        (ResponseParserError("not of AWS, though it says 200"), True),
        (RetriesExceededError(last_exception=OSError("reset")), True),
        (DeliveryError("x", transient=True), True),
        (DeliveryError("x"), False),
        (RuntimeError("not of AWS"), None),
    ],
    ids=lambda value: code_of(value) if isinstance(value, Exception) else str(value),
)
def test_what_may_pass_is_known(error: Exception, transient: bool | None) -> None:
    """Trying again helps against crowds and broken lines, and against nothing else."""
    assert is_transient(error) is transient


def test_a_wrapped_refusal_is_found() -> None:
    """Libraries put their own exceptions around it."""
    error = OSError(22, "wrapped")
    error.__cause__ = refusal("SlowDown", 503)

    assert code_of(error) == "SlowDown"
    assert is_transient(error) is True


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("AccessDenied", "lists the actions to allow"),
        ("ExpiredToken", "have expired; renew them"),
        ("InvalidAccessKeyId", "does not accept these credentials"),
        ("NoSuchBucket", "correct `bucket:`"),
        ("PermanentRedirect", "in another region"),
        ("AuthorizationHeaderMalformed", "in another region"),
        ("RequestTimeTooSkewed", "clock is wrong"),
        ("ResourceLimitExceeded", "quota is used up"),
    ],
)
def test_an_error_says_what_to_do(code: str, remedy: str) -> None:
    """What was done, what AWS said, and what helps."""
    said = f"storing 'x' failed: {code}: said; .*{remedy}"
    with pytest.raises(DeliveryError, match=said) as caught, explained("storing 'x'"):
        raise refusal(code)
    assert isinstance(caught.value.__cause__, ClientError)


def test_what_is_missing_is_said_in_words() -> None:
    """SageMaker has one code for everything that is wrong."""
    missing = refusal("ValidationException", message='Could not find endpoint "arn".')
    assert is_missing(missing)
    assert message_of(missing) == 'Could not find endpoint "arn".'
    assert not is_missing(refusal("ValidationException", message="too long"))
    assert not is_missing(refusal("AccessDeniedException", message="not found"))
