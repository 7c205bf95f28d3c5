"""What AWS says in its answers, and other servers and proxies do not: the client looks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["attend", "attend_sagemaker"]

SIGNS: Final[Mapping[str, tuple[str, ...]]] = {
    "CompleteMultipartUpload": ("ETag",),
    "CopyObject": ("CopyObjectResult",),
    "CreateMultipartUpload": ("UploadId",),
    "DeleteObjects": ("Deleted", "Errors"),
    "GetObject": ("ETag",),
    "HeadObject": ("ETag",),
    "ListObjectsV2": ("IsTruncated",),
    "PutObject": ("ETag",),
    "UploadPart": ("ETag",),
    "UploadPartCopy": ("CopyPartResult",),
}
"""By operation: of these there is at least one."""

REDIRECTS: Final = frozenset({301, 302, 307})

REFUSED: Final = 300
"""From this status on the client raises by itself."""


def attend(client: Any) -> Any:
    """Let a client for S3 take no answer for one of S3's that is none; return it."""
    client.meta.events.register("after-call.s3", _refuse_foreign)
    client.meta.events.register_first("needs-retry.s3.HeadBucket", _stay)
    return client


def attend_sagemaker(client: Any) -> Any:
    """Let a client for SageMaker take no answer for one of SageMaker's that is none; return it."""
    client.meta.events.register("after-call.sagemaker", _refuse_part)
    return client


def _refuse_foreign(
    *, http_response: Any, parsed: Mapping[str, Any], model: Any, **_: object
) -> None:
    """Refuse an answer that is none of S3's, as botocore does where it can read nothing."""
    from botocore.parsers import ResponseParserError

    signs = SIGNS.get(model.name, ())
    status = http_response.status_code
    if status < REFUSED and signs and not any(_says(parsed.get(sign)) for sign in signs):
        message = f"{model.name} was answered {status} without {' or '.join(signs)}"
        raise ResponseParserError(message)


def _refuse_part(*, http_response: Any, parsed: Mapping[str, Any], model: Any, **_: object) -> None:
    """Refuse a page, which has no id of AWS's for the request, and an answer that was cut.

    botocore reads both as an answer that says nothing: a list without entries, a change made.
    """
    from botocore.parsers import ResponseParserError

    status, told = http_response.status_code, parsed.get("ResponseMetadata", {})
    announced = told.get("HTTPHeaders", {}).get("content-length", "")
    if status < REFUSED and not told.get("RequestId"):
        message = f"{model.name} was answered {status} without the id of a request"
        raise ResponseParserError(message)
    if announced.isdecimal() and len(http_response.content) < int(announced):
        message = f"the answer to {model.name} ended before its {announced} bytes"
        raise ResponseParserError(message)


def _stay(*, response: tuple[Any, Mapping[str, Any]] | None, **_: object) -> None:
    """Refuse a redirect that does not say where to.

    botocore asks for the region of a bucket that is elsewhere, and would ask again for each such
    answer until Python ends it.
    """
    from botocore.exceptions import ClientError

    if response is None:
        return
    status, parsed = response[0].status_code, response[1]
    headers = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if status in REDIRECTS and "x-amz-bucket-region" not in headers:
        raise ClientError(dict(parsed), "HeadBucket")


def _says(value: object) -> bool:
    return value is False or bool(value)
