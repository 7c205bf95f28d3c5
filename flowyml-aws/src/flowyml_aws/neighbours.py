"""What a component takes over from the other components of its stack."""

from __future__ import annotations

from collections.abc import Sequence

from flowyml.plugins import Component
from flowyml_aws.storage import S3ArtifactStore

__all__ = ["region_beside", "store_beside"]


def store_beside(others: Sequence[Component]) -> S3ArtifactStore | None:
    """Return the first S3 store of a stack."""
    return next((other for other in others if isinstance(other, S3ArtifactStore)), None)


def region_beside(others: Sequence[Component]) -> str | None:
    """Return the region that another component of AWS names, the store's first.

    A model, its registry and its endpoint have to be in one region.
    """
    own = [other for other in others if type(other).__module__.partition(".")[0] == __package__]
    own.sort(key=lambda other: not isinstance(other, S3ArtifactStore))
    regions = (getattr(other, "region", None) for other in own)
    return next((str(region) for region in regions if region is not None), None)
