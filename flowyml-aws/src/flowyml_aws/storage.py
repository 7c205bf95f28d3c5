"""The artifact store ``s3``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import ClassVar, Literal
from urllib.parse import urlencode

from attrs import define, evolve, field

from flowyml.errors import DeliveryError
from flowyml.plugins import BucketStore, hookimpl
from flowyml.plugins.bucket_store import check_bucket_name, check_prefix
from flowyml.plugins.limits import positive
from flowyml.records import Check
from flowyml_aws.buckets import S3Bucket
from flowyml_aws.checks import looked_at
from flowyml_aws.faults import explained, is_transient
from flowyml_aws.sessions import Account

__all__ = ["S3ArtifactStore"]


@define(slots=False)
class S3ArtifactStore(BucketStore):
    """Keeps artifacts in an S3 bucket, or in any server that speaks S3.

    Credentials come from the standard AWS chain: environment, profile, SSO, role.

    Attributes:
        bucket: Name of the bucket.
        prefix: Prefix of everything in it.
        region: Its region; None for the one of the environment or the profile.
        profile: Profile of ``~/.aws/config``.
        endpoint_url: Address of an S3 server that is not AWS.
        encryption: Encryption on the server's side; the bucket's own setting where it is None.
        kms_key_id: Key for the encryption ``aws:kms``.
        storage_class: Storage class of new objects.
        tags: Tags of new objects.
        requester_pays: Whether this account pays for what it asks of another one's bucket.
        timeout: Seconds without an answer after which a call is tried again.
    """

    type: ClassVar[str] = "s3"

    bucket: str
    prefix: str = ""
    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = None
    storage_class: str | None = None
    tags: dict[str, str] = field(factory=dict)
    requester_pays: bool = False
    timeout: float = field(default=60, validator=positive)

    def __attrs_post_init__(self) -> None:
        """Refuse what is most often pasted by mistake."""
        check_bucket_name("bucket", self.bucket)
        check_prefix(self.prefix)

    @cached_property
    def account(self) -> Account:
        """Where the bucket is and who asks."""
        return Account(self.region, self.profile, self.endpoint_url, self.timeout)

    def bucket_of(self, bucket: str, prefix: str) -> S3Bucket:
        """Return a bucket that is reached and written to as this store's is."""
        kms = self.encryption or ("aws:kms" if self.kms_key_id else None)
        writing = {
            "ServerSideEncryption": kms,
            "SSEKMSKeyId": self.kms_key_id,
            "StorageClass": self.storage_class,
            "Tagging": urlencode(self.tags) or None,
        }
        return S3Bucket(
            account=self.account,
            bucket=bucket,
            prefix=prefix.strip("/"),
            writing={name: value for name, value in writing.items() if value is not None},
            asking={"RequestPayer": "requester"} if self.requester_pays else {},
        )

    @cached_property
    def objects(self) -> S3Bucket:
        """The objects of this store."""
        return self.bucket_of(self.bucket, self.prefix)

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Say what AWS's refusals mean."""
        return explained(doing)

    def covering(self, uri: str) -> S3ArtifactStore:
        """Return this store where it holds a URI, else one like it over that URI's bucket."""
        if uri.startswith(f"{self.objects.uri}/"):
            return self
        bucket = uri.removeprefix("s3://").partition("/")[0]
        return evolve(self, bucket=bucket, prefix="")

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Tell what passes by itself: throttling, lost connections, errors of the server."""
        return is_transient(error)

    def diagnose(self) -> Sequence[Check]:
        """Look also at what unfinished uploads occupy."""
        return (*super().diagnose(), looked_at("unfinished uploads", self._count_unfinished))

    def _count_unfinished(self) -> str:
        with explained(f"listing unfinished uploads in {self.objects.uri}"):
            found = [abandoned for _, _, abandoned in self.objects.unfinished()]
        if any(found):
            message = (
                f"{sum(found)} uploads were abandoned over a week ago and still cost storage; "
                "give the bucket a lifecycle rule AbortIncompleteMultipartUpload"
            )
            raise DeliveryError(message)
        return f"{len(found)} uploads are under way"
