"""The artifact store that comes with FlowyML: a folder on the local disk."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from attrs import define

from flowyml.plugins import ArtifactStore
from flowyml.storage.folders import ArtifactFolders, LocalFolders

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

    def root_uri(self) -> str:
        """Return the folder as ``file://`` URI."""
        return self.path.absolute().as_uri()

    def folders(self) -> ArtifactFolders:
        """Return the layout engine over the folder."""
        return self._folders

    @cached_property
    def _folders(self) -> ArtifactFolders:
        return LocalFolders.at(self.path, fsync=self.fsync)
