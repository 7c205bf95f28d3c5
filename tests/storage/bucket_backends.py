"""What the tests of broken connections and killed writers need to know of a vendor."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import pytest
from attrs import define, field, frozen
from tests.storage.storage_samples import BackDoor

from flowyml.plugins import BucketStore

__all__ = ["BucketBackend", "Worker", "named"]

ROOT = Path(__file__).parents[2]


class Door(BackDoor, Protocol):
    """The objects of a store, by the vendor's own means, and what lies half sent beside them."""

    def unfinished(self) -> list[str]:
        """Name what was sent of objects that never came to be."""


@frozen
class BucketBackend:
    """One vendor.

    Attributes:
        store: Its store, as ``module:Class``.
        server: URL of the server.
        settings: Returns the store's fields where it is reached at a URL.
        door: The back door to what these settings mean.
        busy: Whole answers by which the vendor asks for patience.
        denied: Whole answer by which it says no.
        parts: The constants ``module:NAME`` that say how long the parts of a large file are.
        part: How long they are in these tests.
        pauses: What ``module:NAME`` is in the tests' own process, so that nobody waits long.
    """

    store: str
    server: str
    settings: Callable[[str], Mapping[str, Any]]
    door: Door
    busy: Mapping[str, bytes]
    denied: bytes
    parts: Sequence[str]
    pauses: Mapping[str, Any]
    part: int = 2**20

    def store_at(self, url: str, **changes: Any) -> BucketStore:
        """Return the store where it is reached at a URL."""
        made: BucketStore = named(self.store)(**{**self.settings(url), **changes})
        return made

    def hasten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let files go up in short parts, and calls be tried again soon."""
        for name, value in {**dict.fromkeys(self.parts, self.part), **self.pauses}.items():
            monkeypatch.setattr(name.replace(":", "."), value)


def named(reference: str) -> Any:
    """Return what ``module:name`` means."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


@define
class Worker:
    """A process that does work on a store in children of its own, to be killed by a test."""

    _process: subprocess.Popen[str]
    _busy: bool = field(default=False, init=False)

    @classmethod
    @contextmanager
    def of(cls, backend: BucketBackend) -> Iterator[Self]:
        """Start one; the vendor's libraries are imported once."""
        command = [sys.executable, "-m", "tests.storage.bucket_worker"]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            worker = cls(process)
            worker._say(
                store=backend.store,
                settings=dict(backend.settings(backend.server)),
                parts=dict.fromkeys(backend.parts, backend.part),
            )
            yield worker
            assert process.stdin
            process.stdin.close()

    def begin(self, work: str, settings: Mapping[str, Any], files: Path) -> int:
        """Begin a piece of work in a new process; return its id."""
        self._say(work=work, settings=dict(settings), files=str(files))
        return int(self._line())

    def end(self) -> int:
        """Wait for the work's end; return its exit code, negative for a signal."""
        return int(self._line())

    def _say(self, **words: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()
