"""What was handed to W&B, in a file that outlives this process.

W&B keeps what it is given in the memory of a helper process for a while, and a machine or process
that dies takes it along. So each delivery is written here first. Whoever opens the run next finds
what a dead process left, asks W&B's own files or server which of it arrived, and hands over again
what did not.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, Final

from attrs import define, field, fields, frozen

from flowyml.errors import DeliveryError
from flowyml.storage.locks import locked

__all__ = ["Entry", "Journal"]

FILE: Final = "entries.jsonl"
SETTLED: Final = '{"settled": true}'


@frozen
class Entry:
    """One delivery.

    Attributes:
        key: Its idempotency key.
        rows: Rows of the history, each with its own key inside.
        config: Settings, under dotted names.
        summary: What else the run shows.
        owner: The step that logged the settings.
    """

    key: str
    rows: list[dict[str, Any]] = field(factory=list)
    config: dict[str, Any] = field(factory=dict)
    summary: dict[str, Any] = field(factory=dict)
    owner: str | None = None

    @property
    def line(self) -> str:
        """The delivery as a line of a journal."""
        facts = (each.name for each in fields(Entry))
        return json.dumps({name: value for name in facts if (value := getattr(self, name))})


@define
class Journal:
    """The deliveries to one W&B run, from this process and from those before it.

    Each process writes into a folder of its own and holds it for as long as it lives.

    Attributes:
        folder: Folder of the run's journals.
        keys: Keys of all deliveries that were handed over, or are going to be.
        owners: By name of a setting its value and the step that logged it.
    """

    folder: Path
    keys: set[str] = field(init=False, factory=set)
    owners: dict[str, tuple[Any, str | None]] = field(init=False, factory=dict)
    _own: Path = field(init=False)
    _holding: ExitStack = field(init=False, factory=ExitStack)
    _turn: threading.Lock = field(init=False, factory=threading.Lock)

    @_own.default
    def _make_own(self) -> Path:
        return self.folder / uuid.uuid4().hex[:12]

    def open(self) -> list[Entry]:
        """Read the run's journals, and return what dead processes may have left undone.

        Their entries are this journal's from now on.

        Raises:
            DeliveryError: One of them is damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(str(self.folder)):
            others = sorted(path for path in self.folder.iterdir() if path.is_dir())
            dead = [other for other in others if not _is_held(other)]
            left: list[Entry] = []
            for other in others:
                entries, settled = _read(other)
                self._know(entries)
                left += entries[settled:] if other in dead else []
            self._own.mkdir()
            self._holding.enter_context(locked(str(self._own)))
            # What a process copied that died before it could say so is there twice.
            left = list({entry.key: entry for entry in left}.values())
            self._write(left)
            for other in dead:
                _append(other, [SETTLED])
        return left

    def has_unsettled(self) -> bool:
        """Say whether a process that is dead by now left something that W&B may not have."""
        if not self.folder.is_dir():
            return False
        for other in self.folder.iterdir():
            entries, settled = _read(other)
            if len(entries) > settled and not _is_held(other):
                return True
        return False

    def add(self, entries: list[Entry]) -> None:
        """Write deliveries down before W&B is given them.

        Raises:
            OSError: They are not written down, so nobody may take them for handed over.
        """
        self._write(entries)
        self._know(entries)

    def close(self, *, settled: bool) -> None:
        """Let go, and note whether W&B has everything for certain."""
        with self._holding:
            if settled:
                _append(self._own, [SETTLED])

    def _write(self, entries: list[Entry]) -> None:
        with self._turn:
            _append(self._own, [entry.line for entry in entries])

    def _know(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.keys.add(entry.key)
            for name, value in entry.config.items():
                self.owners.setdefault(name, (value, entry.owner))


def _is_held(folder: Path) -> bool:
    try:
        with locked(str(folder), wait=False):
            return False
    except BlockingIOError:
        return True


def _read(journal: Path) -> tuple[list[Entry], int]:
    """Return the entries of a journal, and how many of them W&B has for certain.

    Raises:
        DeliveryError: One of its lines is none that was written here.
    """
    entries: list[Entry] = []
    settled = 0
    for number, line in enumerate(_whole_lines(journal / FILE), start=1):
        try:
            facts = json.loads(line)
            if "settled" in facts:
                settled = len(entries)
            else:
                entries.append(Entry(**facts))
        except (ValueError, TypeError) as cause:
            raise _damaged(journal / FILE, number, cause) from cause
    return entries, settled


def _whole_lines(file: Path) -> list[bytes]:
    """Return the whole lines; half a line at the end was never told to be written."""
    return file.read_bytes().split(b"\n")[:-1] if file.exists() else []


def _damaged(file: Path, number: int, cause: Exception) -> DeliveryError:
    message = (
        f"line {number} of the journal {file} is damaged ({cause}); delete that line, then resume "
        "the run: whatever else of it W&B has not got is handed over (the values themselves are in "
        "the artifact store)"
    )
    return DeliveryError(message)


def _append(journal: Path, lines: list[str]) -> None:
    """Write lines, all or none, and never behind half a line that a killed process left.

    Raises:
        OSError: They cannot be written; it names the file.
    """
    file = journal / FILE
    with file.open("ab+", buffering=0) as stream:
        end = _cut(stream)
        try:
            _write("".join(f"{line}\n" for line in lines).encode(), stream)
        except OSError as cause:
            stream.truncate(end)
            raise OSError(cause.errno, cause.strerror, str(file)) from cause


def _cut(stream: FileIO) -> int:
    """Cut half a line off the end of a file; return where its last whole line ends."""
    end = stream.seek(0, os.SEEK_END)
    if end == 0:
        return 0
    stream.seek(-1, os.SEEK_END)
    if stream.read(1) == b"\n":
        return end
    stream.seek(0)
    end = stream.readall().rfind(b"\n") + 1
    stream.truncate(end)
    return end


def _write(content: bytes, stream: FileIO) -> None:
    """Write all of it; a file takes only a part where the disk is nearly full."""
    left = memoryview(content)
    while left:
        left = left[stream.write(left) :]
