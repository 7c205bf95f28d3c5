"""Hostile artifacts, made anew for each test: what somebody who can write to a store may put there.

Each one is a whole artifact: its files have the sizes and digests that its manifest gives, and the
manifest has the right checksum. Whoever writes one knows how FlowyML stores things.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from attrs import field, frozen

from flowyml.records import Manifest, StoredFile
from flowyml.storage.manifests import MANIFEST_NAME, manifest_bytes

__all__ = ["ATTACKS", "Attack", "Hostile"]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@frozen
class Hostile:
    """A hostile artifact before it lies in a store.

    Attributes:
        files: Content of its data files, by name.
        serializer: The format that its manifest names.
        python_type: The class of the value that its manifest names.
        artifact_class: The artifact class that its manifest names.
        listed: Data files as the manifest lists them, where that is not what is there.
        links: Symbolic links in its folder: where each leads to, by name.
    """

    files: dict[str, bytes]
    serializer: str
    python_type: str = "builtins:dict"
    artifact_class: str | None = None
    listed: tuple[StoredFile, ...] | None = None
    links: dict[str, str] = field(factory=dict)

    def put(self, folder: Path) -> None:
        """Put it into a folder of a store, over whatever is there."""
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        for name, target in self.links.items():
            (folder / name).symlink_to(target)
        (folder / MANIFEST_NAME).write_bytes(manifest_bytes(self.manifest()))

    def manifest(self) -> Manifest:
        """Return a manifest in which everything fits together."""
        found = [
            StoredFile(name, len(content), hashlib.sha256(content).hexdigest())
            for name, content in sorted(self.files.items())
        ]
        return Manifest(
            type="Model",
            python_type=self.python_type,
            artifact_class=self.artifact_class,
            serializer=self.serializer,
            serializer_version=1,
            files=tuple(found) if self.listed is None else self.listed,
            name="harmless",
            created_at=LONG_AGO,
        )


@frozen
class Attack:
    """A way to attack whoever loads an artifact.

    Attributes:
        make: Makes the artifact; gets a folder that hostile code would make, and a file outside of
            the artifact that must not be read.
        refusal: What the error says.
    """

    make: Callable[[Path, Path], Hostile]
    refusal: str


@attrs.define
class Bomb:
    """Makes a folder when it is unpickled."""

    mark: str

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (self.mark,))


def _pickle(mark: Path, _: Path) -> Hostile:
    return Hostile({"model.pkl": pickle.dumps(Bomb(str(mark)))}, "pickle")


def _cloudpickle(mark: Path, _: Path) -> Hostile:
    return Hostile({"data.pkl": pickle.dumps(Bomb(str(mark)))}, "cloudpickle")


def _joblib(mark: Path, _: Path) -> Hostile:
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(Bomb(str(mark)), file, compress=3)
    return Hostile({"model.pkl": file.getvalue()}, "pickle", "sklearn.svm._classes:SVC")


def _figure(mark: Path, _: Path) -> Hostile:
    files = {"figure.pkl": pickle.dumps(Bomb(str(mark))), "figure.png": b"", "figure.svg": b""}
    return Hostile(files, "figure", "matplotlib.figure:Figure")


def _torch(mark: Path, *, zipped: bool) -> Hostile:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save({"w": Bomb(str(mark))}, file, _use_new_zipfile_serialization=zipped)
    return Hostile({"model.pt": file.getvalue()}, "torch", "torch:Tensor")


def _npy_of_objects(mark: Path, _: Path) -> Hostile:
    np = pytest.importorskip("numpy")
    file = io.BytesIO()
    np.save(file, np.array([Bomb(str(mark))], dtype=object), allow_pickle=True)
    return Hostile({"data.npy": file.getvalue()}, "npy", "numpy:ndarray")


def _npz_of_objects(mark: Path, _: Path) -> Hostile:
    np = pytest.importorskip("numpy")
    file = io.BytesIO()
    np.savez(file, a=np.array([Bomb(str(mark))], dtype=object))
    return Hostile({"data.npz": file.getvalue()}, "npz")


def _length_of_2_gib(_: Path, __: Path) -> Hostile:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (268435456,), }".ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    return Hostile({"data.npy": content}, "npy", "numpy:ndarray")


def _header_of_2_gib(_: Path, __: Path) -> Hostile:
    content = b"\x93NUMPY\x02\x00" + (2**31 - 1).to_bytes(4, "little") + b"{" * 64
    return Hostile({"data.npy": content}, "npy", "numpy:ndarray")


def _npz_of_2_gib(_: Path, __: Path) -> Hostile:
    return _npz_around(_length_of_2_gib, "builtins:dict")


def _sparse_of_2_gib(_: Path, __: Path) -> Hostile:
    pytest.importorskip("scipy")
    return _npz_around(_length_of_2_gib, "scipy.sparse._csr:csr_matrix")


def _npz_around(make: Callable[[Path, Path], Hostile], python_type: str) -> Hostile:
    pytest.importorskip("numpy")
    array = make(Path(), Path()).files["data.npy"]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member in ("data.npy", "indices.npy", "indptr.npy", "shape.npy", "format.npy"):
            archive.writestr(member, array)
    return Hostile({"data.npz": file.getvalue()}, "npz", python_type)


@cache
def _zip_bomb() -> bytes:
    """Pack 320 MiB of nothing, which takes a second: all tests are given the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for member in ("data.npy", "indices.npy", "indptr.npy", "shape.npy", "format.npy"):
            with archive.open(member, "w", force_zip64=True) as bomb:
                for _ in range(64):
                    bomb.write(bytes(2**20))
    return file.getvalue()


