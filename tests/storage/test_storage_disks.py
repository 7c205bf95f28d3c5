"""What only a local disk can do, and what can happen to it."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from tests.storage.storage_samples import DiskDoor, put

from flowyml.errors import DeliveryError, IntegrityError
from flowyml.storage.disks import DiskBucket
from flowyml.storage.files import FileSink, StoreRequest
from flowyml.storage.filesystems import FilesystemBucket
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.hashing import HashingWriter, hash_file
from flowyml.storage.local_folders import LocalFolders
from flowyml.storage.locks import locked
from flowyml.testing.artifacts import DRAFT, FILES, a_request, contents

HERE = Path(__file__).parents[2]


def test_a_path_is_the_file_itself(tmp_path: Path) -> None:
    """Nothing is copied, so that it can be mapped into memory."""
    folders = LocalFolders.at(tmp_path)
    source = folders.load(put(folders).uri)

    assert source.path("model.pkl") == tmp_path / "run-1/model/model.pkl"
    assert source.path("part-0/data.bin").read_bytes() == FILES["part-0/data.bin"]


def test_a_fetched_file_lives_as_long_as_its_source(tmp_path: Path) -> None:
    """What an object store was asked for lies in a temporary folder, which goes with the source."""
    folders = ArtifactFolders(DiskBucket(tmp_path))
    big = b"x" * 5_000_000
    source = folders.load(put(folders, files={"big": big, "small": b"s"}).uri)
    path = source.path("small")
    file = source.open("big")
    assert path == source.path("small")
    del source
    gc.collect()
    assert path.exists()
    assert file.read() == big
    file.close()
    del file
    gc.collect()
    assert not path.exists()


def test_a_store_may_lie_anywhere(tmp_path: Path) -> None:
    """Also in a folder whose name a URI has to escape."""
    for name in ("a b", "100%25", "ü#?"):
        folders = LocalFolders.at(tmp_path / name)
        stored = put(folders, "r/o%20 #x")
        assert stored.uri.startswith("file:///")
        assert contents(folders.load(stored.uri)) == FILES
        assert [found.uri for found in folders.list()] == [stored.uri]


def test_a_foreign_file_at_the_path_is_left_alone(tmp_path: Path) -> None:
    """A file where the folder should be is an error, and files in the folder are none of ours."""
    folders = LocalFolders.at(tmp_path)
    door = DiskDoor(tmp_path)
    door.write("run-1/model", b"mine")
    with pytest.raises(DeliveryError, match=r"'fraud' cannot be stored at .*run-1/model"):
        put(folders)
    door.write("run-2/model/.DS_Store", b"x")

    assert put(folders, "run-2/model").manifest.generation == ""
    assert door.read("run-1/model") == b"mine"
    assert door.read("run-2/model/.DS_Store") == b"x"


@pytest.mark.skipif(sys.platform != "linux", reason="limits are told to Linux")
@pytest.mark.parametrize("size", [1000, 700_000])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    """The operating system refuses at a real limit, in the data or in the manifest."""
    program = f"""
import resource, signal
from pathlib import Path
from tests.storage.storage_samples import put
from flowyml.errors import DeliveryError
from flowyml.storage.local_folders import LocalFolders

