"""The project that a command works in, and its metadata store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowyml.errors import NotFoundError

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
    if not project.metadata_path.exists():
        message = f"nothing was run in {project.folder} yet; `flowyml run` starts the first run"
        raise NotFoundError(message)
    with MetadataStore.open(project.metadata_path) as metadata:
        yield metadata
