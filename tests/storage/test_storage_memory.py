"""Storing and loading a value takes little memory beyond the value itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.storage import memory_of_values

MIB = 256

BEYOND = 64
"""MiB that may be needed beyond the value, however large that is."""

pytestmark = pytest.mark.skipif(
    not memory_of_values.STATUS.exists(), reason="only Linux tells what memory a process uses"
)


def measured(kind: str, folder: Path) -> dict[str, float]:
    """Store and load a value in a process of its own."""
    pytest.importorskip({"frame": "pandas", "array": "numpy"}.get(kind, "json"))
    ended = subprocess.run(
        [sys.executable, memory_of_values.__file__, kind, str(MIB)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, float] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("kind", ["array", "frame", "folder"])
def test_storing_copies_nothing_and_loading_makes_one(kind: str, tmp_path: Path) -> None:
    """A frame comes into memory once; an array and a folder stay on the disk until used."""
    needed = measured(kind, tmp_path)

    value = MIB if kind == "frame" else 0
    assert needed["stored"] < BEYOND
    assert needed["loaded"] < value + BEYOND
    assert bool(needed["mapped"]) == (kind == "array")
