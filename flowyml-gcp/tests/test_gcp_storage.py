"""The store in Cloud Storage: what is special about this one."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
from tests.servers.gcs import GCSObjects, gcs_refusal, make_gcs_bucket
from tests.servers.processes import ServerProcess
from tests.servers.proxy import Fault, Proxy, refusal
from tests.storage.storage_samples import put

from flowyml.errors import ConfigurationError, DeliveryError
from flowyml.records import StoredFile
from flowyml.storage.folders import ArtifactFolders
from flowyml.testing.artifacts import FILES, contents
from flowyml_gcp import buckets
from flowyml_gcp.buckets import GCSBucket
from flowyml_gcp.parts import Composition, cut
from flowyml_gcp.storage import GCSArtifactStore


@pytest.fixture
def store(gcs: ServerProcess) -> Iterator[GCSArtifactStore]:
    """Return a store below a prefix that nothing else uses."""
    made = GCSArtifactStore(
        bucket="models", prefix=uuid.uuid4().hex, project="test", endpoint_url=gcs.url
    )
    yield made
    made.objects.client.close()


@pytest.fixture
def folders(store: GCSArtifactStore) -> ArtifactFolders:
    """Return its engine."""
    return store.folders()


@pytest.fixture
def door(gcs: ServerProcess, store: GCSArtifactStore) -> GCSObjects:
    """Return its back door."""
    return GCSObjects(gcs.url, "models", store.prefix)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let files go up in parts of 1 MiB, so that a small one has several."""
    monkeypatch.setattr(buckets, "PART_SIZE", 2**20)
    return 2**20


