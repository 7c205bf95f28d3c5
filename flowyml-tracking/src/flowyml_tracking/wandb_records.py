"""Reading back what W&B wrote on this machine.

A ``.wandb`` file is a LevelDB log with a header of its own: blocks of 32 KiB, in them records with
a checksum, a length and a kind, in the records W&B's protocol buffers.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["ended", "history", "records", "run_files"]

HEADER: Final = 7
BLOCK: Final = 32768
MAGIC: Final = b":W&B"

NEWEST: Final = 20
"""The record of a run's end is among so many at the end of its file."""

FULL, FIRST, _MIDDLE, LAST = 1, 2, 3, 4


def run_files(folder: Path, run_id: str) -> list[Path]:
    """Find the files of one W&B run, from each process that had it open, oldest first.

    Args:
        folder: The folder that ``wandb.init`` was given.
        run_id: W&B's id of the run.
    """
    # W&B numbers the folders of one second: run-20260501_120000-ID, run-20260501_120000-ID-1.
    found = (folder / "wandb").glob(f"*run-*-{run_id}*/run-{run_id}.wandb")
    return sorted(found, key=_age)


def _age(file: Path) -> tuple[str, int, str]:
    name = file.parent.name.removeprefix("offline-")
    return name[: len("run-20260501_120000")], len(name), name


def history(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows that were logged, as they lie in the file."""
    for record in records(file):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            yield {item.key or ".".join(item.nested_key): _value(item.value_json) for item in items}


def records(file: Path) -> Iterator[Any]:
    """Yield all records of a file, up to where a killed process left off."""
    from wandb.proto import wandb_internal_pb2

    for raw in _whole_records(file.read_bytes()):
        yield wandb_internal_pb2.Record.FromString(raw)


def ended(file: Path) -> bool:
    """Say whether a run was finished and all of it has reached the file."""
    from wandb.proto import wandb_internal_pb2

    if not file.exists():
        return False
    newest = deque(_whole_records(file.read_bytes()), maxlen=NEWEST)
    parsed = (wandb_internal_pb2.Record.FromString(raw) for raw in newest)
    return any(record.WhichOneof("record_type") == "exit" for record in parsed)


def _value(text: str) -> Any:
    return json.loads(text)


def _whole_records(content: bytes) -> Iterator[bytes]:
    if content[:4] != MAGIC:
        return
    begun = b""
    for kind, data in _pieces(content):
        if kind == FULL:
            yield data
            continue
        begun = data if kind == FIRST else begun + data
        if kind == LAST:
            yield begun


def _pieces(content: bytes) -> Iterator[tuple[int, bytes]]:
    place = HEADER
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", content, place)
        if not kind and not length:
            place += left
            continue
        data = content[place + HEADER : place + HEADER + length]
        if len(data) < length or checksum != zlib.crc32(data, zlib.crc32(bytes([kind]))):
            return
        yield kind, data
        place += HEADER + length
