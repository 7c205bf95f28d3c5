"""The project: the folder that a run belongs to, and the file that configures it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from attrs import frozen

from flowyml.errors import ConfigurationError, NotFoundError
from flowyml.stacks.text import check_is_text

__all__ = ["CONFIG_NAME", "CONFIG_VARIABLE", "Project", "find_project", "working_directory"]

CONFIG_NAME: Final = "flowyml.yaml"
CONFIG_VARIABLE: Final = "FLOWYML_CONFIG"


@frozen
class Project:
    """Where things are.

    Attributes:
        folder: The folder that relative paths start from and that holds ``.flowyml``.
        config: The configuration file; None where there is none, and the built-in stack is used.
    """

    folder: Path
    config: Path | None

    @property
    def state(self) -> Path:
        """Folder of what FlowyML writes for itself."""
        return self.folder / ".flowyml"

    @property
    def metadata_path(self) -> Path:
        """File of the metadata store."""
        return self.state / "metadata.db"

    def require_history(self) -> None:
        """Refuse to look for what ran where nothing did: whoever only reads makes no store.

        Raises:
            NotFoundError: Nothing was ever run here.
        """
        if not self.metadata_path.exists():
            message = f"nothing was run in {self.folder} yet; `flowyml run` starts the first run"
            raise NotFoundError(message)


def find_project(config: Path | None = None, start: Path | None = None) -> Project:
    """Find the configuration file: the given one, ``FLOWYML_CONFIG``, or the nearest one upward.

    Args:
        config: What ``--config`` says.
        start: Folder to look upward from; the working directory where it is not given.

    Raises:
        ConfigurationError: The file that was asked for does not exist.
    """
    folder = Path(os.path.abspath(start or working_directory()))  # noqa: PTH100  # keeps links
    check_is_text(str(folder))
    named = os.environ.get(CONFIG_VARIABLE)
    if config is not None:
        return _named(folder / config.expanduser(), "--config")
    if named:
        return _named(folder / Path(named).expanduser(), CONFIG_VARIABLE)
    for candidate in (folder, *folder.parents):
        if os.path.lexists(candidate / CONFIG_NAME):
            return Project(candidate, candidate / CONFIG_NAME)
    return Project(folder, None)


def working_directory() -> Path:
    """Return the working directory.

    Raises:
        ConfigurationError: It is gone.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as cause:
        message = "the working directory was deleted; change to one that is there"
        raise ConfigurationError(message) from cause


def _named(path: Path, source: str) -> Project:
    path = Path(os.path.abspath(path))  # noqa: PTH100
    if not path.exists():
        message = f"{source} names {str(path)!r}, which does not exist"
        raise ConfigurationError(message)
    return Project(path.parent, path)
