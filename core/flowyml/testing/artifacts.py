"""Artifacts that a store is asked to keep, made without a serializer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import attrs

from flowyml.records import Manifest, Producer
from flowyml.storage.files import FileSink, FileSource, StoreRequest, StreamFilter

__all__ = ["DRAFT", "FILES", "OTHER", "a_request", "contents", "writing"]

FILES: Final[Mapping[str, bytes]] = MappingProxyType(
    {"model.pkl": b"weights" * 100, "part-0/data.bin": bytes(range(256))}
)

OTHER: Final[Mapping[str, bytes]] = MappingProxyType(
    {"model.pkl": b"other weights", "extra.json": b"{}"}
)

DRAFT: Final = Manifest(
    type="Model",
    python_type="sklearn.svm._classes:SVC",
    artifact_class="flowyml.artifacts:Model",
    serializer="pickle",
    serializer_version=1,
    files=(),
    name="fraud",
    version="1.0.0",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    properties={"framework": "sklearn"},
    metadata={"metrics": {"f1": 0.93}},
    producer=Producer("training", "run-1", "train", "model"),
)


def writing(files: Mapping[str, bytes]) -> Callable[[FileSink], None]:
    """Return what writes these files."""

    def write(sink: FileSink) -> None:
        for name, content in files.items():
            with sink.open(name) as file:
                file.write(content)

    return write


def a_request(
    path: str = "run-1/model",
    files: Mapping[str, bytes] = FILES,
    *,
    overwrite: bool = False,
    filters: Sequence[StreamFilter] = (),
    **changes: Any,
) -> StoreRequest:
    """Return a request to store files, with changes to the manifest's draft."""
    manifest = attrs.evolve(DRAFT, **changes)
    return StoreRequest(path, manifest, writing(files), overwrite, list(filters))


def contents(source: FileSource) -> dict[str, bytes]:
    """Read all files of an artifact, each in both ways."""
    found = {}
    for file in source.manifest.files:
        with source.open(file.name) as opened:
            found[file.name] = opened.read()
        assert source.path(file.name).read_bytes() == found[file.name]
    return found
