"""What the tests of the metadata store share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from flowyml.metadata.store import MetadataStore

ROOT = Path(__file__).parents[2]

StartWriters = Callable[..., list["subprocess.Popen[str]"]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test lies; its folder does not exist yet."""
    return tmp_path / ".flowyml" / "metadata.db"


@pytest.fixture
def store(path: Path) -> Iterator[MetadataStore]:
    """Give an empty store."""
    with MetadataStore.open(path) as opened:
        yield opened


@pytest.fixture
def start_writers(path: Path) -> Iterator[StartWriters]:
    """Start processes that do one work on the store at once; none outlives the test."""
    with ExitStack() as cleanup:

        def start(work: str, *names: str, count: int = 0) -> list[subprocess.Popen[str]]:
            writers = [cleanup.enter_context(_writer(work, path, name, count)) for name in names]
            for writer in writers:
                cleanup.callback(writer.kill)
            for writer in writers:
                assert _line(writer) == "ready"
            for writer in writers:
                assert writer.stdin
                writer.stdin.write("go\n")
                writer.stdin.flush()
            return writers

        yield start


def _writer(work: str, path: Path, name: str, count: int) -> subprocess.Popen[str]:
    module = "tests.metadata.metadata_writer"
    return subprocess.Popen(
        [sys.executable, "-m", module, work, str(path), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )


def _line(writer: subprocess.Popen[str]) -> str:
    assert writer.stdout
    return writer.stdout.readline().rstrip("\n")
