"""Hostile files are refused with a clear error, and nothing in them runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import attrs
import pytest

from flowyml.artifacts import Metrics
from flowyml.errors import FlowyMLError, IntegrityError, SerializationError, TrustError
from flowyml.serialization import unpack
from flowyml.serialization.tagged import Decoder


@attrs.define
class Bomb:
    """Leaves a mark when it is unpickled."""

    mark: str

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (self.mark,))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What exists once hostile code has run."""
    return tmp_path / "hit"


def _forged(store: Any, value: object, files: dict[str, bytes], **changes: Any) -> Any:
    """Store a harmless value, then put other files and other facts in its place."""
    source = store.save(value)
    for name, content in files.items():
        (source.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (source.folder / name).write_bytes(content)
    return attrs.evolve(source, manifest=attrs.evolve(source.manifest, **changes))


@pytest.mark.parametrize("format_", ["pickle", "cloudpickle", "figure"])
def test_a_pickle_is_not_read_from_strangers(format_: str, store: Any, mark: Path) -> None:
    """Whatever name the manifest gives to it."""
    hostile = pickle.dumps(Bomb(str(mark)))
    source = _forged(store, 1, {"data.pkl": hostile, "figure.pkl": hostile}, serializer=format_)
    with pytest.raises(TrustError, match="this project did not store sha256:"):
        unpack(source, trusted=False)
    assert not mark.exists()


def test_a_joblib_file_is_not_read_from_strangers(store: Any, mark: Path) -> None:
    """It is a pickle by another name."""
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(Bomb(str(mark)), file)
    source = _forged(store, 1, {"model.pkl": file.getvalue()}, serializer="pickle")
    with pytest.raises(TrustError):
        unpack(source, trusted=False)
    assert not mark.exists()


def test_a_torch_file_runs_nothing(store: Any, mark: Path) -> None:
    """In the new format and in the old one."""
    torch = pytest.importorskip("torch")
    for new in (True, False):
        file = io.BytesIO()
        torch.save({"w": Bomb(str(mark))}, file, _use_new_zipfile_serialization=new)
        source = _forged(store, torch.zeros(1), {"model.pt": file.getvalue()})
        with pytest.raises(FlowyMLError):
            unpack(source, trusted=False)
        assert not mark.exists()
    for other in (pickle.dumps(Bomb(str(mark))), b"", b"PK\x03\x04rubbish"):
        with pytest.raises(FlowyMLError):
            unpack(_forged(store, torch.zeros(1), {"model.pt": other}), trusted=False)
        assert not mark.exists()


def test_an_array_of_objects_runs_nothing(store: Any, mark: Path) -> None:
    """Neither as npy, nor inside an npz, nor as a sparse matrix."""
    np = pytest.importorskip("numpy")
    sparse = pytest.importorskip("scipy.sparse")
    objects = np.array([Bomb(str(mark))], dtype=object)
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, objects, allow_pickle=True)
    np.savez(npz, a=objects, format=b"csr", data=objects)
    for value, name, content in (
        (np.zeros(1), "data.npy", npy),
        (sparse.csr_matrix(np.zeros((1, 1))), "data.npz", npz),
    ):
        source = _forged(store, value, {name: content.getvalue()})
        with pytest.raises(SerializationError):
            unpack(source, trusted=True)
    source = _forged(store, {"a": 1}, {"data.npz": npz.getvalue()}, serializer="npz")
    with pytest.raises(SerializationError):
        unpack(source, trusted=True)
    assert not mark.exists()


