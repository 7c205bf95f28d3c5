"""The artifact stores of the same stack, for a tracker that shows what lies in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from attrs import frozen

from flowyml.plugins import ArtifactStore, Component
from flowyml.records import StoredArtifact

__all__ = ["Stores"]

PICTURES = {"figure": "figure.png", "png": "image.png"}
"""Formats of stored artifacts that hold a picture, and its file."""


@frozen
class Stores:
    """Reads from the stores of a stack."""

    stores: tuple[ArtifactStore, ...] = ()

    @classmethod
    def of(cls, components: Iterable[Component]) -> Self:
        """Pick the stores out of a stack."""
        return cls(tuple(c for c in components if isinstance(c, ArtifactStore)))

    def picture(self, stored: StoredArtifact) -> bytes | None:
        """Return the PNG of a stored figure or image; None for anything else.

        What an extension encrypted or compressed on its way into the store is nobody's picture.
        """
        name = PICTURES.get(stored.manifest.serializer)
        if name is None or stored.manifest.filters:
            return None
        for store in self.stores:
            if stored.uri.startswith(store.root_uri()):
                with store.load_artifact(stored.uri).open(name) as file:
                    return file.read()
        return None
