"""What every store does. A store is tested by a subclass that gives the fixture `folders`."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from tests.storage.storage_samples import BackDoor, put

from flowyml.errors import DeliveryError, IntegrityError, NotFoundError, SerializationError
from flowyml.records import StoredArtifact
from flowyml.storage.buckets import Bucket
from flowyml.storage.files import FileSink, StoreRequest
from flowyml.storage.folders import ArtifactFolders
from flowyml.testing.artifacts import DRAFT, FILES, a_request, contents, writing

OTHER: Mapping[str, bytes] = {"model.pkl": b"other weights", "extra.json": b"{}"}


class TestStoring:
    """Storing and reading back."""

    def test_what_was_stored_is_read(self, folders: ArtifactFolders) -> None:
        """Files, facts and digest come back as they were."""
        stored = put(folders)
        source = folders.load(stored.uri)

        assert contents(source) == FILES
        assert source.manifest == stored.manifest
        assert [file.name for file in stored.manifest.files] == sorted(FILES)
        expected = attrs.evolve(DRAFT, files=stored.manifest.files, key="key-1")
        assert stored.manifest == expected

    def test_a_uri_tells_where_it_lies(self, folders: ArtifactFolders) -> None:
        """It is below the URI of the store, and nobody has named the store yet."""
        stored = put(folders, "a/b c/ü~1")

        assert stored.uri.startswith(folders.uri + "/a/b")
        assert stored.store == ""
        assert contents(folders.load(stored.uri)) == FILES

    def test_files_lie_beside_the_manifest(self, folders: ArtifactFolders, door: BackDoor) -> None:
        """Under their own names, where serving backends look; and nothing else lies there."""
        put(folders)

        assert door.names() == [
            "run-1/model/artifact.json",
            "run-1/model/model.pkl",
            "run-1/model/part-0/data.bin",
        ]

    def test_an_artifact_may_have_no_files(self, folders: ArtifactFolders) -> None:
        """And an empty file is one."""
        assert contents(folders.load(put(folders, "none", {}).uri)) == {}
        assert contents(folders.load(put(folders, "empty", {"a": b""}).uri)) == {"a": b""}

    def test_many_files_keep_their_order(self, folders: ArtifactFolders) -> None:
        """Those of a folder, which go up side by side."""
        files = {f"files/{number}/x": str(number).encode() for number in range(300)}
        stored = put(folders, "many", files)

        assert [file.name for file in stored.manifest.files] == sorted(files)
        assert contents(folders.load(stored.uri)) == files

    def test_a_large_file_is_whole(self, folders: ArtifactFolders, tmp_path: Path) -> None:
        """One that goes through every buffer, written in pieces of odd sizes."""
        content = bytes(range(256)) * 40_000

        def write(sink: FileSink) -> None:
            with sink.open("big") as file:
                start = 0
                for size in (1, 1000, 70_001, 3_000_000, 17, len(content)):
                    file.write(memoryview(content)[start : start + size])
                    start += size

        stored = folders.store(StoreRequest("big", DRAFT, write), key=None)
        assert contents(folders.load(stored.uri)) == {"big": content}

    @pytest.mark.parametrize("size", [0, 14, 3_000_000])
    def test_content_in_memory_is_put(self, folders: ArtifactFolders, size: int) -> None:
        """Whatever its length."""
        content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        request = StoreRequest("put", DRAFT, lambda sink: sink.put("below/one", content))

        stored = folders.store(request, key=None)

        assert contents(folders.load(stored.uri)) == {"below/one": content}
        assert stored.manifest.size == size

    def test_a_buffer_is_put_as_its_bytes(self, folders: ArtifactFolders) -> None:
        """Whatever it says that its items are."""
        numbers = array("i", [1, 2, 3])
        write = lambda sink: sink.put("numbers", memoryview(numbers))  # noqa: E731

        stored = folders.store(StoreRequest("p", DRAFT, write), key=None)

        assert contents(folders.load(stored.uri)) == {"numbers": numbers.tobytes()}

    def test_a_file_from_elsewhere_is_taken(self, folders: ArtifactFolders, tmp_path: Path) -> None:
        """It stays where it was."""
        outside = tmp_path / "outside.bin"
        outside.write_bytes(b"outside")

        stored = folders.store(
            StoreRequest("added", DRAFT, lambda sink: sink.add("files/in.bin", outside)), key=None
        )

        assert contents(folders.load(stored.uri)) == {"files/in.bin": b"outside"}
        assert outside.read_bytes() == b"outside"

    def test_a_reserved_path_takes_a_file_or_a_folder(self, folders: ArtifactFolders) -> None:
        """For libraries that write to paths only."""

        def write(sink: FileSink) -> None:
            with sink.reserve("model.h5") as path:
                path.write_bytes(b"one")
            with sink.reserve("saved") as path:
                (path / "variables").mkdir(parents=True)
                (path / "variables" / "v").write_bytes(b"two")
                (path / "graph").write_bytes(b"three")

        stored = folders.store(StoreRequest("reserved", DRAFT, write), key=None)
        assert contents(folders.load(stored.uri)) == {
            "model.h5": b"one",
            "saved/variables/v": b"two",
            "saved/graph": b"three",
        }

    def test_a_format_may_go_back_in_its_file(self, folders: ArtifactFolders) -> None:
        """The digest is that of what lies there in the end."""

        def write(sink: FileSink) -> None:
            with sink.open("data") as file:
                file.write(b"....-content")
                assert file.tell() == 12
                file.seek(0)
                file.write(b"head")
                file.seek(0, 2)
                file.write(b"-tail")

        stored = folders.store(StoreRequest("back", DRAFT, write), key=None)
        assert contents(folders.load(stored.uri)) == {"data": b"head-content-tail"}


class TestTakenPaths:
    """A second artifact at a path."""

    def test_the_same_digest_is_stored_once(self, folders: ArtifactFolders, door: BackDoor) -> None:
        """Storing it again returns what is there, whatever delivery asks."""
        first = put(folders)
        before = {name: door.read(name) for name in door.names()}

        second = put(folders, key="key-2")

        assert second == first
        assert {name: door.read(name) for name in door.names()} == before

    def test_another_digest_is_refused(self, folders: ArtifactFolders, door: BackDoor) -> None:
        """The error names the path and both digests, and what is there stays."""
        first = put(folders)
        fresh = put(folders, "elsewhere", OTHER)
        with pytest.raises(DeliveryError) as caught:
            put(folders, files=OTHER, key="key-2")

        for part in ("run-1/model", first.digest, fresh.digest, "overwrite: true"):
            assert part in str(caught.value)
        assert contents(folders.load(first.uri)) == FILES
        assert folders.sweep() == 0
        assert len(door.names()) == 6

    def test_no_key_is_no_common_key(self, folders: ArtifactFolders) -> None:
        """Two artifacts that were stored without one do not replace each other."""
        put(folders, key=None)
        with pytest.raises(DeliveryError, match="overwrite: true"):
            put(folders, files=OTHER, key=None)

    @pytest.mark.parametrize(("key", "overwrite"), [("key-1", False), ("key-2", True)])
    def test_another_digest_replaces(
        self, folders: ArtifactFolders, door: BackDoor, key: str, overwrite: bool
    ) -> None:
        """Where the rule says so, or the same delivery is tried again; the old one goes in time."""
        first = put(folders)
        second = put(folders, files=OTHER, key=key, overwrite=overwrite)

        assert second.uri == first.uri
        assert second.digest == put(folders, "elsewhere", OTHER).digest
        assert contents(folders.load(first.uri)) == OTHER
        assert [found.digest for found in folders.list("run-1")] == [second.digest]
        assert folders.sweep(timedelta(0)) == len(FILES)
        assert len(door.names()) == 3 + 3

    def test_what_replaced_is_found_again(self, folders: ArtifactFolders) -> None:
        """Stored once more it is the same digest, and replaced once more it makes room."""
        put(folders)
        second = put(folders, files=OTHER, overwrite=True)

        assert put(folders, files=OTHER, key="key-3") == second
        assert put(folders, overwrite=True).digest != second.digest
        assert contents(folders.load(second.uri)) == FILES

    def test_the_old_one_is_readable_until_the_new_one_is_committed(
        self, folders: ArtifactFolders
    ) -> None:
        """Also while the new one is written, and when writing it fails."""
        stored = put(folders)

        def write(sink: FileSink) -> None:
            writing(OTHER)(sink)
            assert contents(folders.load(stored.uri)) == FILES
            message = "the step broke"
            raise RuntimeError(message)

        with pytest.raises(RuntimeError, match="the step broke"):
            folders.store(StoreRequest("run-1/model", DRAFT, write, overwrite=True), key="key-2")
        assert contents(folders.load(stored.uri)) == FILES

    def test_paths_below_an_artifact_are_free(self, folders: ArtifactFolders) -> None:
        """Artifacts may lie below each other, whichever is first."""
        put(folders, "a/b/c", {"x": b"1"})
        put(folders, "a/b", {"x": b"2", "c/x": b"3"})
        put(folders, "a", {"x": b"4"})

        found = {stored.uri: contents(folders.load(stored.uri)) for stored in folders.list()}
        assert list(found.values()) == [{"x": b"4"}, {"x": b"2", "c/x": b"3"}, {"x": b"1"}]
        for uri in found:
            assert folders.delete(uri)
        assert list(folders.list()) == []


class TestFailures:
    """A write that does not come to its end."""

    def test_a_failed_write_leaves_nothing(self, folders: ArtifactFolders, door: BackDoor) -> None:
        """The error is the serializer's own, and no reader ever sees the files."""

        def write(sink: FileSink) -> None:
            with sink.open("one") as file:
                file.write(b"1")
            with sink.open("two") as file:
                file.write(b"2")
                message = "the value broke"
                raise ZeroDivisionError(message)

        with pytest.raises(ZeroDivisionError, match="the value broke"):
            folders.store(StoreRequest("run-1/model", DRAFT, write), key="k")

        assert door.names() == []
        assert list(folders.list()) == []
        assert contents(folders.load(put(folders).uri)) == FILES

    @pytest.mark.parametrize(
        "name",
        ["..", "../x", "a/../../x", "/etc/x", "a\\b", "a\0b", "a//b", "", ".", "a/", "a\nb",
         "artifact.json", "artifact.json/x", "x" * 256, "\ud800"],
    )  # fmt: skip
    def test_a_file_name_stays_in_its_folder(
        self, folders: ArtifactFolders, door: BackDoor, name: str
    ) -> None:
        """Whatever a serializer calls its file."""
        with pytest.raises(SerializationError, match="cannot be stored"):
            folders.store(a_request(files={name: b""}), key=None)
        assert door.names() == []

    def test_no_file_is_written_twice(self, folders: ArtifactFolders) -> None:
        """Nor is one the folder of another."""

        def twice(sink: FileSink) -> None:
            for _ in range(2):
                with sink.open("x"):
                    pass

        def put_again(sink: FileSink) -> None:
            with sink.open("x"):
                pass
            sink.put("x", b"")

        def put_below(sink: FileSink) -> None:
            sink.put("a", b"")
            sink.put("a/b", b"")

        for write in (twice, put_again):
            with pytest.raises(SerializationError, match="written twice"):
                folders.store(StoreRequest("p", DRAFT, write), key=None)
        with pytest.raises(SerializationError, match="another file's"):
            folders.store(StoreRequest("p", DRAFT, put_below), key=None)
        for names in (("a", "a/b"), ("a/b", "a"), ("a", "a/b/c")):
            with pytest.raises(SerializationError, match="another file's"):
                put(folders, files=dict.fromkeys(names, b""))

    def test_nothing_written_is_an_error(self, folders: ArtifactFolders, tmp_path: Path) -> None:
        """A library that was given a path and wrote elsewhere, or a link to elsewhere."""

        def nothing(sink: FileSink) -> None:
            with sink.reserve("x"):
                pass

        def link(sink: FileSink) -> None:
            with sink.reserve("x") as path:
                path.symlink_to(tmp_path)

        with pytest.raises(SerializationError, match="nothing was written to 'x'"):
            folders.store(StoreRequest("p", DRAFT, nothing), key=None)
        with pytest.raises(SerializationError, match="neither a file nor a folder"):
            folders.store(StoreRequest("p", DRAFT, link), key=None)

    @pytest.mark.parametrize(
        "path",
        ["", "..", "a/../b", "../a", "/a", "a//b", "a/", "./a", "a\\b", "a\0", "a\n", ".staging",
         ".staging/x", "a/artifact.json", "a/" + "b" * 256, "x/" * 500 + "x"],
    )  # fmt: skip
    def test_a_path_stays_in_the_store(
        self, folders: ArtifactFolders, door: BackDoor, path: str
    ) -> None:
        """Whatever a template makes of its values."""
        with pytest.raises(DeliveryError, match="cannot be used"):
            put(folders, path)
        assert door.names() == []


