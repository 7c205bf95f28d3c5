"""The artifact store ``gcs``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final

from attrs import define, field

from flowyml.errors import ConfigurationError, FlowyMLError, Problem
from flowyml.plugins import ArtifactStore, hookimpl
from flowyml.records import Check, DeliveryContext, StoredArtifact
from flowyml.storage.files import FileSource, StoreRequest
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.names import STAGING
from flowyml_gcp.buckets import GCSBucket
from flowyml_gcp.faults import explained, is_transient

__all__ = ["GCSArtifactStore"]

PROBE: Final = f"{STAGING}/probe"
"""An empty object that every start of a run writes and deletes."""


@define(slots=False)
class GCSArtifactStore(ArtifactStore):
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
    timeout: float = 60.0

    def __attrs_post_init__(self) -> None:
        """Refuse what is most often pasted by mistake."""
        if self.bucket.startswith("gs://") or "/" in self.bucket:
            message = f"the bucket {self.bucket!r} is not a name"
            hint = "say `bucket: NAME` and, for a folder in it, `prefix: FOLDER`"
            raise ConfigurationError(Problem(message, hint=hint))

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

    @cached_property
    def _folders(self) -> ArtifactFolders:
        return ArtifactFolders(self.objects)

    def folders(self) -> ArtifactFolders:
        """Return the layout engine over the bucket."""
        return self._folders

    @hookimpl
    def store_artifact(self, request: StoreRequest, context: DeliveryContext) -> StoredArtifact:
        """Stage, send in parallel parts, commit by a conditional write."""
        with explained(f"storing {request.manifest.name!r} at {self.objects.uri}/{request.path}"):
            return super().store_artifact(request, context)

    @hookimpl
    def load_artifact(self, uri: str) -> FileSource:
        """Open by URI."""
        with explained(f"loading {uri}"):
            return super().load_artifact(uri)

    @hookimpl
    def list_artifacts(self, prefix: str) -> Iterable[StoredArtifact]:
        """List what is committed."""
        with explained(f"listing {self.objects.uri}/{prefix}"):
            yield from super().list_artifacts(prefix)

    @hookimpl
    def delete_artifact(self, uri: str) -> bool:
        """Delete, manifest first."""
        with explained(f"deleting {uri}"):
            return super().delete_artifact(uri)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Tell what passes by itself: quotas, lost connections, errors of the server."""
        return is_transient(error)

    def preflight(self) -> None:
        """Write a probe object: whatever is wrong shows before any work is done."""
        with explained(f"writing a probe to {self.objects.uri}"):
            self.objects.swap(PROBE, b"", None)
            self.objects.delete([PROBE])

    def diagnose(self) -> Sequence[Check]:
        """Look at the bucket and at what may be done in it."""
        looks: tuple[tuple[str, str, Callable[[], object]], ...] = (
            ("bucket", "answers", lambda: next(self.objects.find(""), None)),
            ("write", "objects can be written", lambda: self.objects.swap(PROBE, b"", None)),
            ("delete", "objects can be deleted", lambda: self.objects.delete([PROBE])),
        )
        return tuple(self._looked(name, good, look) for name, good, look in looks)

    def _looked(self, name: str, good: str, look: Callable[[], object]) -> Check:
        try:
            with explained(f"looking at {self.objects.uri}"):
                look()
        except FlowyMLError as error:
            message, _, remedy = str(error).partition("; ")
            return Check(name, ok=False, message=message, fix=remedy or None)
        return Check(name, ok=True, message=f"{self.objects.uri}: {good}")
