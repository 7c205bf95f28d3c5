"""What every artifact store has to do.

Subclass `StoreContract` and give its two fixtures::

    class TestLabStore(StoreContract):
        @pytest.fixture
        def new_store(self, tmp_path):
            return lambda: LabStore(folder=tmp_path)

        @pytest.fixture
        def backend(self, tmp_path):
            return FolderBackend(tmp_path)

The backend is where the files of the store lie, reached past the store: what a test finds there
before it begins was put there by the backend, never by the store.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

import attrs
import pytest

from flowyml.errors import DeliveryError, IntegrityError, NotFoundError, SerializationError
from flowyml.plugins import Component
from flowyml.storage.files import FileSink, StoreRequest, StreamFilter
from flowyml.storage.manifests import MANIFEST_NAME, manifest_bytes
from flowyml.testing.artifacts import DRAFT, FILES, OTHER, a_request, contents, writing
from flowyml.testing.components import secrets_of
from flowyml.testing.deliveries import Deliveries
from flowyml.testing.store_backends import (
    CLIMBING_NAMES,
    CLIMBING_PATHS,
    ODD_PATHS,
    PATH,
    FolderBackend,
    NewStore,
    Put,
    StoreBackend,
    plant,
)
from flowyml.testing.store_races import StoreRaces

__all__ = ["FolderBackend", "StoreBackend", "StoreContract"]

GZIP = StreamFilter(
    "gzip", lambda stream: cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="wb", mtime=0))
)


class StoreContract(StoreRaces):
    """Tests of a store; a subclass may add its own beside them.

    Attributes:
        large: Bytes of the large file; one that goes through every buffer, and in several parts
            where the backend takes a file in parts.
    """

    large: ClassVar[int] = 10_000_000

    @pytest.fixture
    def new_store(self) -> NewStore:
        """Return a function that makes a store of the backend, as another process would."""
        raise NotImplementedError

    @pytest.fixture
    def backend(self) -> StoreBackend:
        """Return the files of the store; there are none when a test begins."""
        raise NotImplementedError

    @pytest.fixture
    def new_component(self, new_store: NewStore) -> Callable[[], Component]:
        """Let the tests of any component have a store."""
        return new_store

    @pytest.fixture
    def put(self, new_store: NewStore) -> Put:
        """Store files, each time as another process."""
        return Put(new_store, Deliveries.of("run-1", Path()))

    # ─── storing and reading ────────────────────────────────────────────────────────────────────

    def test_what_was_stored_is_read(self, put: Put, new_store: NewStore) -> None:
        """By another process: files, facts and digest come back as they were."""
        stored = put()
        source = new_store().load_artifact(uri=stored.uri)
        assert contents(source) == FILES
        assert source.manifest == stored.manifest
        expected = attrs.evolve(DRAFT, files=stored.manifest.files, key=stored.manifest.key)
        assert stored.manifest == expected
        assert [file.name for file in stored.manifest.files] == sorted(FILES)
        assert stored.manifest.key == put.key("first")

    def test_files_lie_beside_the_manifest(self, put: Put, backend: StoreBackend) -> None:
        """Under their own names, where serving backends look, with the digests of the manifest."""
        stored = put()
        data = {name: f"{PATH}/{name}" for name in FILES}
        assert backend.names() == sorted([f"{PATH}/{MANIFEST_NAME}", *data.values()])
        for file in stored.manifest.files:
            assert hashlib.sha256(backend.read(data[file.name])).hexdigest() == file.sha256
            assert backend.read(data[file.name]) == FILES[file.name]
        assert backend.read(f"{PATH}/{MANIFEST_NAME}") == manifest_bytes(stored.manifest)

    def test_what_another_stored_is_read(self, new_store: NewStore, backend: StoreBackend) -> None:
        """The layout is the same for all stores, so that files may be moved between them."""
        manifest = plant(backend)
        store = new_store()
        (listed,) = store.list_artifacts(prefix="")
        assert listed.manifest == manifest
        assert contents(store.load_artifact(uri=listed.uri)) == FILES
        assert store.delete_artifact(uri=listed.uri)

    def test_a_changed_byte_is_found(self, new_store: NewStore, backend: StoreBackend) -> None:
        """Whatever happened to the backend, the wrong bytes are not handed out."""
        plant(backend)
        content = backend.read(f"{PATH}/model.pkl")
        backend.write(f"{PATH}/model.pkl", bytes([content[0] ^ 1]) + content[1:])
        (stored,) = new_store().list_artifacts(prefix="")
        for way in ("open", "path"):
            source = new_store().load_artifact(uri=stored.uri)
            with pytest.raises(IntegrityError, match="SHA-256"):
                getattr(source, way)("model.pkl")

    def test_a_file_that_is_gone_is_named(self, new_store: NewStore, backend: StoreBackend) -> None:
        """A reader is told which one."""
        plant(backend)
        backend.remove(f"{PATH}/model.pkl")
        (stored,) = new_store().list_artifacts(prefix="")
        with pytest.raises(IntegrityError, match=r"model\.pkl"):
            new_store().load_artifact(uri=stored.uri).open("model.pkl")

    def test_without_a_manifest_there_is_nothing(
        self, new_store: NewStore, backend: StoreBackend
    ) -> None:
        """A writer that was killed before its commit has left nothing that a reader sees."""
        plant(backend)
        (stored,) = new_store().list_artifacts(prefix="")
        backend.remove(f"{PATH}/{MANIFEST_NAME}")
        with pytest.raises(NotFoundError):
            new_store().load_artifact(uri=stored.uri)
        assert list(new_store().list_artifacts(prefix="")) == []

    def test_a_damaged_manifest_is_no_artifact(
        self, new_store: NewStore, backend: StoreBackend
    ) -> None:
        """One changed letter in a name is noticed."""
        plant(backend)
        (stored,) = new_store().list_artifacts(prefix="")
        name = f"{PATH}/{MANIFEST_NAME}"
        backend.write(name, backend.read(name).replace(b"fraud", b"fraus"))
        with pytest.raises(IntegrityError):
            new_store().load_artifact(uri=stored.uri)

    def test_an_artifact_may_be_empty(self, put: Put, new_store: NewStore) -> None:
        """It may have no files, and an empty file is one."""
        none, empty = put("none", {}), put("empty", {"a": b""})
        assert contents(new_store().load_artifact(uri=none.uri)) == {}
        assert contents(new_store().load_artifact(uri=empty.uri)) == {"a": b""}

    def test_a_large_file_is_whole(self, put: Put, new_store: NewStore) -> None:
        """Written in pieces of odd sizes."""
        content = bytes(range(256)) * (self.large // 256)

        def write(sink: FileSink) -> None:
            with sink.open("big") as file:
                start = 0
                for size in (1, 1000, 70_001, 3_000_000, 17, len(content)):
                    file.write(memoryview(content)[start : start + size])
                    start += size

        stored = put.request(StoreRequest("big", DRAFT, write))
        with new_store().load_artifact(uri=stored.uri).open("big") as file:
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(content).digest()
            file.seek(-3, io.SEEK_END)
            assert file.read() == content[-3:]

    def test_a_library_may_write_by_itself(
        self, put: Put, new_store: NewStore, tmp_path: Path
    ) -> None:
        """A file that lies elsewhere is copied, and a path is given to what only writes to one."""
        outside = tmp_path / "outside.bin"
        outside.write_bytes(b"outside")

        def write(sink: FileSink) -> None:
            sink.add("files/in.bin", outside)
            with sink.reserve("saved") as path:
                (path / "variables").mkdir(parents=True)
                (path / "variables" / "v").write_bytes(b"two")

        stored = put.request(StoreRequest("added", DRAFT, write))
        found = contents(new_store().load_artifact(uri=stored.uri))
        assert found == {"files/in.bin": b"outside", "saved/variables/v": b"two"}
        assert outside.read_bytes() == b"outside"

    def test_a_filter_is_applied_and_named(
        self, put: Put, new_store: NewStore, backend: StoreBackend
    ) -> None:
        """What extensions encode lies encoded in the store, and never passes for a value."""
        stored = put.request(a_request(filters=[GZIP]))
        assert stored.manifest.filters == ("gzip",)
        assert gzip.decompress(backend.read(f"{PATH}/model.pkl")) == FILES["model.pkl"]
        with pytest.raises(IntegrityError, match="gzip"):
            new_store().load_artifact(uri=stored.uri).open("model.pkl")

    def test_a_uri_tells_where_it_lies(self, put: Put, new_store: NewStore) -> None:
        """It is below the URI of the store; which name the stack has for it, it does not know."""
        stored = put()
        assert stored.uri.startswith(new_store().root_uri() + "/")
        assert "://" in stored.uri
        assert stored.store == ""

    def test_what_comes_back_goes_to_another_process(self, put: Put) -> None:
        """It pickles."""
        stored = put()
        assert pickle.loads(pickle.dumps(stored)) == stored  # noqa: S301  # our own

    # ─── a path that is taken ───────────────────────────────────────────────────────────────────

    def test_the_same_digest_is_stored_once(self, put: Put, backend: StoreBackend) -> None:
        """Storing it again returns what is there, whatever delivery asks."""
        first = put()
        before = {name: backend.read(name) for name in backend.names()}
        assert put(key="first") == first
        assert put(key="second") == first
        assert {name: backend.read(name) for name in backend.names()} == before

    def test_another_digest_is_refused(self, put: Put, new_store: NewStore) -> None:
        """The error names the path, both digests and the way out, and what is there stays."""
        first, fresh = put(), put("elsewhere", OTHER)
        with pytest.raises(DeliveryError) as caught:
            put(files=OTHER, key="second")
        for part in (PATH, first.digest, fresh.digest, "overwrite: true"):
            assert part in str(caught.value)
        assert not caught.value.transient
        assert not [secret for secret in secrets_of(new_store()) if secret in str(caught.value)]
        assert contents(new_store().load_artifact(uri=first.uri)) == FILES

    @pytest.mark.parametrize(("key", "overwrite"), [("first", False), ("second", True)])
    def test_another_digest_replaces(
        self, put: Put, new_store: NewStore, *, key: str, overwrite: bool
    ) -> None:
        """Where the rule says so, or the same delivery is tried again."""
        first = put()
        second = put(files=OTHER, key=key, overwrite=overwrite)
        assert second.uri == first.uri
        assert second.digest != first.digest
        assert contents(new_store().load_artifact(uri=first.uri)) == OTHER
        (listed,) = new_store().list_artifacts(prefix="")
        assert listed.digest == second.digest

    def test_the_old_one_is_readable_until_the_new_one_is_there(
        self, put: Put, new_store: NewStore
    ) -> None:
        """Also while the new one is written, and when writing it fails."""
        stored = put()

        def write(sink: FileSink) -> None:
            writing(OTHER)(sink)
            assert contents(new_store().load_artifact(uri=stored.uri)) == FILES
            message = "the step broke"
            raise RuntimeError(message)

        with pytest.raises(RuntimeError, match="the step broke"):
            put.request(StoreRequest(PATH, DRAFT, write, overwrite=True), key="second")
        assert contents(new_store().load_artifact(uri=stored.uri)) == FILES

    def test_what_failed_is_not_there(self, put: Put, new_store: NewStore) -> None:
        """Half an artifact is none; the next attempt stores it whole."""

        def write(sink: FileSink) -> None:
            writing({"model.pkl": FILES["model.pkl"]})(sink)
            message = "the disk of the step is full"
            raise OSError(message)

        with pytest.raises(OSError, match="the disk of the step"):
            put.request(StoreRequest(PATH, DRAFT, write))
        assert list(new_store().list_artifacts(prefix="")) == []
        assert contents(new_store().load_artifact(uri=put().uri)) == FILES

    # ─── hostile names ──────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("path", CLIMBING_PATHS)
    def test_a_path_stays_in_the_store(
        self, put: Put, new_store: NewStore, backend: StoreBackend, path: str
    ) -> None:
        """Whatever a template makes of its values."""
        with pytest.raises(DeliveryError) as caught:
            put(path)
        assert not caught.value.transient
        assert backend.names() == []
        assert list(new_store().list_artifacts(prefix="")) == []

    @pytest.mark.parametrize("name", CLIMBING_NAMES)
    def test_a_file_name_stays_in_its_folder(
        self, put: Put, backend: StoreBackend, name: str
    ) -> None:
        """Whatever a serializer calls its file."""
        with pytest.raises(SerializationError):
            put(files={name: b""})
        assert backend.names() == []

    @pytest.mark.parametrize("path", ODD_PATHS)
    def test_an_odd_path_is_only_a_path(self, put: Put, new_store: NewStore, path: str) -> None:
        """What it names is found again, by its URI and in the listing, and nothing else is."""
        stored, beside = put(path), put("beside", OTHER)
        assert contents(new_store().load_artifact(uri=stored.uri)) == FILES
        found = {one.uri for one in new_store().list_artifacts(prefix="")}
        assert found == {stored.uri, beside.uri}
        assert [one.uri for one in new_store().list_artifacts(prefix=path)] == [stored.uri]
        assert new_store().delete_artifact(uri=stored.uri)
        assert contents(new_store().load_artifact(uri=beside.uri)) == OTHER

    # ─── finding and deleting ───────────────────────────────────────────────────────────────────

    def test_what_is_not_there_is_not_found(self, put: Put, new_store: NewStore) -> None:
        """Neither a path without an artifact, nor what lies in another store."""
        put()
        store = new_store()
        root = store.root_uri()
        for uri in (f"{root}/run-1", f"{root}/x", "file:///etc", "gs://b/x", "", root,
                    f"{root}/../x", f"{root}/{PATH}/model.pkl", f"{root}-2/{PATH}"):  # fmt: skip
            with pytest.raises(NotFoundError) as caught:
                store.load_artifact(uri=uri)
            assert not [secret for secret in secrets_of(store) if secret in str(caught.value)]

    def test_a_listing_goes_by_path(self, put: Put, new_store: NewStore) -> None:
        """Only what lies at the path or below it."""
        uris = {path: put(path, {"x": path.encode()}).uri for path in ("b/2", "a", "b/10", "bb/1")}

        def listed(prefix: str) -> list[str]:
            return [found.uri for found in new_store().list_artifacts(prefix=prefix)]

        assert listed("") == [uris[path] for path in ("a", "b/10", "b/2", "bb/1")]
        assert listed("b") == listed("b/") == [uris["b/10"], uris["b/2"]]
        assert listed("b/2") == [uris["b/2"]]
        assert listed("nothing") == []

    def test_an_empty_store_lists_nothing(self, new_store: NewStore) -> None:
        """Also one whose root was never made."""
        assert list(new_store().list_artifacts(prefix="")) == []

    def test_deleting_leaves_nothing(
        self, put: Put, new_store: NewStore, backend: StoreBackend
    ) -> None:
        """And says whether there was anything; neighbours stay."""
        stored, neighbour = put(), put("run-1/other", {"x": b""})
        assert new_store().delete_artifact(uri=stored.uri) is True
        assert new_store().delete_artifact(uri=stored.uri) is False
        assert backend.names() == [f"run-1/other/{MANIFEST_NAME}", "run-1/other/x"]
        with pytest.raises(NotFoundError):
            new_store().load_artifact(uri=stored.uri)
        assert contents(new_store().load_artifact(uri=neighbour.uri)) == {"x": b""}

    # ─── several writers at once ────────────────────────────────────────────────────────────────
