"""``artifact.json``: the manifest as JSON, and the suspicious way back.

The stored form also carries a checksum of itself, so that a changed bit in a name or in the user's
metadata is noticed, which no digest of a data file covers. Neither tells who wrote it: what may be
trusted is decided by the project, never by the artifact.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from flowyml.errors import IntegrityError
from flowyml.records import Manifest, Producer, StoredFile
from flowyml.storage.names import MANIFEST_NAME, check_names, fault_of_path

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_NAME",
    "MOST_BYTES",
    "manifest_bytes",
    "manifest_from_json",
    "manifest_to_json",
    "parse_manifest",
]

FORMAT_VERSION: Final = 1
"""The newest layout that this FlowyML reads."""

MOST_BYTES: Final = 256 * 2**20
"""No manifest is longer; a million files fit."""

_ENCODER = json.JSONEncoder()

_START = b'{"checksum": "'

_CHECKED_FROM = len(_START) + 64 + len('", ')

_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[\w.+:-]+")
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")


def manifest_to_json(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as plain JSON values, its digest included for those who only look."""
    producer = manifest.producer
    return {
        "format_version": manifest.format_version,
        "digest": manifest.digest,
        "type": manifest.type,
        "name": manifest.name,
        "version": manifest.version,
        "python_type": manifest.python_type,
        "artifact_class": manifest.artifact_class,
        "serializer": manifest.serializer,
        "serializer_version": manifest.serializer_version,
        "files": [
            {"name": file.name, "size": file.size, "sha256": file.sha256} for file in manifest.files
        ],
        "filters": list(manifest.filters),
        "generation": manifest.generation,
        "properties": manifest.properties,
        "metadata": manifest.metadata,
        "producer": producer
        and {
            "pipeline": producer.pipeline,
            "run_id": producer.run_id,
            "step": producer.step,
            "output": producer.output,
        },
        "key": manifest.key,
        "created_at": manifest.created_at.isoformat(),
    }


