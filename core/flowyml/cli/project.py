"""The project that a command works in, and its metadata store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from flowyml.metadata.store import MetadataStore

__all__ = ["has_history", "history", "history_to_change"]


def has_history() -> bool:
    """Whether anything was ever run in the project."""
    from flowyml.stacks.active import current_project

    return current_project().metadata_path.exists()


def history() -> MetadataStore:
    """Open the project's metadata store to read from it; it is not made, and need not be writable.

    Raises:
        NotFoundError: Nothing was ever run here.
        MetadataError: The file cannot be used.
    """
    from flowyml.metadata.store import MetadataStore

    return MetadataStore.read(_place())


def history_to_change() -> MetadataStore:
    """Open the project's metadata store to write to it; one that may not be written is refused.

    Raises:
        NotFoundError: Nothing was ever run here.
        MetadataError: The file cannot be used.
    """
    from flowyml.metadata.store import MetadataStore

    return MetadataStore.open(_place())


def _place() -> Path:
    from flowyml.stacks.active import current_project

    project = current_project()
    project.require_history()
    return project.metadata_path
