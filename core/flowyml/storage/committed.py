"""What is committed at a path of a bucket."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from flowyml.errors import IntegrityError
from flowyml.records import Manifest
from flowyml.storage.buckets import Bucket
from flowyml.storage.manifests import MANIFEST_NAME, MOST_BYTES, parse_manifest

__all__ = ["Committed", "data_names", "read_committed"]


@frozen
class Committed:
    """A manifest that lies at a path, with the state in which the bucket has it.

    Attributes:
        manifest: What it says; None where it is damaged.
        version: The version to replace.
        fault: Why it is damaged.
    """

    manifest: Manifest | None
    version: str
    fault: IntegrityError | None = None


def read_committed(bucket: Bucket, path: str) -> Committed | None:
    """Read the manifest at a path; None where no artifact is committed there."""
    try:
        found = bucket.read(f"{path}/{MANIFEST_NAME}", MOST_BYTES)
    except FileNotFoundError:
        return None
    try:
        return Committed(parse_manifest(found.content, f"{bucket.uri}/{path}"), found.version)
    except IntegrityError as fault:
        return Committed(None, found.version, fault)


def data_names(path: str, manifest: Manifest, generation: str | None = None) -> Sequence[str]:
    """Return the objects that hold an artifact's data files, in the order of its files.

    Args:
        path: The artifact's.
        manifest: Its files.
        generation: Folder of the data files; None for the one that the manifest says.
    """
    folder = manifest.generation if generation is None else generation
    below = f"{path}/{folder}/" if folder else f"{path}/"
    return [below + file.name for file in manifest.files]
