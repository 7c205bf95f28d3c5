"""The base of stores that keep artifacts in a bucket: a vendor adds its bucket and its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Final

from attrs import define

from flowyml.errors import ConfigurationError, DeliveryError, FlowyMLError, Problem
from flowyml.plugins.components import ArtifactStore
from flowyml.records import Check
from flowyml.storage.buckets import Bucket
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.names import STAGING, fault_of_path
from flowyml.storage.refusals import ExplainedBucket

__all__ = ["BucketStore", "check_bucket_name", "check_prefix"]

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
    def _asked(self) -> ExplainedBucket:
        return ExplainedBucket(self.objects, self.explained)

    @cached_property
    def _folders(self) -> ArtifactFolders:
        return ArtifactFolders(self._asked)

    def folders(self) -> ArtifactFolders:
        """Return the layout engine over the bucket."""
        return self._folders

    def preflight(self) -> None:
        """Write a probe object: whatever is wrong shows before any work is done.

        That it cannot be deleted again is no reason to stop: storing never has to.
        """
        with self._asked.asking(f"writing a probe to {self.objects.uri}"):
            self.objects.swap(PROBE, b"", None)
        with suppress(DeliveryError):
            self._asked.delete([PROBE])

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
            with self._asked.asking(f"looking at {self.objects.uri}"):
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


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that means another folder to a client than to its server.

    Args:
        prefix: What the configuration says; slashes around it mean nothing.

    Raises:
        ConfigurationError: A segment is empty, ``.`` or ``..``, or it has characters that no path
            may have.
    """
    folder = prefix.strip("/")
    if fault := folder and fault_of_path(folder):
        message = f"the prefix {prefix!r} cannot be used: {fault}"
        hint = "say `prefix: FOLDER`, or `prefix: FOLDER/FOLDER`, as it is named in the bucket"
        raise ConfigurationError(Problem(message, hint=hint))