def _npz_bomb(_: Path, __: Path) -> Hostile:
    pytest.importorskip("numpy")
    return Hostile({"data.npz": _zip_bomb()}, "npz", "builtins:dict")


def _sparse_bomb(_: Path, __: Path) -> Hostile:
    pytest.importorskip("scipy")
    return Hostile({"data.npz": _zip_bomb()}, "npz", "scipy.sparse._csr:csr_matrix")


def _skops(mark: Path, _: Path) -> Hostile:
    skops = pytest.importorskip("skops.io")
    content = skops.dumps(_Estimator(str(mark)))
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:  # a list of what to trust, in the artifact itself
        archive.writestr("trusted.json", json.dumps(["tests.attacks.hostile_artifacts._Estimator"]))
    return Hostile({"model.skops": file.getvalue()}, "skops", "sklearn.svm._classes:SVC")


class _Estimator:
    """A class that makes a folder when it is set up again."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __setstate__(self, state: dict[str, Any]) -> None:
        Path(state["mark"]).mkdir()


def _index(**changes: Any) -> Hostile:
    index = {"kind": "folder", "name": "d", "folders": [], "files": [], "links": {}}
    content = json.dumps({**index, "executable": [], **changes}).encode()
    return Hostile({"path.json": content, "files/up": b"x"}, "path", "pathlib:PosixPath")


def _listing(name: str, outside: Path) -> Hostile:
    content = outside.read_bytes()
    listed = StoredFile(name, len(content), hashlib.sha256(content).hexdigest())
    return Hostile({}, "text", "builtins:str", listed=(listed,))


def _link(_: Path, outside: Path) -> Hostile:
    content = outside.read_bytes()
    listed = StoredFile("data.txt", len(content), hashlib.sha256(content).hexdigest())
    return Hostile({}, "text", "builtins:str", listed=(listed,), links={"data.txt": str(outside)})


def _shorter_than_said(_: Path, __: Path) -> Hostile:
    listed = StoredFile("data.json", 2**31, hashlib.sha256(b"{}").hexdigest())
    return Hostile({"data.json": b"{}"}, "json", listed=(listed,))


def _class_to_call(_: Path, __: Path) -> Hostile:
    return Hostile(
        {"data.json": b'"true"'}, "json", "builtins:str", artifact_class="has no class 'system'"
    )


def _class_to_import(_: Path, __: Path) -> Hostile:
    content = b'{"$type": "record", "class": "antigravity:fly", "fields": {}}'
    return Hostile({"data.json": content}, "json")


def _depth(_: Path, __: Path) -> Hostile:
    return Hostile({"data.json": b"[" * 200_000}, "json")


def _arrow_length(_: Path, __: Path) -> Hostile:
    pytest.importorskip("pyarrow")
    content = b"ARROW1\0\0\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(32) + b"ARROW1"
    return Hostile({"data.arrow": content}, "arrow", "pyarrow.lib:Table")


ATTACKS: Final[dict[str, Attack]] = {
    "pickle": Attack(_pickle, "trust: pickle"),
    "cloudpickle": Attack(_cloudpickle, "trust: pickle"),
    "joblib": Attack(_joblib, "trust: pickle"),
    "pickle of a figure": Attack(_figure, "trust: pickle"),
    "torch": Attack(lambda mark, _: _torch(mark, zipped=True), "trust: pickle"),
    "torch, old format": Attack(
        lambda mark, _: _torch(mark, zipped=False), "forged/model cannot be read: "
    ),
    "npy with a pickle": Attack(_npy_of_objects, "data.npy is not an array"),
    "npz with a pickle": Attack(_npz_of_objects, "forged/model cannot be read: "),
    "npy of 2 GiB in 200 bytes": Attack(_length_of_2_gib, "data.npy is not an array"),
    "npy with a header of 2 GiB": Attack(_header_of_2_gib, "data.npy is not an array"),
    "npz of 2 GiB in 2 KiB": Attack(_npz_of_2_gib, "its header promises 2147483648 bytes"),
    "sparse of 2 GiB in 2 KiB": Attack(_sparse_of_2_gib, "its header promises 2147483648 bytes"),
    "npz bomb": Attack(_npz_bomb, "compressed"),
    "sparse bomb": Attack(_sparse_bomb, "compressed"),
    "skops with its own trust": Attack(_skops, "trust: pickle"),
    "folder above": Attack(
        lambda *_: _index(folders=["../../up"]), "forged/model cannot be read: "
    ),
    "file above": Attack(lambda *_: _index(files=["../up"]), "forged/model cannot be read: "),
    "link out": Attack(lambda *_: _index(links={"l": "/etc"}), "forged/model cannot be read: "),
    "link through a link": Attack(
        lambda *_: _index(links={"d": ".", "d/x": ".."}), "forged/model cannot be read: "
    ),
    "listed file above": Attack(lambda _, out: _listing("../../../outside", out), "cannot be used"),
    "listed file elsewhere": Attack(lambda _, out: _listing(str(out), out), "cannot be used"),
    "linked file": Attack(_link, "link"),
    "file of 2 GiB in 2 bytes": Attack(_shorter_than_said, "has 2 bytes, and 2147483648"),
    "class to call": Attack(_class_to_call, "has no class 'system'"),
    "class to import": Attack(_class_to_import, "import antigravity first"),
    "brackets without end": Attack(_depth, "forged/model cannot be read: "),
    "arrow of 2 GiB": Attack(_arrow_length, "forged/model cannot be read: "),
}
