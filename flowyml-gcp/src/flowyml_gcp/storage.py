"""The artifact store ``gcs``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property

from attrs import define, field

from flowyml.plugins import BucketStore, hookimpl
from flowyml.plugins.bucket_store import check_bucket_name, check_prefix
from flowyml.plugins.limits import positive
from flowyml_gcp.buckets import GCSBucket
from flowyml_gcp.faults import explained, is_transient

__all__ = ["GCSArtifactStore"]


@define(slots=False)
class GCSArtifactStore(BucketStore):
    """Keeps artifacts in a bucket of Cloud Storage.

    Credentials are the Application Default Credentials. ``STORAGE_EMULATOR_HOST`` is obeyed.

    Attributes:
        bucket: Name of the bucket.
        prefix: Prefix of everything in it.
        project: Google Cloud project; that of the credentials where it is None.
        location: Region that the stack's other Google components take from here; a bucket has its
            own.
        endpoint_url: Another address of the service; over plain ``http`` no credentials are sent.
        kms_key_name: Full name of the key that new objects are encrypted with.
        storage_class: Storage class of new objects.
        timeout: Seconds without an answer after which a call is tried again.
    """

    bucket: str = field()
    prefix: str = ""
    project: str | None = None
    location: str | None = None
    endpoint_url: str | None = None
    kms_key_name: str | None = None
    storage_class: str | None = None
    timeout: float = field(default=60.0, validator=positive)

    def __attrs_post_init__(self) -> None:
        """Refuse what is most often pasted by mistake."""
        check_bucket_name("bucket", self.bucket)
        check_prefix(self.prefix)

    @cached_property
    def objects(self) -> GCSBucket:
        """The objects of this store."""
        return GCSBucket(
            name=self.bucket,
            prefix=self.prefix.strip("/"),
            project=self.project,
            endpoint_url=self.endpoint_url,
            kms_key_name=self.kms_key_name,
            storage_class=self.storage_class,
            timeout=self.timeout,
        )

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Say what Google's refusals mean."""
        return explained(doing)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Tell what passes by itself: quotas, lost connections, errors of the server."""
        return is_transient(error)