def manifest_from_json(content: Mapping[str, Any]) -> Manifest:
    """Return the manifest that was written as JSON; unknown keys are left alone.

    Raises:
        IntegrityError: It is damaged, forged, or of a newer layout; the message says where.
    """
    reader = _Reader(content)
    version = reader.number("format_version")
    if version != FORMAT_VERSION:
        message = (
            f"it has format version {version}, and this flowyml reads version {FORMAT_VERSION}; "
            "install a newer flowyml"
        )
        raise IntegrityError(message)
    manifest = Manifest(
        type=reader.text("type"),
        python_type=reader.line("python_type"),
        artifact_class=None
        if content.get("artifact_class") is None
        else reader.line("artifact_class"),
        serializer=reader.word("serializer"),
        serializer_version=reader.number("serializer_version"),
        files=_files(reader),
        name=reader.text("name"),
        created_at=_time(reader.text("created_at")),
        version=reader.optional("version"),
        filters=_filters(reader),
        properties=reader.table("properties"),
        metadata=reader.table("metadata"),
        producer=_producer(reader),
        key=reader.optional("key"),
        format_version=version,
        generation=_generation(reader),
    )
    if content.get("digest", manifest.digest) != manifest.digest:
        message = f"it says {content['digest']!r} and describes {manifest.digest}"
        raise IntegrityError(message)
    return manifest


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return what ``artifact.json`` holds: a JSON table whose first entry checks all the others."""
    content = _ENCODER.encode(manifest_to_json(manifest))[1:].encode()
    return b'%b%b", %b' % (_START, hashlib.sha256(content).hexdigest().encode(), content)


def parse_manifest(content: bytes, uri: str) -> Manifest:
    """Return the manifest in the bytes of ``artifact.json``.

    Args:
        content: The bytes.
        uri: The artifact, for the message.

    Raises:
        IntegrityError: They are not what `manifest_bytes` wrote, or are of a newer layout.
    """
    try:
        found = json.loads(content)
        if type(found) is not dict:
            message = "it is no table"
            raise IntegrityError(message)
        manifest = manifest_from_json(found)
        expected = hashlib.sha256(content[_CHECKED_FROM:]).hexdigest()
        if not content.startswith(b'%b%b", ' % (_START, expected.encode())):
            message = f"it was changed: its checksum is {found.get('checksum')!r:.80}"
            raise IntegrityError(message)
    except (ValueError, RecursionError) as cause:
        message = (
            f"the manifest {MANIFEST_NAME} of {uri} cannot be used: {cause}; "
            "restore it from a copy, or delete the artifact and store it again"
        )
        raise IntegrityError(message) from cause
    return manifest


class _Reader:
    """Takes typed values out of a table, and complains by their name."""

    __slots__ = ("_content",)

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def _typed(self, key: str, kind: type, what: str) -> Any:
        value = self._content.get(key)
        if type(value) is not kind:
            message = f"its {key} is {value!r:.80}, not {what}"
            raise IntegrityError(message)
        return value

    def text(self, key: str) -> str:
        found: str = self._typed(key, str, "a text")
        return found

    def line(self, key: str) -> str:
        """Return a text that is one line: the digest is taken over lines."""
        found = self.text(key)
        if not _LINE.fullmatch(found):
            message = f"its {key} is {found!r:.80}, which is no name"
            raise IntegrityError(message)
        return found

    def word(self, key: str) -> str:
        found = self.text(key)
        if not _WORD.fullmatch(found):
            message = f"its {key} is {found!r:.80}, which is no name"
            raise IntegrityError(message)
        return found

    def optional(self, key: str) -> str | None:
        return None if self._content.get(key) is None else self.text(key)

    def number(self, key: str) -> int:
        found: int = self._typed(key, int, "a number")
        if found < 0:
            message = f"its {key} is {found}, less than nothing"
            raise IntegrityError(message)
        return found

    def table(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self._typed(key, dict, "a table")
        return found

    def rows(self, key: str) -> list[Any]:
        found: list[Any] = self._typed(key, list, "a list")
        return found

    def nested(self, key: str) -> _Reader | None:
        return None if self._content.get(key) is None else _Reader(self.table(key))


def _files(reader: _Reader) -> tuple[StoredFile, ...]:
    files = []
    for row in reader.rows("files"):
        if type(row) is not dict:
            message = f"its files have {row!r:.80} among them, not a table"
            raise IntegrityError(message)
        entry = _Reader(row)
        file = StoredFile(entry.text("name"), entry.number("size"), entry.text("sha256"))
        if not _SHA256.fullmatch(file.sha256):
            message = f"its file {file.name!r} has {file.sha256!r:.80} for a SHA-256"
            raise IntegrityError(message)
        files.append(file)
    try:
        check_names(file.name for file in files)
    except ValueError as cause:
        raise IntegrityError(str(cause)) from cause
    return tuple(files)


def _filters(reader: _Reader) -> tuple[str, ...]:
    filters = reader.rows("filters")
    if not all(type(name) is str and _WORD.fullmatch(name) for name in filters):
        message = f"its filters are {filters!r:.80}, not names"
        raise IntegrityError(message)
    return tuple(filters)


def _generation(reader: _Reader) -> str:
    generation = reader.optional("generation") or ""
    if generation and ("/" in generation or fault_of_path(generation)):
        message = f"its generation is {generation!r:.80}, which is no folder of its own"
        raise IntegrityError(message)
    return generation


def _producer(reader: _Reader) -> Producer | None:
    entry = reader.nested("producer")
    if entry is None:
        return None
    return Producer(
        pipeline=entry.text("pipeline"),
        run_id=entry.text("run_id"),
        step=entry.text("step"),
        output=entry.text("output"),
    )


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as cause:
        message = f"its created_at is {text!r:.80}, not a time"
        raise IntegrityError(message) from cause
    if found.tzinfo is None:
        message = f"its created_at is {text!r}, without a zone"
        raise IntegrityError(message)
    return found
