"""The artifact store that comes with FlowyML: a folder on the local disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from attrs import define

from flowyml.errors import DeliveryError
from flowyml.plugins import ArtifactStore
from flowyml.records import Check
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders

__all__ = ["LocalArtifactStore"]


@define(slots=False)
class LocalArtifactStore(ArtifactStore):
    """Keeps artifacts in a folder.

    Attributes:
        path: The folder; made when the first artifact is stored.
        fsync: Whether to wait for the disk before each commit, so that not even a power cut loses
            what was committed. It costs several milliseconds an artifact.
    """

    path: Path = Path(".flowyml/artifacts")
    fsync: bool = False

    stays_here: ClassVar[bool] = True
    SCARCE: ClassVar[int] = 2**30

    def root_uri(self) -> str:
        """Return the folder as ``file://`` URI."""
        return self._root.as_uri()

    def folders(self) -> ArtifactFolders:
        """Return the layout engine over the folder."""
        return self._folders

    @cached_property
    def _folders(self) -> ArtifactFolders:
        return LocalFolders.at(self._root, fsync=self.fsync)

    @property
    def _root(self) -> Path:
        """The folder, absolute; a path that goes up is followed, for one place has one address."""
        return self.path.resolve() if ".." in self.path.parts else self.path.absolute()

    def preflight(self) -> None:
        """Look whether files may be made in the folder, or in the one where it will be made.

        Raises:
            DeliveryError: They may not.
        """
        folder = self._nearest()
        if not folder.is_dir():
            message = f"artifacts cannot be stored in {self.path}: {folder} is no folder"
        elif not os.access(folder, os.W_OK | os.X_OK):
            message = f"artifacts cannot be stored in {self.path}: {folder} is not writable"
        else:
            return
        message += "; give the store another `path`, or correct the permissions"
        raise DeliveryError(message)

    def diagnose(self) -> Sequence[Check]:
        """Look whether the folder is writable, and how much room the disk has."""
        try:
            self.preflight()
        except DeliveryError as error:
            return (Check("folder", ok=False, message=str(error), fix="change `path`"),)
        free = shutil.disk_usage(self._nearest()).free
        return (
            Check("folder", ok=True, message=f"{self.path} is writable"),
            Check(
                "room",
                ok=free >= self.SCARCE,
                message=f"{free / 2**30:.1f} GiB are free",
                fix=None if free >= self.SCARCE else "make room, or run `flowyml artifact gc`",
            ),
        )

    def _nearest(self) -> Path:
        """Return the folder, or the nearest one above it that exists."""
        return next(place for place in (self._root, *self._root.parents) if place.exists())
