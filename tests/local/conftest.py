"""What the tests of the local backends share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

StartWriters = Callable[..., list["subprocess.Popen[str]"]]


@pytest.fixture
def start_writers() -> Iterator[StartWriters]:
    """Start processes that do one work on a registry at once; none outlives the test."""
    with ExitStack() as cleanup:

        def start(
            work: str, path: Path, *names: str, count: int = 0
        ) -> list[subprocess.Popen[str]]:
            writers = [cleanup.enter_context(_writer(work, path, name, count)) for name in names]
            for writer in writers:
                cleanup.callback(writer.kill)
            for writer in writers:
                assert writer.stdout
                assert writer.stdout.readline() == "ready\n"
            for writer in writers:
                assert writer.stdin
                writer.stdin.write("go\n")
                writer.stdin.flush()
            return writers

        yield start


def start_module(module: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a module of the tests as a process that finds what this process finds."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )


def _writer(work: str, path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return start_module("tests.local.registry_writer", work, str(path), name, str(count))