class TestFinding:
    """Loading, listing and deleting."""

    def test_what_is_not_there_is_not_found(self, folders: ArtifactFolders) -> None:
        """Neither a path without a manifest, nor what lies in another store."""
        put(folders)
        for uri in (f"{folders.uri}/run-1", f"{folders.uri}/x", "file:///etc", "gs://b/x", "",
                    f"{folders.uri}/../x", folders.uri, f"{folders.uri}/run-1/model/model.pkl",
                    f"{folders.uri}/%2e%2e/x", f"{folders.uri}-2/run-1/model"):  # fmt: skip
            with pytest.raises(NotFoundError):
                folders.load(uri)
        with pytest.raises(NotFoundError, match="has no file 'x'"):
            folders.load(f"{folders.uri}/run-1/model").open("x")

    def test_a_listing_goes_by_path(self, folders: ArtifactFolders) -> None:
        """Only what lies at the path or below it, and only what is committed."""
        for path in ("b/2", "a", "b/10", "bb/1"):
            put(folders, path, {"x": path.encode()})

        def paths(prefix: str) -> list[str]:
            return [found.uri.removeprefix(folders.uri) for found in folders.list(prefix)]

        assert paths("") == ["/a", "/b/10", "/b/2", "/bb/1"]
        assert paths("b") == paths("b/") == ["/b/10", "/b/2"]
        assert paths("b/2") == ["/b/2"]
        assert paths("nothing") == []
        assert next(iter(folders.list("a"))) == put(folders, "a", {"x": b"a"})

    def test_an_empty_store_lists_nothing(self, folders: ArtifactFolders) -> None:
        """Also one whose root was never made."""
        assert list(folders.list()) == []
        assert folders.sweep() == 0

    def test_a_listing_has_no_end_at_a_thousand(
        self, folders: ArtifactFolders, door: BackDoor
    ) -> None:
        """Nor at any page."""
        put(folders, "run/0", {})
        for number in range(1100):
            door.write(f"run/{number}/artifact.json", door.read("run/0/artifact.json"))
        assert len(list(folders.list("run"))) == 1100

    def test_files_that_look_like_artifacts_are_none(self, folders: ArtifactFolders) -> None:
        """The copy of a store, kept as a folder in an artifact, is not listed."""
        inner = put(folders, "inner", {})
        put(folders, "outer", {"files/artifact.json": b"{}", "files/x/artifact.json": b"{}"})

        assert [found.uri for found in folders.list()] == [inner.uri, f"{folders.uri}/outer"]

    def test_deleting_leaves_nothing(self, folders: ArtifactFolders, door: BackDoor) -> None:
        """And says whether there was anything; neighbours stay."""
        stored = put(folders)
        put(folders, "run-1/other", {"x": b""})

        assert folders.delete(stored.uri)
        assert not folders.delete(stored.uri)

        assert door.names() == ["run-1/other/artifact.json", "run-1/other/x"]
        with pytest.raises(NotFoundError):
            folders.load(stored.uri)
        put(folders, files=OTHER, key="key-2")
        assert contents(folders.load(stored.uri)) == OTHER
        assert "run-1/model/extra.json" in door.names()

    def test_a_damaged_artifact_can_be_deleted(
        self, folders: ArtifactFolders, door: BackDoor
    ) -> None:
        """With all that lies there, but not with other artifacts below it."""
        stored = put(folders)
        below = put(folders, "run-1/model/below", {"x": b"1"})
        door.write("run-1/model/artifact.json", b"rubbish")

        assert folders.delete(stored.uri)
        assert [found.uri for found in folders.list()] == [below.uri]
        assert door.names() == ["run-1/model/below/artifact.json", "run-1/model/below/x"]


