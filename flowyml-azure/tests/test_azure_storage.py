"""The store in Azure Blob Storage: what is special about this one."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
from azure.core.exceptions import DecodeError, DeserializationError
from azure.storage.blob import ContainerClient
from tests.servers.azurite import KEY, AzureBlobs, Azurite
from tests.storage.storage_samples import put

from flowyml.errors import ConfigurationError, DeliveryError
from flowyml.records import StoredFile
from flowyml.storage.folders import ArtifactFolders
from flowyml.testing.artifacts import contents
from flowyml_azure import containers
from flowyml_azure.storage import AzureArtifactStore


@pytest.fixture
def store(azurite: Azurite) -> Iterator[AzureArtifactStore]:
    """Return a store below a prefix that nothing else uses."""
    made = AzureArtifactStore(
        "models", prefix=uuid.uuid4().hex, connection_string=azurite.connection_string()
    )
    yield made
    made.objects.client.close()


@pytest.fixture
def folders(store: AzureArtifactStore) -> ArtifactFolders:
    """Return its engine."""
    return store.folders()


@pytest.fixture
def door(azurite: Azurite, store: AzureArtifactStore) -> Iterator[AzureBlobs]:
    """Return its back door."""
    with ContainerClient.from_connection_string(azurite.connection_string(), "models") as client:
        yield AzureBlobs(client, store.prefix)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let files go up in blocks of 1 MiB, so that a small one has several."""
    monkeypatch.setattr(containers, "BLOCK_SIZE", 2**20)
    return 2**20


def large_file(folder: Path, size: int) -> tuple[Path, StoredFile]:
    """Write a file of random bytes."""
    path = folder / "large.bin"
    path.write_bytes(os.urandom(size))
    return path, StoredFile("large.bin", size, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_flipped_bit_is_found(folders: ArtifactFolders, door: AzureBlobs) -> None:
    """Whatever happened to the container, the wrong bytes are not handed out."""
    stored = put(folders)
    changed = bytearray(door.read("run-1/model/model.pkl"))
    changed[3] ^= 1
    door.write("run-1/model/model.pkl", bytes(changed))
    with pytest.raises(ValueError, match="SHA-256"):
        contents(folders.load(stored.uri))


def test_a_large_file_goes_up_in_blocks(
    store: AzureArtifactStore, door: AzureBlobs, tmp_path: Path, small_blocks: int
) -> None:
    """It is one blob in the end, whole, with its digest."""
    path, file = large_file(tmp_path, 5 * small_blocks + 17)
    store.objects.upload("big", path, file)
    assert door.names() == ["big"]
    assert door.read("big") == path.read_bytes()
    assert store.objects.sha256("big") == file.sha256
    store.objects.download("big", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    with pytest.raises(FileExistsError):
        store.objects.upload("big", path, file)


def test_a_killed_upload_goes_on(
    store: AzureArtifactStore, door: AzureBlobs, tmp_path: Path, small_blocks: int
) -> None:
    """Blocks that lie there already are not sent again: they are recognised by their names."""
    path, file = large_file(tmp_path, 4 * small_blocks)
    first = containers._blocks(file)[0]
    marked = b"\0" * first.size  # would be replaced if it were sent again
    store.objects._blob("big").stage_block(first.name, marked, length=first.size)
    store.objects.upload("big", path, file)
    assert door.read("big") == marked + path.read_bytes()[first.size :]


def test_one_of_many_writers_wins(store: AzureArtifactStore) -> None:
    """The server decides, so it holds for any number of machines."""

    def attempt(number: int) -> bool:
        try:
            store.objects.swap("commit", str(number).encode(), None)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(attempt, range(16))).count(True) == 1


def test_a_container_that_is_missing_is_named_before_anything_runs(azurite: Azurite) -> None:
    """With what to do about it."""
    store = AzureArtifactStore("nowhere", connection_string=azurite.connection_string())
    with pytest.raises(DeliveryError, match=r"az://nowhere failed.*create it, or correct") as said:
        store.preflight()
    assert not said.value.transient
    container, *_ = store.diagnose()
    assert not container.ok
    store.objects.client.close()


def test_a_wrong_key_is_told_and_not_shown(azurite: Azurite) -> None:
    """Neither in the error nor in anything that prints the store."""
    wrong = base64.b64encode(b"wrong" * 12).decode()
    store = AzureArtifactStore("models", connection_string=azurite.connection_string(wrong))
    with pytest.raises(DeliveryError, match="look at the key, the roles") as said:
        store.preflight()
    assert wrong not in f"{said.value!r} {said.value} {store!r} {store.objects!r}"
    store.objects.client.close()


def test_a_malformed_connection_string_is_not_shown() -> None:
    """Whatever is in it may be a key."""
    store = AzureArtifactStore("models", connection_string=f"AccountKey {KEY}")
    with pytest.raises(ConfigurationError, match="connection string is malformed") as said:
        store.preflight()
    assert (
        KEY not in f"{said.value!r} {said.value.__context__!r}" or said.value.__suppress_context__
    )


def test_a_store_that_works_passes_the_doctor(store: AzureArtifactStore, door: AzureBlobs) -> None:
    """And leaves nothing behind."""
    store.preflight()
    assert [check.ok for check in store.diagnose()] == [True, True, True]
    assert door.names() == []


def test_a_store_says_where_it_is_without_asking() -> None:
    """A plan names it without credentials and network."""
    store = AzureArtifactStore("models", prefix="/a/b/", account_name="nobody")
    assert store.root_uri() == "az://models/a/b"
    assert attrs.evolve(store, prefix="").root_uri() == "az://models"


def test_a_store_without_an_account_is_refused() -> None:
    """With both ways to say it."""
    with pytest.raises(ConfigurationError, match="`account_name:`, or `connection_string:"):
        AzureArtifactStore("models")
    with pytest.raises(ConfigurationError, match="`container: NAME`"):
        AzureArtifactStore("models/prefix", account_name="a")


def test_a_prefix_that_leads_elsewhere_is_refused() -> None:
    """The client would take it out of the address after it was signed."""
    with pytest.raises(ConfigurationError, match=r"the prefix 'a/\.\./b' cannot be used: its"):
        AzureArtifactStore("models", prefix="a/../b", account_name="a")


def test_a_timeout_that_is_none_is_refused() -> None:
    """The client would say that a proxy answers in place of Azure."""
    with pytest.raises(ValueError, match="timeout is a number above 0, not 0"):
        AzureArtifactStore("models", account_name="a", timeout=0)


@pytest.mark.parametrize("error", [DecodeError("XML is invalid"), DeserializationError("no time")])
def test_an_answer_that_the_client_cannot_read_may_pass(error: Exception) -> None:
    """It was damaged on its way, or is none of Azure's."""
    store = AzureArtifactStore("models", account_name="a")
    with (
        pytest.raises(DeliveryError, match="none that the service gives") as said,
        store.explained("listing"),
    ):
        raise error
    assert said.value.transient
    assert store.is_transient(error)


def test_importing_the_store_imports_no_sdk() -> None:
    """A stack that does not use it pays nothing."""
    code = "import sys, flowyml_azure.storage; print([n for n in sys.modules if 'azure.' in n])"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.replace("flowyml_azure.", "").count("azure.") == 0