def _npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00",
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (268435456,), }", b"x" * 2**20),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", b"x" * 8),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2**62, 4), }"),
        _npy("__import__('os').mkdir('hit')"),
        _npy("{'descr': 'O', 'fortran_order': False, 'shape': (1,), }", b"x" * 8),
        b"\x93NUMPY\x02\x00" + (2**31 - 1).to_bytes(4, "little") + b"{" * 1000,
    ],
    ids=range(9),
)
def test_a_lying_array_header_is_refused(content: bytes, store: Any) -> None:
    """A length field of terabytes allocates nothing and reads nothing."""
    np = pytest.importorskip("numpy")
    source = _forged(store, np.zeros(1), {"data.npy": content})
    with pytest.raises(SerializationError, match=r"data\.npy is not an array"):
        unpack(source, trusted=False)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(store: Any) -> None:
    """Kilobytes that would become gigabytes."""
    np = pytest.importorskip("numpy")
    sparse = pytest.importorskip("scipy.sparse")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * 2**24)
    for value, changes in (
        ({"a": np.zeros(1)}, {"serializer": "npz"}),
        (sparse.csr_matrix(np.zeros((1, 1))), {}),
    ):
        stored = store.save(value, "npz")
        (stored.folder / "data.npz").write_bytes(file.getvalue())
        source = attrs.evolve(stored, manifest=attrs.evolve(stored.manifest, **changes))
        with pytest.raises(SerializationError, match="compressed"):
            unpack(source, trusted=False)


@pytest.mark.parametrize(
    "text",
    [
        '{"$type": "record", "class": "os:system", "fields": {}}',
        '{"$type": "record", "class": "subprocess:Popen", "fields": {"args": "true"}}',
        '{"$type": "record", "class": "builtins:eval", "fields": {}}',
        '{"$type": "record", "class": "pathlib:Path", "fields": {}}',
        '{"$type": "enum", "class": "subprocess:Popen", "value": "true"}',
        '{"$type": "enum", "class": "http:HTTPStatus", "value": 200}',
        '{"$type": "pydantic", "class": "subprocess:Popen", "fields": {}}',
        '{"$type": "namedtuple", "class": "subprocess:Popen", "items": []}',
        '{"$type": "record", "class": "json:", "fields": {}}',
        '{"$type": "record", "class": 3, "fields": {}}',
        '{"$type": "record", "class": "attr:Attribute", "fields": {"__class__": 1}}',
        '{"$type": "numpy", "class": "load", "value": "x"}',
        '{"$type": "numpy", "class": "lib", "value": "x"}',
        '{"$type": "unheard-of"}',
        '{"$type": ["tuple"]}',
        '{"$type": {"a": 1}}',
        '{"$type": "set", "items": [[]]}',
        '{"$type": "set", "items": 3}',
        '{"$type": "int", "value": 3}',
        '{"$type": "decimal", "value": "x"}',
        '{"$type": "time", "value": {"clock": "00:00", "zone": {"key": "../etc"}, "fold": 0}}',
        "[" * 200_000,
        '{"a":' * 200_000,
        "",
        "\x80\x05.",
        "9" * 5000,
    ],
)
def test_hostile_json_is_refused(text: str) -> None:
    """No name in it is called, nothing is imported for it, and no depth is too deep."""
    with pytest.raises(SerializationError):
        Decoder(trusted=False).loads(text)


def test_json_imports_nothing_for_strangers(store: Any) -> None:
    """A module runs when it is imported."""
    assert "antigravity" not in sys.modules
    hostile = b'{"$type": "record", "class": "antigravity:fly", "fields": {}}'
    with pytest.raises(SerializationError, match="import antigravity first"):
        unpack(_forged(store, {"a": 1}, {"data.json": hostile}), trusted=False)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "changes",
    [
        {"artifact_class": "os:system"},
        {"artifact_class": "subprocess:Popen"},
        {"artifact_class": "antigravity:fly"},
        {"artifact_class": "flowyml.artifacts:Artifact.__init__"},
        {"artifact_class": "flowyml.artifacts:Model", "properties": {"__class__": "x"}},
        {"artifact_class": "flowyml.artifacts:Metrics", "properties": {"step": {"$type": "x"}}},
        {"serializer": "unheard-of"},
        {"serializer": "json:Json"},
        {"serializer_version": 99},
        {"python_type": "x" * 1000, "serializer": "parquet"},
    ],
)
def test_a_forged_manifest_is_refused(changes: dict[str, Any], store: Any) -> None:
    """What it names is looked at, never called."""
    source = store.save(Metrics({"a": 1.0}))
    source = attrs.evolve(source, manifest=attrs.evolve(source.manifest, **changes))
    with pytest.raises((SerializationError, OSError)):
        unpack(source, trusted=False)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "index",
    [
        {"kind": "file", "name": "../up", "executable": []},
        {"kind": "file", "name": "/etc/up", "executable": []},
        {"kind": "file", "name": "", "executable": []},
        {"kind": "folder", "name": "d", "folders": ["../../up"], "files": [], "links": {}},
        {
            "kind": "folder",
            "name": "d",
            "folders": [],
            "files": ["../up"],
            "links": {},
            "executable": [],
        },
        {"kind": "folder", "name": "d", "folders": [], "files": [], "links": {"l": "/etc"}},
        {"kind": "folder", "name": "d", "folders": [], "files": [], "links": {"l": "../.."}},
        {
            "kind": "folder",
            "name": "d",
            "folders": [],
            "files": [],
            "links": {"d": ".", "d/x": ".."},
        },
        {"kind": "folder"},
        [],
    ],
    ids=range(10),
)
def test_a_path_that_climbs_out_is_refused(index: Any, store: Any, tmp_path: Path) -> None:
    """By name, by folder, by link, and by a link through a link."""
    value = tmp_path / "value"
    value.write_text("x")
    content = {"path.json": json.dumps(index).encode(), "files/up": b"x", "up": b"x"}
    source = _forged(store, value, content)
    with pytest.raises(SerializationError):
        unpack(source, trusted=False)


