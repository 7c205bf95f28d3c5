"""Temporary files go with their process, and those of a killed one with a later process."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowyml.storage.locks import locked

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

LOSING = f"""{MAKE}
import shutil
shutil.rmtree(scratch_home())
open(os.path.join(tempfile.mkdtemp(dir=scratch_home()), "large"), "w").close()
print(scratch_home())
"""

MOVING = f"""{MAKE}
os.mkdir("elsewhere")
os.chdir("elsewhere")
tempfile.mkdtemp(dir=scratch_home())
"""

THREADS = """
import threading
from flowyml.storage.scratch import scratch_home
gate, homes = threading.Barrier(16), []
def ask():
    gate.wait()
    homes.append(scratch_home())
threads = [threading.Thread(target=ask) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(homes), len(set(homes)))
"""

FORKED_MEANWHILE = """
import os, tempfile, threading
from flowyml.storage.scratch import scratch_home
make, making, forked = tempfile.mkdtemp, threading.Event(), threading.Event()
def make_slowly(**options):
    making.set()
    forked.wait()
    return make(**options)
tempfile.mkdtemp = make_slowly
thread = threading.Thread(target=scratch_home)
thread.start()
making.wait()
child = os.fork()
if not child:
    tempfile.mkdtemp = make
    scratch_home()
    os._exit(0)
print(os.waitpid(child, 0)[1])
forked.set()
thread.join()
"""

POOL = """
import multiprocessing, os
from flowyml.storage.scratch import scratch_home
with multiprocessing.get_context(METHOD).Pool(1) as pool:
    print(pool.apply(scratch_home))
    pool.close()
    pool.join()
"""

STORE = """
import os, sys
from pathlib import Path
from flowyml.storage.disks import DiskBucket
from flowyml.storage.files import StoreRequest
from flowyml.storage.filters import unfiltered
from flowyml.storage.folders import ArtifactFolders
from flowyml.testing.artifacts import DRAFT, a_request
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

ELSEWHERE = "import socket\nsocket.gethostname = lambda: 'odd/[*].name'\n"
NEAR_THERE = "import socket\nsocket.gethostname = lambda: 'odd'\n"
ANOTHER_USER = "import os\nos.geteuid = lambda: 4711\n"

AGES = 7200.0

ROOT = Path(__file__).parents[2]


@contextmanager
def _started(code: str, temporary: Path, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code, str(temporary.parent / "store")],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        except BaseException:  # a test that failed waits for nothing
            process.kill()
            raise


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


@pytest.mark.skipif(sys.platform == "win32", reason="this system cannot lock a folder")
@pytest.mark.parametrize("other", [NEAR_THERE, ANOTHER_USER])
def test_what_another_machine_or_user_left_stays(tmp_path: Path, other: str) -> None:
    """What a machine holds by a lock may look left to the next, where they share the folder."""
    with _started(ELSEWHERE + KILLED, tmp_path) as process:
        left = _grown_old(_home(process))
    assert left.parent == tmp_path

    with _started(ELSEWHERE + other + MAKE, tmp_path):
        pass
    assert list(left.glob("*/large"))

    with _started(ELSEWHERE + MAKE, tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_in_the_place_of_a_folder_holds_nobody_up(tmp_path: Path) -> None:
    """Anybody may put one there."""
    with _started(KILLED, tmp_path) as process:
        place = _home(process)
    shutil.rmtree(place)
    os.mkfifo(place)
    _grown_old(place)

    with _started(MAKE, tmp_path) as process:
        assert process.wait() == 0
    with pytest.raises(NotADirectoryError), locked(str(place)):
        pass


@pytest.mark.parametrize("folder", ["flowyml-mine.scratch", "flowyml-scratch-book"])
def test_a_folder_of_the_users_own_stays(tmp_path: Path, folder: str) -> None:
    """Only names that a process makes up are swept."""
    own = tmp_path / folder
    own.mkdir()
    _grown_old(own)

    with _started(MAKE, tmp_path):
        pass

    assert list(tmp_path.iterdir()) == [own]


def test_a_folder_that_was_cleaned_away_is_made_again(tmp_path: Path) -> None:
    """A cleaner of the machine does not end the transfers of a server that runs for weeks."""
    with _started(LOSING, tmp_path) as process:
        first = _home(process)
        second = _home(process)
        assert process.wait() == 0

    assert first != second
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_same_wherever_the_process_goes(tmp_path: Path) -> None:
    """Also where the temporary folder is said to be the working directory."""
    with _started(MOVING, Path(), cwd=tmp_path) as process:
        assert _home(process).parent == tmp_path
        assert process.wait() == 0

    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_threads_that_ask_at_once_share_one_folder(tmp_path: Path) -> None:
    """Whichever of them is first."""
    with _started(THREADS, tmp_path) as process:
        assert process.stdout
        assert process.stdout.read() == "16 1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_waits_for_no_thread_that_it_does_not_have(tmp_path: Path) -> None:
    """Its parent was making a folder just then."""
    with _started(FORKED_MEANWHILE, tmp_path) as process:
        assert process.stdout
        assert process.stdout.read() == "0\n"


@pytest.mark.parametrize(
    "method", sorted({"fork", "spawn"} & set(multiprocessing.get_all_start_methods()))
)
def test_the_processes_of_a_pool_leave_nothing(tmp_path: Path, method: str) -> None:
    """However they are started."""
    with _started(POOL.replace("METHOD", repr(method)), tmp_path) as process:
        assert _home(process).parent == tmp_path

    assert list(tmp_path.iterdir()) == []


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
    assert left.name.startswith("flowyml-scratch-")
    assert any(path.is_file() for path in left.rglob("*"))
