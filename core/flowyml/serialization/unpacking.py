"""From stored files to the value again, in the artifact class that it had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from flowyml.artifacts import Artifact
from flowyml.errors import FlowyMLError, SerializationError, TrustError
from flowyml.records import Manifest
from flowyml.serialization.catalog import for_reading
from flowyml.serialization.classes import resolve
from flowyml.serialization.tagged import decode
from flowyml.storage.files import FileSource

__all__ = ["unpack", "unpack_data"]


def unpack(source: FileSource, *, trusted: bool) -> object:
    """Return a stored value as it was: the artifact around its data, or the plain value.

    Args:
        source: Its files, verified.
        trusted: Whether the project vouches for them: its metadata store knows the digest, or the
            stack says ``trust: pickle``.

    Raises:
        TrustError: Reading it could run code, and nobody vouches for it.
        SerializationError: It cannot be read, or its class is not to be found; a class of the
            user's is never replaced by another one. `unpack_data` reads the data without it.
    """
    manifest = source.manifest
    cls = None
    if manifest.artifact_class is not None:
        cls = _artifact_class(manifest.artifact_class, trusted=trusted)
    data = unpack_data(source, trusted=trusted)
    return data if cls is None else _artifact(cls, data, manifest, trusted=trusted)


def unpack_data(source: FileSource, *, trusted: bool) -> object:
    """Return only the data of a stored artifact, whatever class was around it.

    Raises:
        TrustError: Reading it could run code, and nobody vouches for it.
        SerializationError: It cannot be read.
    """
    manifest = source.manifest
    serializer = for_reading(manifest.serializer, manifest.python_type)
    if manifest.serializer_version > serializer.version:
        message = (
            f"{manifest.name!r} is stored as {manifest.serializer} version "
            f"{manifest.serializer_version}, and this flowyml reads up to {serializer.version}; "
            "install a newer one"
        )
        raise SerializationError(message)
    if serializer.runs_code and not trusted:
        raise TrustError(_untrusted(manifest))
    try:
        return serializer.read(source, trusted=trusted)
    except (FlowyMLError, OSError):
        raise
    except Exception as cause:  # libraries raise whatever they like about bytes they do not know
        message = (
            f"{manifest.name!r} cannot be read as {manifest.serializer}: "
            f"{type(cause).__name__}: {cause}"
        )
        raise SerializationError(message) from cause


def _untrusted(manifest: Manifest) -> str:
    return (
        f"{manifest.name!r} is stored as {manifest.serializer}, and reading that runs whatever is "
        f"in it; this project did not store {manifest.digest}. Say `trust: pickle` in the stack "
        "if you know where it comes from"
    )


def _artifact_class(place: str, *, trusted: bool) -> type[Artifact]:
    cls = resolve(place, trusted=trusted)
    if not issubclass(cls, Artifact):
        message = f"the manifest names {place} as an artifact type, which it is not"
        raise SerializationError(message)
    return cls


def _artifact(cls: type[Artifact], data: object, manifest: Manifest, *, trusted: bool) -> Artifact:
    properties: dict[str, Any] = decode(manifest.properties, trusted=trusted)
    values = {
        "name": manifest.name,
        "version": manifest.version,
        "metadata": decode(manifest.metadata, trusted=trusted),
        **properties,
    }
    fields = {a.name: a for a in attrs.fields(cls)}
    if unknown := values.keys() - fields.keys():
        message = f"{cls.__qualname__} has no field {min(unknown)!r} any more; restore it"
        raise SerializationError(message)
    return _made(cls, data, values, fields)


def _made(
    cls: type[Artifact],
    data: object,
    values: Mapping[str, Any],
    fields: Mapping[str, attrs.Attribute[Any]],
) -> Artifact:
    given = {
        fields[name].alias or name: value for name, value in values.items() if fields[name].init
    }
    try:
        made = cls(data, **given)
    except (TypeError, ValueError) as cause:
        message = f"the stored {cls.__qualname__} cannot be made again: {cause}"
        raise SerializationError(message) from cause
    for name, value in values.items():
        if not fields[name].init:
            object.__setattr__(made, name, value)
    return made
