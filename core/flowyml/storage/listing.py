"""Which names of a listing are artifacts."""

from __future__ import annotations

from collections.abc import Iterable

from flowyml.storage.names import MANIFEST_NAME, STAGING

__all__ = ["committed_paths"]


def committed_paths(names: Iterable[str]) -> list[str]:
    """Return the paths at which a manifest lies, in order; a folder before what is below it."""
    end = f"/{MANIFEST_NAME}"
    return sorted(
        name.removesuffix(end)
        for name in names
        if name.endswith(end) and not name.startswith(f"{STAGING}/")
    )
