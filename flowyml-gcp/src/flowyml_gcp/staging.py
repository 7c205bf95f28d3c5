"""The folder of a bucket that errands go through, which Vertex AI mounts into every job."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from attrs import define

from flowyml.storage.names import STAGING
from flowyml_gcp.buckets import GCSBucket
from flowyml_gcp.faults import explained

__all__ = ["Staging"]


@define(slots=False)
class Staging:
    """Small files below a prefix; a later one takes the place of an earlier one.

    Attributes:
        bucket: The bucket, with the prefix that everything of it has.
    """

    bucket: GCSBucket

    @classmethod
    def at(cls, address: str, *, project: str | None, endpoint_url: str | None) -> Staging:
        """Return the staging folder of an address, ``gs://BUCKET/PREFIX`` or only ``BUCKET``."""
        name, _, prefix = address.removeprefix("gs://").partition("/")
        bucket = GCSBucket(name, prefix.strip("/"), project=project, endpoint_url=endpoint_url)
        return cls(bucket)

    def mounted(self, name: str) -> str:
        """Return the path that a file has in a job."""
        return f"/gcs/{self.bucket.name}/{self._key(name)}"

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        with explained(f"writing {self.bucket.uri}/{STAGING}/{name}"):
            self._blob(name).upload_from_string(
                content,
                content_type="application/octet-stream",
                checksum="crc32c",
                timeout=self.bucket.timeout,
            )

    def get(self, name: str) -> bytes | None:
        """Return a file; None where there is none."""
        from google.api_core.exceptions import NotFound

        with explained(f"reading {self.bucket.uri}/{STAGING}/{name}"):
            try:
                content: bytes = self._blob(name).download_as_bytes(
                    checksum="crc32c", timeout=self.bucket.timeout
                )
            except NotFound:
                return None
        return content

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self.bucket.prefix, STAGING, name) if part)

    def _blob(self, name: str) -> Any:
        return self._objects.blob(self._key(name), kms_key_name=self.bucket.kms_key_name)

    @cached_property
    def _objects(self) -> Any:
        return self.bucket.client.bucket(self.bucket.name)
