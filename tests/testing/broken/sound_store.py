"""A store without a mistake, in a module that costs nothing to import."""

# mypy: ignore-errors

from __future__ import annotations

from pathlib import Path

import attrs
from attrs import define

from flowyml.plugins import ArtifactStore
from flowyml.storage.local_folders import LocalFolders

__all__ = ["Sound"]


@define(slots=False)
class Sound(ArtifactStore):
    """Keeps artifacts.

    Attributes:
        path: Where.
    """

    path: Path

    def root_uri(self):
        return self.path.as_uri()

    def folders(self):
        return LocalFolders.at(self.path)

    def keep(self, request, context, **changes):
        return super().store_artifact(attrs.evolve(request, **changes), context)