def test_a_skops_file_does_not_bring_its_own_trust(store: Any, mark: Path) -> None:
    """What skops does not know itself needs the project's word."""
    skops = pytest.importorskip("skops.io")
    linear_model = pytest.importorskip("sklearn.linear_model")
    file = io.BytesIO(skops.dumps({"a": Metrics({"a": 1.0}), "trusted": ["flowyml"]}))
    source = _forged(
        store, linear_model.Ridge(), {"model.skops": file.getvalue()}, serializer="skops"
    )
    with pytest.raises(TrustError, match=r"flowyml\.artifacts\.Metrics"):
        unpack(source, trusted=False)
    for rubbish in (b"", b"PK\x05\x06" + bytes(18), pickle.dumps(Bomb(str(mark)))):
        source = _forged(store, linear_model.Ridge(), {"model.skops": rubbish}, serializer="skops")
        with pytest.raises(SerializationError):
            unpack(source, trusted=True)
        assert not mark.exists()


def _samples() -> dict[str, Any]:
    """A value for each library whose reader has to cope with rubbish."""
    np = pytest.importorskip("numpy")
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1]})
    return {
        "pandas": pytest.importorskip("pandas").DataFrame({"a": [1]}),
        "polars": pytest.importorskip("polars").DataFrame({"a": [1]}),
        "parquet": table,
        "batch": table.to_batches()[0],
        "onnx": pytest.importorskip("onnx").ModelProto(),
        "picture": pytest.importorskip("PIL.Image").new("L", (1, 1)),
        "sparse": pytest.importorskip("scipy.sparse").csr_matrix(np.zeros((1, 1))),
        "xgboost": pytest.importorskip("xgboost")
        .XGBRegressor(n_estimators=1)
        .fit([[0], [1]], [0, 1]),
    }


@pytest.mark.parametrize(
    "name",
    ["pandas", "polars", "parquet", "batch", "onnx", "picture", "sparse", "xgboost"],
)
@pytest.mark.parametrize(
    "rubbish", [b"PAR1rubbishPAR1", b"ARROW1\0\0\xff\xff\xff\x7f", b"\x89PNG\xff"]
)
def test_rubbish_is_refused_by_every_reader(name: str, rubbish: bytes, store: Any) -> None:
    """With an error of ours, whatever the library says about it."""
    source = store.save(_samples()[name])
    for file in source.folder.iterdir():
        file.write_bytes(rubbish)
    with pytest.raises(SerializationError):
        unpack(source, trusted=False)


@pytest.mark.parametrize(
    "name", ["pandas", "polars", "parquet", "batch", "onnx", "picture", "sparse", "xgboost"]
)
def test_what_a_store_says_is_passed_on(name: str, store: Any) -> None:
    """A file that was tampered with is an integrity error, not a format that went wrong."""

    @attrs.frozen
    class Tampered:
        manifest: Any

        def open(self, name: str) -> Any:
            raise IntegrityError(name)

        path = open

    with pytest.raises(IntegrityError):
        unpack(Tampered(store.save(_samples()[name]).manifest), trusted=True)
