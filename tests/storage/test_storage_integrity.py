"""Stored artifacts that somebody, or something, has changed are never read as whole ones."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import fsspec
import pytest
from attrs import define
from tests.storage.storage_samples import BackDoor, DiskDoor, door_of, put

from flowyml.errors import DeliveryError, FlowyMLError, IntegrityError, NotFoundError
from flowyml.records import StoredFile
from flowyml.storage.filesystems import FilesystemBucket
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders
from flowyml.storage.manifests import manifest_bytes, manifest_from_json, manifest_to_json
from flowyml.testing.artifacts import DRAFT, FILES, a_request, contents

MANIFEST = "run-1/model/artifact.json"

DATA = [f"run-1/model/{name}" for name in FILES]


def _read(folders: ArtifactFolders) -> dict[str, bytes]:
    return contents(folders.load(f"{folders.uri}/run-1/model"))


@pytest.mark.parametrize("name", DATA)
def test_damage_is_not_spread_by_copying(
    folders: ArtifactFolders, door: BackDoor, name: str
) -> None:
    """Of what is damaged, the same content is sent once more in place of a copy."""
    first = put(folders)
    door.write(name, door.read(name)[:-1] + b"!")

    request = attrs.evolve(a_request("run-2/model"), find_copy={first.digest: first.uri}.get)
    second = folders.store(request, key="key-2")

    assert contents(folders.load(second.uri)) == FILES


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_a_flipped_bit_is_found(
    folders: ArtifactFolders, door: BackDoor, name: str, where: float
) -> None:
    """In each file, and the message has both digests; path and stream both refuse."""
    stored = put(folders)
    content = bytearray(door.read(name))
    content[int(where * (len(content) - 1))] ^= 1
    door.write(name, bytes(content))
    short = name.removeprefix("run-1/model/")
    source = folders.load(stored.uri)

    for read in (source.open, source.path):
        with pytest.raises(IntegrityError) as caught:
            read(short)
        assert hashlib.sha256(content).hexdigest() in str(caught.value)
        assert hashlib.sha256(FILES[short]).hexdigest() in str(caught.value)
        assert short in str(caught.value)


def test_a_flipped_bit_of_the_manifest_is_found(folders: ArtifactFolders, door: BackDoor) -> None:
    """Every single one, in names and in the user's metadata as well."""
    put(folders, files={"a": b""})
    content = door.read(MANIFEST)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        door.write(MANIFEST, bytes(changed))
        with pytest.raises(IntegrityError, match="run-1/model"):
            folders.load(f"{folders.uri}/run-1/model")


@pytest.mark.parametrize("size", [0, 1, -1])
@pytest.mark.parametrize("name", [*DATA, MANIFEST])
def test_a_truncated_file_is_found(
    folders: ArtifactFolders, door: BackDoor, name: str, size: int
) -> None:
    """Cut to nothing, to one byte, or by one byte; and so is one that became longer."""
    put(folders)
    content = door.read(name)
    for changed in (content[:size], content + b" "):
        door.write(name, changed)
        with pytest.raises(IntegrityError):
            _read(folders)
    door.write(name, content)
    assert _read(folders) == FILES


def test_two_files_cannot_be_swapped(folders: ArtifactFolders, door: BackDoor) -> None:
    """Even when they have the same length."""
    put(folders, files={"a": b"yes", "b": b"no!"})
    door.write("run-1/model/a", b"no!")
    door.write("run-1/model/b", b"yes")
    for name in "ab":
        with pytest.raises(IntegrityError, match="SHA-256"):
            folders.load(f"{folders.uri}/run-1/model").open(name)


def test_without_its_manifest_an_artifact_does_not_exist(
    folders: ArtifactFolders, door: BackDoor
) -> None:
    """To no reader; a writer may take the path, and finds its own files again."""
    put(folders)
    door.remove(MANIFEST)

    with pytest.raises(NotFoundError, match="no artifact is committed"):
        _read(folders)
    assert list(folders.list()) == []

    assert put(folders).manifest.generation == ""
    assert _read(folders) == FILES


@pytest.mark.parametrize("name", DATA)
def test_a_missing_file_is_found(folders: ArtifactFolders, door: BackDoor, name: str) -> None:
    """The message names it."""
    put(folders)
    door.remove(name)
    source = folders.load(f"{folders.uri}/run-1/model")
    for read in (source.open, source.path):
        with pytest.raises(IntegrityError, match="is missing"):
            read(name.removeprefix("run-1/model/"))


def test_a_changed_file_is_found_after_it_was_read(
    folders: ArtifactFolders, door: BackDoor
) -> None:
    """What was verified once is not trusted for ever, as long as it lies where others write."""
    content = b"x" * 5_000_000
    put(folders, files={"big": content})
    source = folders.load(f"{folders.uri}/run-1/model")
    with source.open("big") as file:
        assert file.read(1) == b"x"
    door.write("run-1/model/big", b"y" + content[1:])

    with pytest.raises(IntegrityError), folders.load(source.uri).open("big"):
        pass
    if isinstance(door, DiskDoor) and isinstance(folders, LocalFolders):
        with pytest.raises(IntegrityError), source.open("big"):
            pass