folders = LocalFolders.at(Path({str(tmp_path)!r}))
put(folders, "whole", {{"x": b"1"}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
files = {{"x": bytes({size})}} if {size} > 2000 else {{f"file-{{n}}": b"" for n in range(100)}}
for _ in range(2):
    try:
        put(folders, "run-1/model", files)
    except DeliveryError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert len(list(folders.list())) == 1
put(folders, "run-1/model", files)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("'fraud' cannot be stored at" in line for line in lines)
    assert all("run-1/model: [Errno 27] File too large" in line for line in lines)
    assert list((tmp_path / ".staging").iterdir()) == []
    assert len(list(LocalFolders.at(tmp_path).list())) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_disk_without_room_stops_the_write(tmp_path: Path) -> None:
    """Also while another thread writes."""
    raw = HashingWriter(str(tmp_path / "x"))
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, raw._file)
    os.close(full)
    with pytest.raises(OSError, match="No space left"):
        raw.write(b"x")
    with pytest.raises(OSError, match="No space left"):
        raw.write(bytes(1_000_000))
    raw.close()


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such permissions there")
def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    """Everybody is refused below a file, even the administrator."""
    (tmp_path / "file").write_bytes(b"")
    folders = LocalFolders.at(tmp_path / "file" / "store")
    with pytest.raises(DeliveryError, match=r"cannot be stored at file://.*Not a directory"):
        put(folders)


@pytest.mark.parametrize("same", [True, False])
def test_two_processes_store_at_one_path(tmp_path: Path, same: bool) -> None:
    """With one digest both succeed; with two one wins, and the other one is told."""
    program = f"""
import sys
from pathlib import Path
from tests.storage.storage_samples import put
from flowyml.errors import DeliveryError
from flowyml.storage.local_folders import LocalFolders

folders = LocalFolders.at(Path({str(tmp_path)!r}))
print("ready", flush=True)
sys.stdin.readline()
for number in range(200):
    try:
        put(folders, f"run/{{number}}", {{"x": sys.argv[1].encode()}}, key=sys.argv[2])
    except DeliveryError:
        continue
    print(number)
"""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, "same" if same else name, name],
            cwd=HERE,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("\n")
        writer.stdin.flush()
    won = [set(writer.communicate()[0].split()) for writer in writers]

    assert [writer.returncode for writer in writers] == [0, 0]
    everything = {str(number) for number in range(200)}
    assert won[0] | won[1] == everything
    assert won[0] & won[1] == (everything if same else set())
    folders = LocalFolders.at(tmp_path)
    for found in folders.list():
        number = found.uri.rpartition("/")[2]
        expected = b"same" if same else (b"a" if number in won[0] else b"b")
        assert contents(folders.load(found.uri)) == {"x": expected}
    assert list((tmp_path / ".staging").iterdir()) == []


def test_a_store_may_wait_for_the_disk(tmp_path: Path) -> None:
    """With ``fsync``, all goes the same way."""
    folders = LocalFolders.at(tmp_path, fsync=True)
    put(folders)
    stored = put(folders, files={"x": b"1"}, overwrite=True)
    assert contents(folders.load(stored.uri)) == {"x": b"1"}
    assert folders.delete(stored.uri)


def test_old_leftovers_are_removed_and_young_ones_kept(tmp_path: Path) -> None:
    """What a killed process left in the staging folder goes after a day, a living one's stays."""
    folders = LocalFolders.at(tmp_path)
    put(folders)
    leftover = tmp_path / ".staging" / "0123"
    leftover.mkdir()
    (leftover / "data").write_bytes(b"x")
    (tmp_path / ".staging" / "4567.draft").write_bytes(b"x")
    assert folders.sweep() == 0

    long_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for path in (leftover / "data", leftover, tmp_path / ".staging" / "4567.draft"):
        os.utime(path, (long_ago, long_ago))
    with locked(str(leftover)):
        assert folders.sweep() == 1
        assert leftover.exists()

    put(LocalFolders.at(tmp_path), "run-2/model")  # a new process looks before its first artifact
    assert list((tmp_path / ".staging").iterdir()) == []


def test_a_file_that_changes_while_it_is_stored_is_refused(tmp_path: Path) -> None:
    """An object store notes where an added file lies; it must be what was hashed."""
    path = tmp_path / "growing"
    path.write_bytes(b"x" * 1000)
    folders = ArtifactFolders(DiskBucket(tmp_path / "store"))

    def write(sink: FileSink) -> None:
        sink.add("x", path)
        path.write_bytes(b"y" * 999)

    stored = folders.store(StoreRequest("p", DRAFT, write), key=None)
    with pytest.raises(IntegrityError):
        folders.load(stored.uri).open("x")


def test_a_bucket_reads_no_more_than_it_is_told(tmp_path: Path) -> None:
    """A small object that became huge is refused before it fills the memory."""
    (tmp_path / "x").write_bytes(b"12345")
    memory = MemoryFileSystem(global_store=False, skip_instance_cache=True)
    memory.pipe_file("/root/x", b"12345")
    for bucket in (DiskBucket(tmp_path), FilesystemBucket(memory, "memory://root")):
        assert bucket.read("x", 5).content == b"12345"
        with pytest.raises(IntegrityError, match="longer than the 4 bytes"):
            bucket.read("x", 4)


