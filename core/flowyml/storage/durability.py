"""Waiting until the disk has what was written, so that a power cut takes nothing of it."""

from __future__ import annotations

import os
from typing import IO

from attrs import frozen

__all__ = ["Waiting"]


@frozen
class Waiting:
    """Waits for the disk, or does nothing, as a store asks for.

    Attributes:
        root: The store's folder.
        is_wanted: Whether the store waits.
    """

    root: str
    is_wanted: bool

    def for_file(self, file: IO[bytes]) -> None:
        """Wait for what was written to an open file."""
        if self.is_wanted:
            os.fsync(file.fileno())

    def for_path(self, path: str) -> None:
        """Wait for a file, or for which names a folder has."""
        if self.is_wanted:
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def for_tree(self, folder: str) -> None:
        """Wait for all that lies below a folder, and for the folder."""
        if self.is_wanted:
            for parent, _, names in os.walk(folder, topdown=False):
                for name in names:
                    self.for_path(f"{parent}/{name}")
                self.for_path(parent)

    def for_folders(self, name: str) -> None:
        """Wait for the folders that lead from the root to a file, for any of them may be new."""
        while self.is_wanted and name:
            name = name.rpartition("/")[0]
            self.for_path(f"{self.root}/{name}")