def large_file(folder: Path, size: int) -> tuple[Path, StoredFile]:
    """Write a file of random bytes."""
    path = folder / "large.bin"
    path.write_bytes(os.urandom(size))
    return path, StoredFile("large.bin", size, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_flipped_bit_is_found(folders: ArtifactFolders, door: GCSObjects) -> None:
    """Whatever happened to the bucket, the wrong bytes are not handed out."""
    stored = put(folders)
    changed = bytearray(door.read("run-1/model/model.pkl"))
    changed[3] ^= 1
    door.write("run-1/model/model.pkl", bytes(changed))
    with pytest.raises(ValueError, match="SHA-256"):
        contents(folders.load(stored.uri))


def test_a_large_file_goes_up_in_parts(
    store: GCSArtifactStore, door: GCSObjects, tmp_path: Path, small_parts: int
) -> None:
    """It is one object in the end, whole, with its digest, and no part is left."""
    path, file = large_file(tmp_path, 5 * small_parts + 17)
    store.objects.upload("big", path, file)
    assert door.names() == ["big"]
    assert door.read("big") == path.read_bytes()
    assert store.objects.sha256("big") == file.sha256
    store.objects.download("big", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    with pytest.raises(FileExistsError):
        store.objects.upload("big", path, file)


def test_a_file_of_many_parts_is_composed_in_rounds(
    store: GCSArtifactStore,
    door: GCSObjects,
    tmp_path: Path,
    small_parts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parts do not grow with the file, for eight of them are in memory at once."""
    monkeypatch.setattr("flowyml_gcp.parts.MOST_PARTS", 2)
    path, file = large_file(tmp_path, 5 * small_parts + 17)
    parts, _ = cut(path, file, small_parts)
    assert [part.size for part in parts] == [small_parts] * 5 + [17]
    store.objects.upload("big", path, file)
    assert door.names() == ["big"]
    assert door.read("big") == path.read_bytes()


def test_a_range_that_ends_early_is_asked_for_again(
    gcs: ServerProcess,
    store: GCSArtifactStore,
    tmp_path: Path,
    small_parts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each range of a large file by itself; those that came whole are not."""
    monkeypatch.setattr(buckets, "FIRST_PAUSE", 0.01)
    path, file = large_file(tmp_path, 3 * small_parts)
    store.objects.upload("big", path, file)
    with Proxy(gcs.url).serving() as proxy:
        behind = attrs.evolve(store, endpoint_url=proxy.url).objects
        short = refusal("206 Partial Content", "abc")
        busy = gcs_refusal("503 Busy", "backendError")
        proxy.faults = [
            Fault("shorten", matching=b"alt=media"),
            Fault("refuse", matching=b"alt=media", skip=1, answer=short),
            Fault("refuse", matching=b"alt=media", skip=2, answer=busy),
        ]
        behind.download("big", tmp_path / "again")
        behind.client.close()
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert sorted(proxy.hits) == ["refuse", "refuse", "shorten"]
    assert sum("alt=media" in line for line in proxy.requests) == 6


def test_an_object_that_goes_while_it_is_read_is_missing(
    gcs: ServerProcess, store: GCSArtifactStore, tmp_path: Path, small_parts: int
) -> None:
    """As it is when it is not there at all."""
    path, file = large_file(tmp_path, 2 * small_parts)
    store.objects.upload("big", path, file)
    with Proxy(gcs.url).serving() as proxy:
        behind = attrs.evolve(store, endpoint_url=proxy.url).objects
        gone = gcs_refusal("404 Not Found", "notFound")
        proxy.faults = [Fault("refuse", matching=b"alt=media", answer=gone)]
        with pytest.raises(FileNotFoundError):
            behind.download("big", tmp_path / "again")
        behind.client.close()


def test_a_killed_upload_goes_on(
    store: GCSArtifactStore, door: GCSObjects, tmp_path: Path, small_parts: int
) -> None:
    """The parts that lie there already are not sent again: they are recognised by the content."""
    path, file = large_file(tmp_path, 4 * small_parts)
    parts, _ = cut(path, file, small_parts)
    killed = Composition(store.objects, "big", path, file, small_parts)
    for part in parts[:3]:
        killed.send(part)
    door.write(parts[0].name, b"\0" * part.size)  # would be sent again if it were not skipped
    with pytest.raises(ValueError, match="other bytes than were sent"):
        store.objects.upload("big", path, file)
    assert door.names() == []
    store.objects.upload("big", path, file)
    assert door.read("big") == path.read_bytes()


def test_a_timeout_that_is_none_is_refused() -> None:
    """The client would say that a proxy answers in place of Cloud Storage."""
    with pytest.raises(ValueError, match="timeout is a number above 0, not -1"):
        GCSArtifactStore("models", timeout=-1)


def test_one_of_many_writers_wins(store: GCSArtifactStore) -> None:
    """The server decides, so it holds for any number of machines."""

    def attempt(number: int) -> bool:
        try:
            store.objects.swap("commit", str(number).encode(), None)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(attempt, range(16))).count(True) == 1


def test_a_bucket_that_is_missing_is_named_before_anything_runs(gcs: ServerProcess) -> None:
    """With what to do about it."""
    store = GCSArtifactStore(bucket="nowhere", project="test", endpoint_url=gcs.url)
    with pytest.raises(DeliveryError, match=r"gs://nowhere failed.*create it, or correct") as said:
        store.preflight()
    assert not said.value.transient
    bucket, *_ = store.diagnose()
    assert not bucket.ok


def test_a_store_that_works_passes_the_doctor(store: GCSArtifactStore, door: GCSObjects) -> None:
    """And leaves nothing behind."""
    store.preflight()
    assert [check.ok for check in store.diagnose()] == [True, True, True]
    assert door.names() == []


def test_a_server_that_is_not_there_is_transient() -> None:
    """It may be back when the debts are paid."""
    bucket = GCSBucket("models", project="test", endpoint_url="http://127.0.0.1:9")
    store = GCSArtifactStore(bucket="models", project="test", endpoint_url="http://127.0.0.1:9")
    error = ConnectionResetError()
    assert store.is_transient(error) is None, "the general rule knows it"
    assert bucket.uri == "gs://models"


def test_a_uri_in_place_of_a_name_is_refused() -> None:
    """With the two fields that it stands for."""
    with pytest.raises(ConfigurationError, match="`bucket: NAME` and, for a folder in it"):
        GCSArtifactStore(bucket="gs://models/prefix")


def test_a_prefix_that_leads_elsewhere_is_refused() -> None:
    """What is below it would have no address that everybody understands."""
    with pytest.raises(ConfigurationError, match=r"the prefix 'a//b' cannot be used: it has an"):
        GCSArtifactStore(bucket="models", prefix="a//b")


def test_the_emulators_variable_is_obeyed(
    gcs: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by Google's own libraries."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    make_gcs_bucket(gcs.url, "by-variable")
    store = GCSArtifactStore(bucket="by-variable", project="test")
    stored = put(store.folders())
    assert contents(store.load_artifact(stored.uri)) == FILES
    assert attrs.evolve(store, prefix="p").root_uri() == "gs://by-variable/p"


def test_parts_that_somebody_else_took_away_are_sent_again(
    gcs: ServerProcess, store: GCSArtifactStore, door: GCSObjects, tmp_path: Path, small_parts: int
) -> None:
    """Whoever uploads the same content at once has the same parts, and is done with them first."""
    path, file = large_file(tmp_path, 3 * small_parts)

    def tidy_up() -> None:
        for name in door.names():
            door.remove(name)

    with Proxy(gcs.url).serving() as proxy:
        behind = attrs.evolve(store, endpoint_url=proxy.url).objects
        gone = gcs_refusal("404 Not Found", "notFound")  # the emulator itself says 500
        proxy.faults = [Fault("refuse", matching=b"/compose", answer=gone, then=tidy_up)]
        behind.upload("big", path, file)
        behind.client.close()
    assert proxy.hits == ["refuse"]
    assert door.read("big") == path.read_bytes()
    assert door.names() == ["big"]