class TestTogether:
    """Several writers at one path at once."""

    def test_writers_of_one_digest_all_succeed(
        self, folders: ArtifactFolders, door: BackDoor
    ) -> None:
        """And it is there once."""
        start = threading.Barrier(6)

        def store(number: int) -> str:
            start.wait()
            return put(folders, key=f"key-{number}").digest

        with ThreadPoolExecutor(6) as threads:
            digests = set(threads.map(store, range(6)))

        assert digests == {folders.load(f"{folders.uri}/run-1/model").manifest.digest}
        assert contents(folders.load(f"{folders.uri}/run-1/model")) == FILES
        assert sum(name.endswith("artifact.json") for name in door.names()) == 1

    def test_of_writers_of_different_digests_one_wins(self, folders: ArtifactFolders) -> None:
        """The others are told, and what is there is the winner's, whole."""
        for round_ in range(10):
            start = threading.Barrier(4)

            def store(number: int, path: str, start: threading.Barrier) -> int | None:
                start.wait()
                files = {"a": bytes([number]) * 1000, "b": bytes([number])}
                try:
                    put(folders, path, files, key=f"key-{number}")
                except DeliveryError as error:
                    assert path in str(error)  # noqa: PT017
                    return None
                return number

            path = f"race/{round_}"
            with ThreadPoolExecutor(4) as threads:
                found = list(threads.map(store, range(4), [path] * 4, [start] * 4))

            (winner,) = [number for number in found if number is not None]
            expected = {"a": bytes([winner]) * 1000, "b": bytes([winner])}
            assert contents(folders.load(f"{folders.uri}/{path}")) == expected

    def test_those_who_may_replace_all_do(self, folders: ArtifactFolders) -> None:
        """One after the other, and a reader meets a whole artifact each time."""
        put(folders)
        done = threading.Event()

        def replace(number: int) -> None:
            for turn in range(10):
                files = {"model.pkl": bytes([number, turn]) * 5000}
                put(folders, files=files, key=f"{number}-{turn}", overwrite=True)

        def read() -> int:
            whole = 0
            while not done.is_set():
                contents(folders.load(f"{folders.uri}/run-1/model"))
                whole += 1
            return whole

        with ThreadPoolExecutor(3) as threads:
            reading = threads.submit(read)
            for one in [threads.submit(replace, number) for number in range(2)]:
                one.result()
            done.set()
            assert reading.result() > 0
        assert len(list(folders.list())) == 1


