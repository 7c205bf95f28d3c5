"""The project that a command works in, and its metadata store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from flowyml.metadata.store import MetadataStore

__all__ = ["has_history", "history", "history_to_change"]


def has_history() -> bool:
    """Whether anything was ever run in the project."""
    from flowyml.stacks.active import current_project

    return current_project().metadata_path.exists()


@contextmanager
def history() -> Iterator[MetadataStore]:
    """Open the project's metadata store to read from it; it is not made, and need not be writable.

    Raises:
        NotFoundError: Nothing was ever run here.
        MetadataError: The file cannot be used.
    """
    from flowyml.metadata.store import MetadataStore

    with MetadataStore.read(_place()) as metadata:
        yield metadata


@contextmanager
def history_to_change() -> Iterator[MetadataStore]:
    """Open the project's metadata store to write to it; one that may not be written is refused.

    Raises:
        NotFoundError: Nothing was ever run here.
        MetadataError: The file cannot be used.
    """
    from flowyml.metadata.store import MetadataStore

    with MetadataStore.open(_place()) as metadata:
        yield metadata


def _place() -> Path:
    from flowyml.stacks.active import current_project

    project = current_project()
    project.require_history()
    return project.metadata_path
