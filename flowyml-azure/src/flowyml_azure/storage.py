"""The artifact store ``azure``."""

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
from flowyml_azure.containers import AzureContainer
from flowyml_azure.faults import explained, is_transient

__all__ = ["AzureArtifactStore"]

PROBE: Final = f"{STAGING}/probe"
"""An empty blob that every start of a run writes and deletes."""


@define(slots=False)
class AzureArtifactStore(ArtifactStore):
    """Keeps artifacts in a container of Azure Blob Storage.

    Attributes:
        container: Name of the container.
        prefix: Prefix of everything in it.
        account_name: The storage account, reached with the default Azure credential: environment,
            managed identity, ``az login``.
        connection_string: Address and key in one, in place of ``account_name``; a secret.
        timeout: Seconds without an answer after which a call is tried again.
    """

    container: str
    prefix: str = ""
    account_name: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    timeout: int = 60

    def __attrs_post_init__(self) -> None:
        """Refuse what is most often pasted by mistake, and a store that nobody could find."""
        if "/" in self.container:
            message = f"the container {self.container!r} is not a name"
            hint = "say `container: NAME` and, for a folder in it, `prefix: FOLDER`"
            raise ConfigurationError(Problem(message, hint=hint))
        if not self.account_name and not self.connection_string:
            message = f"the container {self.container!r} is in no storage account"
            hint = "say `account_name:`, or `connection_string: ${AZURE_STORAGE_CONNECTION_STRING}`"
            raise ConfigurationError(Problem(message, hint=hint))

    @cached_property
    def blobs(self) -> AzureContainer:
        """The blobs of this store."""
        return AzureContainer(
            name=self.container,
            prefix=self.prefix.strip("/"),
            account_name=self.account_name,
            connection_string=self.connection_string,
            timeout=self.timeout,
        )

    @cached_property
    def _folders(self) -> ArtifactFolders:
        return ArtifactFolders(self.blobs)

    def folders(self) -> ArtifactFolders:
        """Return the layout engine over the container."""
        return self._folders

    @hookimpl
    def store_artifact(self, request: StoreRequest, context: DeliveryContext) -> StoredArtifact:
        """Stage, send in parallel blocks, commit by a conditional write."""
        with explained(f"storing {request.manifest.name!r} at {self.blobs.uri}/{request.path}"):
            return super().store_artifact(request, context)

    @hookimpl
    def load_artifact(self, uri: str) -> FileSource:
        """Open by URI."""
        with explained(f"loading {uri}"):
            return super().load_artifact(uri)

    @hookimpl
    def list_artifacts(self, prefix: str) -> Iterable[StoredArtifact]:
        """List what is committed."""
        with explained(f"listing {self.blobs.uri}/{prefix}"):
            yield from super().list_artifacts(prefix)

    @hookimpl
    def delete_artifact(self, uri: str) -> bool:
        """Delete, manifest first."""
        with explained(f"deleting {uri}"):
            return super().delete_artifact(uri)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Tell what passes by itself: throttling, lost connections, errors of the server."""
        return is_transient(error)

    def preflight(self) -> None:
        """Write a probe blob: whatever is wrong shows before any work is done."""
        with explained(f"writing a probe to {self.blobs.uri}"):
            self.blobs.swap(PROBE, b"", None)
            self.blobs.delete([PROBE])

    def diagnose(self) -> Sequence[Check]:
        """Look at the container and at what may be done in it."""
        looks: tuple[tuple[str, str, Callable[[], object]], ...] = (
            ("container", "answers", lambda: next(self.blobs.find(""), None)),
            ("write", "blobs can be written", lambda: self.blobs.swap(PROBE, b"", None)),
            ("delete", "blobs can be deleted", lambda: self.blobs.delete([PROBE])),
        )
        return tuple(self._looked(name, good, look) for name, good, look in looks)

    def _looked(self, name: str, good: str, look: Callable[[], object]) -> Check:
        try:
            with explained(f"looking at {self.blobs.uri}"):
                look()
        except FlowyMLError as error:
            message, _, remedy = str(error).partition("; ")
            return Check(name, ok=False, message=message, fix=remedy or None)
        return Check(name, ok=True, message=f"{self.blobs.uri}: {good}")
