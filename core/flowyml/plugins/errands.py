"""An errand: one step, packed for a machine that has nothing of the project.

The archive holds the task with the records that its step needs, the configuration file, and the
project's Python files. What else the step needs is the machine's own: installed packages, access
to the stores, and environment variables, for no value of one is ever put into an errand.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import frozen

from flowyml._version import __version__
from flowyml.errors import ConfigurationError
from flowyml.metadata.rows import FINISHED
from flowyml.records import StepOutcome, StepStatus, StepTask

__all__ = ["ANSWER", "ARCHIVE", "FORMAT", "Errand", "is_settled", "pack_errand", "read_outcome"]

FORMAT: Final = 1
"""Counted up when an older worker could not do an errand of this kind."""

ARCHIVE: Final = "errand.tar.gz"
ANSWER: Final = "outcome.json"

LARGEST: Final = 32 * 2**20
"""Bytes of a project's files that travel; data belongs in a store."""

MOST_FILES: Final = 5000

SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
"""Folders that no source of a project is in; those with a leading dot are left out as well."""


@frozen
class Errand:
    """One attempt at a step on another machine.

    Attributes:
        run_id: Id of the run.
        step: Name of the step.
        attempt: Counted from 1; a new one is begun only when the one before came to nothing.
    """

    run_id: str
    step: str
    attempt: int = 1

    @property
    def key(self) -> str:
        """What all attempts at this step have in common, and no other step has: 32 digits."""
        return hashlib.sha256(f"{self.run_id}\n{self.step}".encode()).hexdigest()[:32]

    @property
    def name(self) -> str:
        """A name for its job: letters, digits and hyphens, at most 63 of them."""
        return f"flowyml-{self.key}-{self.attempt}"

    @property
    def folder(self) -> str:
        """Where its two files lie below the staging folder."""
        return f"errands/{self.run_id}/{self.name}"


def pack_errand(task: StepTask, *, include: Sequence[str] = ()) -> bytes:
    """Return the archive of a step.

    Args:
        task: The step, with its records.
        include: Patterns of further files below the project's folder (``data/*.csv``).

    Raises:
        ConfigurationError: The pipeline's file is not in the project's folder, a pattern matches
            nothing, or the files are too many or too large.
    """
    folder = Path(task.project).resolve()
    files = _project_files(folder, include)
    config = _inside(folder, task.config) if task.config else None
    if config is not None:
        files[config] = folder / config
    _check_reference(task, files)
    _check_size(folder, files)
    there = attrs.evolve(task, project="", config=config)
    head = {
        "format": FORMAT,
        "flowyml": __version__,
        "task": attrs.asdict(there),
        "folder": folder.name,
        "paths": list(_import_paths(folder)),
    }
    return _archive(head, files)


def read_outcome(content: bytes) -> StepOutcome:
    """Return the outcome that a machine left.

    Raises:
        ValueError: It is none.
    """
    said: dict[str, Any] = json.loads(content)
    try:
        status = StepStatus(said["status"])
        return StepOutcome(said["step"], status, said.get("error"), said.get("records"))
    except (AttributeError, KeyError, TypeError) as cause:
        message = f"this is no outcome of a step: {content[:100]!r}"
        raise ValueError(message) from cause


def is_settled(outcome: StepOutcome) -> bool:
    """Whether a step's outputs are stored, so that its work is never done again."""
    records: Mapping[str, Any] = outcome.records or {}
    return outcome.status in FINISHED or records.get("step", {}).get("status") in FINISHED


def _project_files(folder: Path, include: Sequence[str]) -> dict[str, Path]:
    """Return what travels, by its path below the folder."""
    files = {path.relative_to(folder).as_posix(): path for path in _sources(folder)}
    for pattern in include:
        found = [path for path in folder.glob(pattern) if path.is_file()]
        if not found:
            message = f"include: {pattern!r} matches no file below {folder}"
            raise ConfigurationError(message)
        files |= {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path for name, path in files.items() if path.resolve().is_relative_to(folder)}


def _sources(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(name for name in folders if _may_hold_sources(here / name))
        yield from (here / name for name in sorted(names) if name.endswith(".py"))


def _may_hold_sources(folder: Path) -> bool:
    name = folder.name
    return not (name.startswith(".") or name in SKIPPED or (folder / "pyvenv.cfg").exists())


def _inside(folder: Path, path: str) -> str:
    absolute = Path(path).resolve()
    if not absolute.is_relative_to(folder):
        message = f"{path} lies outside of the project's folder {folder}, which is all that is sent"
        raise ConfigurationError(message)
    return absolute.relative_to(folder).as_posix()


def _check_reference(task: StepTask, files: Mapping[str, Path]) -> None:
    """Refuse a pipeline that the machine would not find."""
    place, colon, attribute = task.pipeline.rpartition(":")
    file = place if colon and attribute.isidentifier() else task.pipeline
    if file.endswith(".py") and file not in files:
        message = (
            f"the pipeline's file {file} is not among the project's files, which are all that a "
            f"job gets; move it below {task.project}, or to where no leading dot hides it"
        )
        raise ConfigurationError(message)


def _check_size(folder: Path, files: Mapping[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    if len(files) <= MOST_FILES and sum(sizes.values()) <= LARGEST:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    shown = ", ".join(f"{name} ({sizes[name]:,} bytes)" for name in largest)
    message = (
        f"{folder} has {len(files):,} files of {sum(sizes.values()):,} bytes to send with each "
        f"step, and at most {MOST_FILES:,} files of {LARGEST:,} bytes go; the largest are {shown}: "
        "move data to a store, and what is no part of the project out of its folder"
    )
    raise ConfigurationError(message)


def _import_paths(folder: Path) -> Iterator[str]:
    """Yield the folders of the project that modules are imported from here (``src``)."""
    for entry in dict.fromkeys(sys.path):
        path = Path(entry or ".").resolve()
        if path.is_dir() and path.is_relative_to(folder):
            below = path.relative_to(folder)
            inner = [folder.joinpath(*below.parts[: n + 1]) for n in range(len(below.parts))]
            if all(_may_hold_sources(each) for each in inner):
                yield below.as_posix()


def _archive(head: Mapping[str, Any], files: Mapping[str, Path]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        _add(archive, "errand.json", json.dumps(head).encode())
        for name, path in files.items():
            _add(archive, f"project/{name}", path.read_bytes())
    return content.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
