"""The project that a command works in, and its metadata store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowyml.metadata.store import MetadataStore

__all__ = ["has_history", "history"]


def has_history() -> bool:
    """Whether anything was ever run in the project."""
    from flowyml.stacks.active import current_project

    return current_project().metadata_path.exists()


@contextmanager
def history() -> Iterator[MetadataStore]:
    """Open the project's metadata store; a command that only reads makes none.

    Raises:
        NotFoundError: Nothing was ever run here.
        MetadataError: The file cannot be used.
    """
    from flowyml.metadata.store import MetadataStore
    from flowyml.stacks.active import current_project

    project = current_project()
    project.require_history()
    with MetadataStore.open(project.metadata_path) as metadata:
        yield metadata
