"""The base of stores that keep artifacts in a bucket: a vendor adds its bucket and its words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Final

from attrs import define

from flowyml.errors import ConfigurationError, DeliveryError, FlowyMLError, Problem
from flowyml.plugins.components import ArtifactStore
from flowyml.plugins.markers import hookimpl
from flowyml.records import Check, DeliveryContext, StoredArtifact
from flowyml.storage.buckets import Bucket
from flowyml.storage.files import FileSource, StoreRequest
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.names import STAGING

__all__ = ["BucketStore", "check_bucket_name"]

PROBE: Final = f"{STAGING}/probe"
"""An empty object that every start of a run writes and deletes."""


@define(slots=False)
class BucketStore(ArtifactStore):
    """Keeps artifacts in the bucket of an object store.

    A subclass gives its configuration as fields, the bucket that follows from them as `objects`,
    and the meaning of its vendor's errors as `explained` and the hook ``is_transient``.
    """

    @property
    def objects(self) -> Bucket:
        """The objects below the store's root; made once, without asking anybody."""
        message = f"{type(self).__name__} does not override objects"
        raise NotImplementedError(message)

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Turn the vendor's errors in the block into `DeliveryError`.

        Args:
            doing: What is being done, for the beginning of the message.
        """
        message = f"{type(self).__name__} does not override explained(), needed while {doing}"
        raise NotImplementedError(message)

    @cached_property
    def _folders(self) -> ArtifactFolders:
        return ArtifactFolders(self.objects)

    def folders(self) -> ArtifactFolders:
        """Return the layout engine over the bucket."""
        return self._folders

    @hookimpl
    def store_artifact(self, request: StoreRequest, context: DeliveryContext) -> StoredArtifact:
        """Stage, send, commit by a conditional write."""
        place = f"{self.objects.uri}/{request.path}"
        with self.explained(f"storing {request.manifest.name!r} at {place}"):
            return super().store_artifact(request, context)

    @hookimpl
    def load_artifact(self, uri: str) -> FileSource:
        """Open by URI."""
        with self.explained(f"loading {uri}"):
            return super().load_artifact(uri)

    @hookimpl
    def list_artifacts(self, prefix: str) -> Iterable[StoredArtifact]:
        """List what is committed."""
        with self.explained(f"listing {self.objects.uri}/{prefix}"):
            yield from super().list_artifacts(prefix)

    @hookimpl
    def delete_artifact(self, uri: str) -> bool:
        """Delete, manifest first."""
        with self.explained(f"deleting {uri}"):
            return super().delete_artifact(uri)

    def preflight(self) -> None:
        """Write a probe object: whatever is wrong shows before any work is done.

        That it cannot be deleted again is no reason to stop: storing never has to.
        """
        with self.explained(f"writing a probe to {self.objects.uri}"):
            self.objects.swap(PROBE, b"", None)
        with suppress(DeliveryError), self.explained(f"deleting a probe in {self.objects.uri}"):
            self.objects.delete([PROBE])

    def diagnose(self) -> Sequence[Check]:
        """Look at the bucket and at what may be done in it."""
        return (
            self.looked_at("bucket", "answers", lambda: next(self.objects.find(""), None)),
            self.looked_at(
                "write", "objects can be written", lambda: self.objects.swap(PROBE, b"", None)
            ),
            self.looked_at(
                "delete", "objects can be deleted", lambda: self.objects.delete([PROBE])
            ),
        )

    def looked_at(self, name: str, good: str, look: Callable[[], object]) -> Check:
        """Return what a look at the bucket found.

        Args:
            name: What is looked at.
            good: What to say where nothing is wrong.
            look: Looks, and raises where something is.
        """
        try:
            with self.explained(f"looking at {self.objects.uri}"):
                look()
        except FlowyMLError as error:
            message, _, remedy = str(error).partition("; ")
            return Check(name, ok=False, message=message, fix=remedy or None)
        return Check(name, ok=True, message=f"{self.objects.uri}: {good}")


def check_bucket_name(key: str, name: str) -> None:
    """Refuse an address or a path in place of a bucket's name, which is often pasted.

    Args:
        key: The field of the configuration (``bucket``).
        name: What it says.

    Raises:
        ConfigurationError: It is not a name.
    """
    if "/" in name:
        message = f"the {key} {name!r} is not a name"
        hint = f"say `{key}: NAME` and, for a folder in it, `prefix: FOLDER`"
        raise ConfigurationError(Problem(message, hint=hint))
