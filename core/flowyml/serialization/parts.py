"""Values inside values that have a format of their own: a frame in a dict, an array in a tuple.

JSON says where each one belongs; its files lie in a folder of their own, ``part-0/data.parquet``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import attrs
from attrs import define, field, frozen

from flowyml.errors import SerializationError
from flowyml.records import Manifest
from flowyml.serialization.catalog import automatic
from flowyml.serialization.classes import place_of
from flowyml.serialization.contract import Write
from flowyml.serialization.tagged import TAG, no_form
from flowyml.serialization.unpacking import unpack_data
from flowyml.storage.files import FileSink, FileSource

__all__ = ["PartReader", "PartWriter"]

PART = "part"

MOST = 1000
"""Parts of one value; more would be a folder that nobody can list."""

WHOLE = frozenset({"json", "torch"})
"""Formats that are for a whole value: what JSON can say stays in the JSON, and tensors together."""


@define
class PartWriter:
    """Collects the parts while JSON is encoded."""

    writes: list[Write] = field(factory=list)

    def take(self, value: object) -> dict[str, Any]:
        """Find a format for a part, and return what stands for it in the JSON.

        Raises:
            SerializationError: No format but pickle holds it.
        """
        for serializer in automatic(type(value)):
            if serializer.runs_code or serializer.name in WHOLE or len(self.writes) == MOST:
                continue
            try:
                write = serializer.writer(value)
            except SerializationError:
                continue
            self.writes.append(write)
            return {
                TAG: PART,
                "number": len(self.writes) - 1,
                "serializer": serializer.name,
                "version": serializer.version,
                "python_type": place_of(type(value)),
            }
        raise no_form(value)

    def write(self, sink: FileSink) -> None:
        """Write the files of every part into its folder."""
        for number, write in enumerate(self.writes):
            write(_PartSink(sink, _folder(number)))


@frozen
class PartReader:
    """Reads a part when the JSON comes to it."""

    source: FileSource
    trusted: bool

    def read(self, tagged: Mapping[str, Any]) -> object:
        """Return the value of a part.

        Raises:
            SerializationError: The tag is none of ours.
            TrustError: Reading it could run code, and nobody vouches for it.
        """
        if tagged[TAG] != PART:
            message = f"the tag {tagged[TAG]!r} is not known here; a newer FlowyML wrote it"
            raise SerializationError(message)
        folder = _folder(int(tagged["number"]))
        manifest = attrs.evolve(
            self.source.manifest,
            serializer=str(tagged["serializer"]),
            serializer_version=int(tagged["version"]),
            python_type=str(tagged["python_type"]),
            files=tuple(
                attrs.evolve(file, name=file.name.removeprefix(folder))
                for file in self.source.manifest.files
                if file.name.startswith(folder)
            ),
        )
        return unpack_data(_PartSource(self.source, folder, manifest), trusted=self.trusted)


def _folder(number: int) -> str:
    return f"part-{number}/"


@frozen
class _PartSink:
    """Writes below a folder of the whole."""

    whole: FileSink
    folder: str

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        return self.whole.open(self.folder + name)

    def put(self, name: str, content: bytes) -> None:
        self.whole.put(self.folder + name, content)

    def add(self, name: str, path: Path) -> None:
        self.whole.add(self.folder + name, path)

    def reserve(self, name: str) -> AbstractContextManager[Path]:
        return self.whole.reserve(self.folder + name)


@frozen
class _PartSource:
    """Reads below a folder of the whole."""

    whole: FileSource
    folder: str
    manifest: Manifest

    def open(self, name: str) -> BinaryIO:
        return self.whole.open(self.folder + name)

    def path(self, name: str) -> Path:
        return self.whole.path(self.folder + name)