def test_a_damaged_artifact_is_not_listed(folders: ArtifactFolders, door: BackDoor) -> None:
    """The others are, and a warning names it."""
    put(folders)
    whole = put(folders, "run-2/model")
    door.write(MANIFEST, b"{")

    with pytest.warns(RuntimeWarning, match="run-1/model"):
        assert list(folders.list()) == [whole]


def test_a_damaged_artifact_is_replaced_only_on_purpose(
    folders: ArtifactFolders, door: BackDoor
) -> None:
    """Nobody can tell whose it was."""
    put(folders)
    door.write(MANIFEST, b"{")
    with pytest.raises(DeliveryError, match=r"run-1/model is taken.*cannot be used"):
        put(folders)

    put(folders, overwrite=True)
    assert _read(folders) == FILES
    folders.sweep(timedelta(0))
    assert _read(folders) == FILES


def test_a_lost_local_file_is_stored_again(tmp_path: Path) -> None:
    """As after a power cut: the same digest is a no-op only while its files are whole."""
    folders = LocalFolders.at(tmp_path)
    put(folders)
    DiskDoor(tmp_path).write("run-1/model/model.pkl", b"")

    put(folders, key="key-2")
    assert _read(folders) == FILES


# ─── forged manifests ───────────────────────────────────────────────────────────────────────────


def _forged(**changes: Any) -> bytes:
    """Return a manifest as an attacker writes it, checksum and all."""
    manifest = attrs.evolve(DRAFT, files=(StoredFile("a", 1, "0" * 64),))
    content = {**manifest_to_json(manifest), **changes}
    del content["digest"]
    text = json.dumps(content)[1:].encode()
    return b'{"checksum": "%b", %b' % (hashlib.sha256(text).hexdigest().encode(), text)


def _a_file(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "size": 1, "sha256": "0" * 64} | changes


FORGERIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\x80\x04.",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "no keys": b"{}",
    "no checksum": json.dumps(manifest_to_json(DRAFT)).encode(),
    "a huge number": _forged(serializer_version=1).replace(b": 1,", b": " + b"9" * 5000 + b","),
    "files are a text": _forged(files="a"),
    "a file is a text": _forged(files=["a"]),
    "no size": _forged(files=[{"name": "a", "sha256": "0" * 64}]),
    "size is a text": _forged(files=[_a_file(size="1")]),
    "size is true": _forged(files=[_a_file(size=True)]),
    "size is negative": _forged(files=[_a_file(size=-1)]),
    "digest is short": _forged(files=[_a_file(sha256="0")]),
    "digest is upper case": _forged(files=[_a_file(sha256="A" * 64)]),
    "twice": _forged(files=[_a_file(), _a_file()]),
    "file and folder": _forged(files=[_a_file(), _a_file(name="a/b")]),
    "serializer is two lines": _forged(serializer="pickle 1\nx"),
    "python type is two lines": _forged(python_type="a:B\n\nsha256 1 a"),
    "class is two lines": _forged(artifact_class="a:B\nc"),
    "filter is a line of a file": _forged(filters=["0" * 64 + " 1 a"]),
    "filters are a text": _forged(filters="gzip"),
    "generation climbs": _forged(generation=".."),
    "generation is a path": _forged(generation="a/b"),
    "time is none": _forged(created_at="yesterday"),
    "time has no zone": _forged(created_at="2026-01-01T00:00:00"),
    "producer is half": _forged(producer={"run_id": "x"}),
    "metadata is a list": _forged(metadata=[]),
    "name is a number": _forged(name=7),
}
FORGERIES |= {
    f"file name {name!r}": _forged(files=[_a_file(name=name)])
    for name in ("..", "../x", "a/../../x", "/etc/passwd", "a\\b", "a\0b", "", "a//b", ".", "a/.",
                 "artifact.json", "x\ny", "\ud800")
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_manifest_is_refused(tmp_path: Path, forgery: str) -> None:
    """Before any of its files is touched, and the message names the artifact."""
    folders = LocalFolders.at(tmp_path)
    put(folders)
    DiskDoor(tmp_path).write(MANIFEST, FORGERIES[forgery])
    with pytest.raises(IntegrityError, match="run-1/model cannot be used"):
        folders.load(f"{folders.uri}/run-1/model")


def test_a_newer_layout_says_so(tmp_path: Path) -> None:
    """It is no damage, and a newer FlowyML helps."""
    folders = LocalFolders.at(tmp_path)
    put(folders)
    DiskDoor(tmp_path).write(MANIFEST, _forged(format_version=2))
    with pytest.raises(IntegrityError, match=r"format version 2.*install a newer flowyml"):
        folders.load(f"{folders.uri}/run-1/model")


def test_a_manifest_of_another_digest_is_refused() -> None:
    """One that comes from the metadata store, say."""
    content = manifest_to_json(attrs.evolve(DRAFT, files=(StoredFile("a", 1, "0" * 64),)))
    content["python_type"] = "builtins:int"
    with pytest.raises(IntegrityError, match=r"says 'sha256:.*describes sha256:"):
        manifest_from_json(content)


def test_a_manifest_keeps_everything() -> None:
    """All its fields, through JSON and through bytes; keys of later versions are left alone."""
    manifest = attrs.evolve(
        DRAFT,
        files=(StoredFile("a/ü", 1, "0" * 64),),
        filters=("gzip", "age"),
        generation="0123456789abcdef",
        key="k",
        metadata={"text": "ünï\u2028", "deep": [{"a": None, "b": 1.5, "big": 10**30}]},
    )
    assert manifest_from_json(manifest_to_json(manifest) | {"later": 1}) == manifest
    assert manifest_from_json(json.loads(manifest_bytes(manifest))) == manifest
    bare = attrs.evolve(DRAFT, producer=None, artifact_class=None, version=None)
    assert manifest_from_json(manifest_to_json(bare)) == bare


# ─── what an object store or a disk may hold besides ────────────────────────────────────────────


def _link_file(folder: Path, outside: Path) -> None:
    (folder / "model.pkl").unlink()
    (folder / "model.pkl").symlink_to(outside / "model.pkl")


def _link_subfolder(folder: Path, outside: Path) -> None:
    (folder / "part-0").rename(outside / "moved")
    (folder / "part-0").symlink_to(outside / "moved")


def _link_folder(folder: Path, outside: Path) -> None:
    folder.rename(outside / "whole")
    folder.symlink_to(outside / "whole")


def _link_manifest(folder: Path, outside: Path) -> None:
    (folder / "artifact.json").rename(outside / "artifact.json")
    (folder / "artifact.json").symlink_to(outside / "artifact.json")


@pytest.mark.parametrize("link", [_link_file, _link_subfolder, _link_folder, _link_manifest])
def test_a_link_is_not_followed(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    """Not even to the very same bytes."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name, content in FILES.items():
        DiskDoor(outside).write(name, content)
    folders = LocalFolders.at(tmp_path / "store")
    put(folders)
    link(tmp_path / "store/run-1/model", outside)

    with pytest.raises(FlowyMLError, match="symbolic link"):
        _read(folders)


def test_nothing_is_stored_through_a_link(tmp_path: Path) -> None:
    """A folder of the store that leads elsewhere is refused, and nothing is written there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    folders = LocalFolders.at(tmp_path / "store")
    put(folders, "other/x")
    (tmp_path / "store/run-1").symlink_to(outside)
    for path in ("run-1", "run-1/model"):
        with pytest.raises(DeliveryError, match="symbolic link"):
            put(folders, path)
    assert list(outside.iterdir()) == []
    assert len(list(folders.list())) == 1


def test_what_others_keep_in_the_store_stays(folders: ArtifactFolders, door: BackDoor) -> None:
    """Nothing but what is FlowyML's own is ever removed, whatever a forged note says."""
    door.write("precious.csv", b"1")
    door.write("run-1/model/precious.csv", b"2")
    door.write("run-2/x", b"3")
    for number, note in enumerate(
        [b"{", b"[]", b'{"path": "run-2", "names": ["precious.csv", "run-2/../precious.csv"]}',
         b'{"path": "", "names": ["/precious.csv", "precious.csv"]}']
    ):  # fmt: skip
        door.write(f".staging/{number}.json", note)
    put(folders)
    put(folders, files={"other": b""}, overwrite=True)
    folders.sweep(timedelta(0))
    folders.delete(f"{folders.uri}/run-1/model")

    assert door.names() == ["precious.csv", "run-1/model/precious.csv", "run-2/x"]


def test_a_living_writer_is_not_swept_away(folders: ArtifactFolders) -> None:
    """On a local disk not even when everything counts as old."""

    def write(sink: Any) -> None:
        with sink.open("a") as file:
            file.write(b"1")
        assert folders.sweep(timedelta(0)) == 0
        with sink.open("b") as file:
            file.write(b"2")

    request = attrs.evolve(a_request(), write=write)
    assert contents(folders.load(folders.store(request, key="k").uri)) == {"a": b"1", "b": b"2"}
    assert len(door_of(folders).names()) == 3


@define(eq=False)
class Halfway(FilesystemBucket):
    """Deletes all but one of what it is asked for, in an order of its own, and then breaks."""

    kept: str = ""

    def delete(self, names: Sequence[str]) -> None:
        super().delete([name for name in names if name != self.kept])
        if self.kept in names:
            message = "the line is down"
            raise ConnectionError(message)


def test_a_deletion_that_breaks_leaves_nothing_that_nobody_knows_of() -> None:
    """Whichever file stays, the note of what is left over stays as well."""
    root = f"memory://{uuid.uuid4().hex}"
    bucket = Halfway(fsspec.filesystem("memory"), root, kept="run-1/model/model.pkl")
    folders = ArtifactFolders(bucket)
    stored = put(folders)

    with pytest.raises(ConnectionError):
        folders.delete(stored.uri)
    bucket.kept = ""

    assert folders.sweep(timedelta(0)) == 1
    assert list(bucket.find("")) == []