# ─── hashing ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("piece", [1, 1000, 2**18, 10**6, 10**7])
def test_a_file_is_hashed_as_it_grows(tmp_path: Path, piece: int) -> None:
    """In pieces of any size, from any kind of buffer."""
    content = os.urandom(max(10 * piece, 10))[: 3 * 10**7]
    raw = HashingWriter(str(tmp_path / "x"))
    with io.BufferedWriter(raw, 2**20) as file:
        for start in range(0, len(content), piece):
            file.write(memoryview(content)[start : start + piece])

    expected = (len(content), hashlib.sha256(content).hexdigest())
    assert raw.digest() == expected
    assert (tmp_path / "x").read_bytes() == content
    with io.FileIO(tmp_path / "x") as opened:
        assert hash_file(opened) == expected


def test_a_file_that_is_cut_is_hashed_again(tmp_path: Path) -> None:
    """And one that was written past its end."""
    raw = HashingWriter(str(tmp_path / "x"))
    with io.BufferedWriter(raw) as file:
        file.write(b"123456")
        file.truncate(3)
        file.seek(5)
        file.write(b"x")
    assert (tmp_path / "x").read_bytes() == b"123\0\0x"
    assert raw.digest() == (6, hashlib.sha256(b"123\0\0x").hexdigest())


def test_no_library_writes_past_the_hash(tmp_path: Path) -> None:
    """Those that ask for the file's number get none."""
    with io.BufferedWriter(HashingWriter(str(tmp_path / "x"))) as file:
        with pytest.raises(OSError, match="fileno"):
            file.fileno()
        with pytest.raises(FileExistsError):
            HashingWriter(str(tmp_path / "x"))


def test_memory_does_not_grow_with_the_artifact(tmp_path: Path) -> None:
    """Storing and verifying 256 MiB takes a few buffers, by stream and from a file."""
    program = f"""
import resource
from pathlib import Path
import attrs
from flowyml.testing.artifacts import DRAFT
from flowyml.storage.disks import DiskBucket
from flowyml.storage.files import StoreRequest
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders

piece = bytes(2**22)

def write(sink):
    with sink.open("streamed") as file:
        for _ in range(64):
            file.write(piece)

base = Path({str(tmp_path)!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for folders in (LocalFolders.at(base / "a"), ArtifactFolders(DiskBucket(base / "b"))):
    stored = folders.store(StoreRequest("p", DRAFT, write), key=None)
    folders.load(stored.uri).open("streamed").close()
    source = folders.load(stored.uri)
    path = source.path("streamed")
    folders.store(StoreRequest("q", DRAFT, lambda sink: sink.add("added", path)), key=None)
    for uri in (stored.uri, folders.uri + "/q"):
        folders.delete(uri)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 64


def test_retrying_after_an_error_needs_no_second_upload(tmp_path: Path) -> None:
    """What an attempt put into place is found by its digest, and stays where it is."""

    @attrs.define(eq=False)
    class Failing(DiskBucket):
        failures: int = 1

        def swap(self, name: str, content: bytes, version: str | None) -> None:
            if name.endswith("artifact.json") and self.failures:
                self.failures -= 1
                message = "the line broke"
                raise ConnectionResetError(message)
            super().swap(name, content, version)

    folders = ArtifactFolders(Failing(tmp_path))
    with pytest.raises(ConnectionResetError):
        folders.store(a_request(), key="k")
    before = (tmp_path / "run-1/model/model.pkl").stat()

    stored = folders.store(a_request(), key="k")

    assert stored.manifest.generation == ""
    assert (tmp_path / "run-1/model/model.pkl").stat().st_ino == before.st_ino
    assert folders.sweep(timedelta(0)) == 0
    assert contents(folders.load(stored.uri)) == FILES


def test_an_object_of_another_length_is_not_fetched(tmp_path: Path) -> None:
    """It could be one that fills the disk."""

    class Fetching(DiskBucket):
        def download(self, name: str, path: Path) -> None:
            message = f"{name} was fetched"
            raise AssertionError(message)

    folders = ArtifactFolders(Fetching(tmp_path))
    source = folders.load(put(folders).uri)
    (tmp_path / "run-1/model/model.pkl").write_bytes(b"x" * 10_000)
    with pytest.raises(IntegrityError, match="has 10000 bytes, and 700 were written"):
        source.path("model.pkl")
