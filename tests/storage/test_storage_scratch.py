"""Temporary files go with their process, and those of a killed one with a later process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MAKE = """
import os, sys, tempfile
from flowyml.storage.scratch import scratch_home
folder = tempfile.mkdtemp(dir=scratch_home())
open(os.path.join(folder, "large"), "w").close()
print(scratch_home(), flush=True)
"""

KILLED = MAKE + "os.kill(os.getpid(), 9)"
WAITING = MAKE + "sys.stdin.read()"
FORKING = f"""{MAKE}
child = os.fork()
scratch_home()
if child:
    os.waitpid(child, 0)
    print(os.path.isdir(folder))
"""

STORE = """
import os, sys
from pathlib import Path
from flowyml.storage.disks import DiskBucket
from flowyml.storage.files import StoreRequest
from flowyml.storage.filters import unfiltered
from flowyml.storage.folders import ArtifactFolders
from tests.storage.storage_samples import DRAFT, a_request
from tests.storage.test_storage_filters import GZIP, gunzip
folders = ArtifactFolders(DiskBucket(Path(sys.argv[1]), False))
def die():
    os.kill(os.getpid(), 9)
"""

STORING = f"""{STORE}
def write(sink):
    sink.put("x", b"large")
    die()
folders.store(StoreRequest("p", DRAFT, write), key=None)
"""

LOADING = f"""{STORE}
source = folders.load(folders.store(a_request(), key=None).uri)
source.path("model.pkl")
die()
"""

DECODING = f"""{STORE}
stored = folders.store(a_request(filters=[GZIP]), key=None)
source = unfiltered(folders.load(stored.uri), "gzip", gunzip)
source.path("model.pkl")
die()
"""

AGES = 7200.0

ROOT = Path(__file__).parents[2]


@contextmanager
def _started(code: str, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code, str(temporary.with_name("store"))],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def _home(process: subprocess.Popen[str]) -> Path:
    assert process.stdout
    return Path(process.stdout.readline().rstrip("\n"))


def _grown_old(home: Path) -> Path:
    long_ago = time.time() - AGES
    os.utime(home, (long_ago, long_ago))
    return home


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    """Neither the files nor the folder that it had for them."""
    with _started(MAKE, tmp_path) as process:
        assert _home(process).parent == tmp_path

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="this system cannot lock a folder")
def test_what_a_killed_process_left_goes_with_a_later_one(tmp_path: Path) -> None:
    """Once it is old enough that no process can be about to take hold of it."""
    with _started(KILLED, tmp_path) as process:
        left = _home(process)
    with _started(MAKE, tmp_path):
        pass
    assert list(left.glob("*/large"))

    _grown_old(left)
    with _started(MAKE, tmp_path):
        pass

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="this system cannot lock a folder")
def test_what_a_process_still_has_stays_however_old(tmp_path: Path) -> None:
    """A server may keep what it loaded for weeks."""
    with _started(WAITING, tmp_path) as process:
        kept = _grown_old(_home(process))
        with _started(MAKE, tmp_path):
            pass

        assert list(kept.glob("*/large"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_that_ends_takes_nothing_along(tmp_path: Path) -> None:
    """It has a folder of its own."""
    with _started(FORKING, tmp_path) as process:
        _home(process)
        assert process.stdout
        assert process.stdout.read() == "True\n"

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [STORING, LOADING, DECODING])
def test_what_stores_and_sources_keep_lies_there(tmp_path: Path, code: str) -> None:
    """So that it goes, too, when the process is killed."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with _started(code, temporary) as process:
        process.wait()

    (left,) = temporary.iterdir()
    assert left.suffix == ".scratch"
    assert any(path.is_file() for path in left.rglob("*"))
