"""Reading stored files: out of a store into a folder, or only to see that they are whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from flowyml.cli.columns import local_time
from flowyml.cli.transfer import transfer
from flowyml.errors import (
    ConfigurationError,
    FlowyMLError,
    IntegrityError,
    NotFoundError,
    PluginError,
)
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.routing.reader import changed
from flowyml.routing.whereabouts import find_place
from flowyml.stacks.active import current_stack
from flowyml.stacks.secrecy import said, without_logins
from flowyml.stacks.stack import Stack
from flowyml.storage.files import FileSource

__all__ = ["copy_files", "open_source", "verified"]

PIECE = 1024 * 1024


def open_source(metadata: MetadataStore, artifact: ArtifactRecord) -> FileSource:
    """Open an artifact in the store of the active stack, or of the stack that stored it.

    Raises:
        ConfigurationError: Neither of them has the store where it lies.
        NotFoundError: It was collected, or is gone.
        IntegrityError: What lies there is not what the run stored.
    """
    source = _lying_at(metadata, artifact)
    _compare(source, artifact, metadata)
    return source


def _lying_at(metadata: MetadataStore, artifact: ArtifactRecord) -> FileSource:
    """Open what lies where an artifact was stored, whatever it is by now."""
    if artifact.collected_at is not None:
        message = (
            f"{artifact.run_id}/{artifact.output} was collected on "
            f"{local_time(artifact.collected_at)} by `flowyml artifact gc`; run its pipeline again"
        )
        raise NotFoundError(message)
    stack = current_stack()
    if stack.store_of_uri(artifact.uri) is None:
        stack = _stack_of(metadata.run(artifact.run_id).stack, artifact)
    place = find_place(stack, artifact.uri, artifact.digest, metadata)
    if place is None:
        message = (
            f"no store of the stack {stack.name!r} holds {artifact.uri}, nor the same at another "
            "place; name the stack that does with --stack"
        )
        raise ConfigurationError(message)
    return stack.hooks.load_artifact(place.store, place.uri)


def _stack_of(name: str, artifact: ArtifactRecord) -> Stack:
    """Build the stack that stored an artifact."""
    try:
        return current_stack(name)
    except (ConfigurationError, PluginError) as cause:
        message = (
            f"{artifact.uri} was stored on the stack {name!r}, which cannot be used; name one that "
            f"has the store with --stack, or put it right: {cause}"
        )
        raise ConfigurationError(message) from cause


def _compare(source: FileSource, artifact: ArtifactRecord, metadata: MetadataStore) -> None:
    found = source.manifest.digest
    if found != artifact.digest:
        raise IntegrityError(changed(artifact.uri, artifact.digest, found, metadata))


def copy_files(
    source: FileSource, folder: Path, *, on_stderr: bool = False
) -> list[dict[str, Any]]:
    """Copy all data files into a folder, under the names that they have in the store.

    Args:
        source: The files.
        folder: Is made where there is none.
        on_stderr: Where a bar is drawn if it takes long.

    Returns:
        Name, path, size and SHA-256 of each.

    Raises:
        ConfigurationError: A file is there already, or the folder cannot be written.
        IntegrityError: A file is not what was written, or its name leaves the folder.
    """
    targets = {file.name: _inside(folder, file.name) for file in source.manifest.files}
    try:
        taken = [str(target) for target in targets.values() if target.exists()]
        if taken:
            message = f"{taken[0]} exists already; choose another folder with --to"
            raise ConfigurationError(message)
        with transfer(source.manifest.name, source.manifest.size, on_stderr=on_stderr) as advance:
            for name, target in targets.items():
                _copy(source, name, target, advance)
    except FlowyMLError:
        raise
    except OSError as cause:
        message = f"the files cannot be copied into {folder}: {cause}; choose another with --to"
        raise ConfigurationError(message) from cause
    return [
        {
            "name": file.name,
            "path": str(targets[file.name]),
            "size": file.size,
            "sha256": file.sha256,
        }
        for file in source.manifest.files
    ]


def verified(
    metadata: MetadataStore, artifact: ArtifactRecord, *, on_stderr: bool = False
) -> dict[str, Any]:
    """Read an artifact again, and return it with its status.

    The status is ``ok``; or ``replaced`` where a later run of this project stored something else at
    its place, which is no fault; or ``failed``, with an error.
    """
    problem = later = None
    try:
        source = _lying_at(metadata, artifact)
        found = source.manifest.digest
        later = metadata.replacement(artifact.uri, recorded=artifact.digest, found=found)
        if later is None:
            _compare(source, artifact, metadata)
            _read_all(source, artifact, on_stderr=on_stderr)
    except Exception as error:  # noqa: BLE001  # whatever a backend raises, the others are read
        problem = _told(error, artifact)
    well = "ok" if later is None else "replaced"
    return {
        "id": artifact.artifact_id,
        "run_id": artifact.run_id,
        "name": artifact.name,
        "version": artifact.version,
        "status": "failed" if problem else well,
        "replaced_by": f"{later.run_id}/{later.output}" if later else None,
        "digest": artifact.digest,
        "uri": artifact.uri,
        "error": problem,
    }


def _told(error: Exception, artifact: ArtifactRecord) -> str:
    if isinstance(error, FlowyMLError):
        return str(error)
    return (
        f"{artifact.uri} cannot be read: {without_logins(said(error))}; see that its store answers "
        "(`flowyml stack doctor`), then verify it again"
    )


def _copy(source: FileSource, name: str, target: Path, advance: Callable[[int], None]) -> None:
    """Copy one file; it gets its name when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with source.open(name) as stored, partial.open("wb") as copy:
            while piece := stored.read(PIECE):
                copy.write(piece)
                advance(len(piece))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _read_all(source: FileSource, artifact: ArtifactRecord, *, on_stderr: bool) -> None:
    with transfer(artifact.name, artifact.size, on_stderr=on_stderr) as advance:
        for file in source.manifest.files:
            with source.open(file.name) as stored:
                while piece := stored.read(PIECE):
                    advance(len(piece))


def _inside(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or "\\" in name or PurePosixPath(name).is_absolute():
        message = f"the artifact names a file {name!r}, which would leave {folder}; nothing is read"
        raise IntegrityError(message)
    return folder.joinpath(*parts)
