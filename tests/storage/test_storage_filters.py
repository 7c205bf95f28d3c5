"""Stream filters: extensions that encrypt or compress every file."""

from __future__ import annotations

import gzip
import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import attrs
import pytest
from tests.storage.storage_samples import BackDoor

from flowyml.errors import IntegrityError
from flowyml.records import StoredArtifact
from flowyml.storage.files import FileSink, StoreRequest, StreamFilter
from flowyml.storage.filters import unfiltered
from flowyml.storage.folders import ArtifactFolders
from flowyml.testing.artifacts import FILES, a_request, contents


class Shifted(io.RawIOBase):
    """Writes every byte a little higher: a cipher for tests."""

    def __init__(self, target: BinaryIO, by: int) -> None:
        super().__init__()
        self.target = target
        self.by = by

    def writable(self) -> bool:
        return True

    def write(self, buffer: bytes) -> int:  # type: ignore[override]
        self.target.write(bytes((byte + self.by) % 256 for byte in bytes(buffer)))
        return len(bytes(buffer))


def shifting(name: str, by: int) -> StreamFilter:
    """Return the filter."""
    return StreamFilter(name, lambda stream: cast("BinaryIO", Shifted(stream, by)))


def shifting_back(by: int) -> Callable[[BinaryIO], BinaryIO]:
    """Return what undoes it."""
    return lambda stream: io.BytesIO(bytes((byte - by) % 256 for byte in stream.read()))


GZIP = StreamFilter(
    "gzip", lambda stream: cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="wb", mtime=0))
)


def gunzip(stream: BinaryIO) -> BinaryIO:
    """Undo it."""
    return cast("BinaryIO", gzip.GzipFile(fileobj=stream))


def _put(folders: ArtifactFolders, *filters: StreamFilter) -> StoredArtifact:
    return folders.store(a_request(filters=filters), key="k")


def test_a_filter_changes_what_lies_in_the_store(folders: ArtifactFolders, door: BackDoor) -> None:
    """Its name is in the manifest, and sizes and digests are those of what lies there."""
    stored = _put(folders, GZIP)

    assert stored.manifest.filters == ("gzip",)
    for file in stored.manifest.files:
        content = door.read(f"run-1/model/{file.name}")
        assert gzip.decompress(content) == FILES[file.name]
        assert len(content) == file.size


def _salted() -> StreamFilter:
    """A filter that makes other bytes of the same value each time, as encryption does."""

    def encode(stream: BinaryIO) -> BinaryIO:
        by = next(salts)
        stream.write(bytes([by]))
        return cast("BinaryIO", Shifted(stream, by))

    salts = itertools.count(1)
    return StreamFilter("salted", encode)


def test_a_copy_is_what_lies_in_the_store(folders: ArtifactFolders) -> None:
    """Through the same filters its files would become other bytes; they are not sent through."""
    salted = _salted()
    first = _put(folders, salted)
    request = attrs.evolve(a_request("run-2/model", filters=[salted]), copy_of=first)

    second = folders.store(request, key="k-2")

    source = unfiltered(folders.load(second.uri), "salted", _without_salt)
    assert second.digest == first.digest
    assert contents(source) == FILES


def _without_salt(stream: BinaryIO) -> BinaryIO:
    return shifting_back(stream.read(1)[0])(stream)


def test_a_copy_goes_through_filters_that_are_new(folders: ArtifactFolders) -> None:
    """An encryption that was not there yet when the artifact was stored is around its copy."""
    first = _put(folders)
    request = attrs.evolve(a_request("run-2/model", filters=[GZIP]), copy_of=first)

    second = folders.store(request, key="k-2")

    assert second.manifest.filters == ("gzip",)
    assert contents(unfiltered(folders.load(second.uri), "gzip", gunzip)) == FILES


def test_without_the_extension_nothing_is_read(folders: ArtifactFolders) -> None:
    """The error names the filter and says what to do; changed bytes never pass for a value."""
    source = folders.load(_put(folders, GZIP).uri)
    for read in (source.open, source.path):
        with pytest.raises(IntegrityError, match=r"the filter 'gzip'.*`extensions:`"):
            read("model.pkl")


def test_an_extension_undoes_its_filter(folders: ArtifactFolders) -> None:
    """Both by stream and by path; the digest stays that of the store."""
    stored = _put(folders, GZIP)
    source = unfiltered(folders.load(stored.uri), "gzip", gunzip)

    assert contents(source) == FILES
    assert source.manifest == stored.manifest
    assert source.remaining == ()
    with source.open("part-0/data.bin") as file:
        file.seek(-1, io.SEEK_END)
        assert file.read() == b"\xff"


def test_filters_nest(folders: ArtifactFolders) -> None:
    """The one that was appended first meets the value first, and is undone last."""
    stored = _put(folders, GZIP, shifting("first", 1), shifting("second", 2))
    assert stored.manifest.filters == ("gzip", "first", "second")

    source = folders.load(stored.uri)
    outer = unfiltered(source, "second", shifting_back(2))
    middle = unfiltered(outer, "first", shifting_back(1))
    assert contents(unfiltered(middle, "gzip", gunzip)) == FILES

    with pytest.raises(IntegrityError, match=r"'gzip' of .* lies below 'second'"):
        unfiltered(source, "gzip", gunzip)
    with pytest.raises(IntegrityError, match="the filter 'gzip'"):
        middle.open("model.pkl")
    with pytest.raises(IntegrityError, match="the filter 'first'"):
        outer.path("model.pkl")


def test_an_extension_leaves_other_artifacts_alone(folders: ArtifactFolders) -> None:
    """Those that were stored before it was named."""
    source = folders.load(_put(folders).uri)
    assert unfiltered(source, "gzip", gunzip) is source


def test_filters_are_part_of_the_digest(folders: ArtifactFolders) -> None:
    """A filtered artifact is another one, but the same every time."""
    request = a_request(filters=[GZIP])
    first = folders.store(request, key="k")
    again = folders.store(a_request("elsewhere", filters=[GZIP]), key="k")
    plain = folders.store(a_request("plain"), key="k")
    assert first.digest == again.digest != plain.digest


def test_files_of_every_kind_are_filtered(folders: ArtifactFolders, tmp_path: Path) -> None:
    """Added ones, and those that a library wrote to a path, as well."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"one")

    def write(sink: FileSink) -> None:
        sink.put("put", b"three")
        sink.add("added", outside)
        with sink.reserve("folder") as path:
            path.mkdir()
            (path / "x").write_bytes(b"two")

    request = a_request()
    request = StoreRequest("p", request.manifest, write, filters=[GZIP])
    source = unfiltered(folders.load(folders.store(request, key="k").uri), "gzip", gunzip)
    assert contents(source) == {"added": b"one", "folder/x": b"two", "put": b"three"}
    assert outside.read_bytes() == b"one"


def test_a_large_filtered_file_is_read_from_the_disk(folders: ArtifactFolders) -> None:
    """It is whole, and seekable."""
    content = bytes(range(256)) * 30_000
    stored = folders.store(a_request(files={"big": content}, filters=[GZIP]), key="k")
    source = unfiltered(folders.load(stored.uri), "gzip", gunzip)
    assert contents(source) == {"big": content}
    with source.open("big") as file:
        assert file.seek(-3, io.SEEK_END) == len(content) - 3
        assert file.read() == content[-3:]