class TestCopies:
    """The same files elsewhere in the store."""

    def test_a_known_digest_is_copied(self, folders: ArtifactFolders) -> None:
        """It is whole at both places, and they do not depend on each other."""
        first = put(folders)
        request = attrs.evolve(a_request("run-2/model"), find_copy=lambda _digest: first.uri)

        second = folders.store(request, key="key-2")
        folders.delete(first.uri)

        assert second.digest == first.digest
        assert contents(folders.load(second.uri)) == FILES

    @pytest.mark.parametrize("wrong", ["other", "missing", "file:///elsewhere/x", ""])
    def test_a_wrong_hint_does_no_harm(self, folders: ArtifactFolders, wrong: str) -> None:
        """An artifact of another digest, none at all, or one of another store."""
        put(folders, "other", OTHER)
        hint = wrong if ":" in wrong or not wrong else f"{folders.uri}/{wrong}"
        request = attrs.evolve(a_request(), find_copy=lambda _digest: hint)

        assert contents(folders.load(folders.store(request, key="k").uri)) == FILES

    def test_files_are_stored_once_more_as_they_lie(self, folders: ArtifactFolders) -> None:
        """A copy has the digest of what it copies, and nobody writes it anew."""
        first = put(folders)

        second = folders.store(_copy_of(first), key="key-2")
        folders.delete(first.uri)

        assert second.digest == first.digest
        assert contents(folders.load(second.uri)) == FILES

    def test_a_copy_of_what_replaced_others_is_whole(self, folders: ArtifactFolders) -> None:
        """Its files lie in a generation of their own."""
        put(folders)
        first = put(folders, files=OTHER, key="key-2", overwrite=True)

        second = folders.store(_copy_of(first), key="key-3")

        assert contents(folders.load(second.uri)) == OTHER

    def test_no_damaged_byte_is_copied_unnoticed(
        self, folders: ArtifactFolders, door: BackDoor
    ) -> None:
        """What lies there is not what was stored: the copy is refused."""
        first = put(folders)
        door.write("run-1/model/model.pkl", b"forgery" * 100)

        with pytest.raises(IntegrityError, match=r"model.pkl.*run its pipeline again"):
            folders.store(_copy_of(first), key="key-2")

    @pytest.mark.parametrize("uri", ["file:///elsewhere/x", "run-1/missing", "run-1/model"])
    def test_what_the_store_cannot_copy_is_written(
        self, folders: ArtifactFolders, uri: str
    ) -> None:
        """An artifact of another store, none at all, or one that was replaced meanwhile."""
        stored = put(folders)
        replaced = put(folders, files=OTHER, key="key-2", overwrite=True)
        wanted = attrs.evolve(stored, uri=uri if ":" in uri else f"{folders.uri}/{uri}")
        request = attrs.evolve(a_request("run-2/model"), copy_of=wanted)

        copy = folders.store(request, key="key-3")

        assert copy.digest == stored.digest != replaced.digest
        assert contents(folders.load(copy.uri)) == FILES


def _copy_of(stored: StoredArtifact) -> StoreRequest:
    """Return the request for a copy, whose files nobody can write."""
    return attrs.evolve(a_request("run-2/model"), copy_of=stored, write=_refuse_to_write)


def _refuse_to_write(sink: FileSink) -> None:
    message = f"nothing is to be written to {sink}"
    raise AssertionError(message)


def test_every_flavour_is_a_bucket(folders: ArtifactFolders) -> None:
    """The type checker agrees."""
    bucket: Bucket = folders.bucket
    assert bucket.uri == folders.uri
