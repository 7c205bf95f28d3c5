"""The local artifact store as a component of a stack."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from flowyml.errors import DeliveryError, NotFoundError, TrustError
from flowyml.records import DeliveryContext, Producer, RunInfo, StoredArtifact
from flowyml.serialization import pack, unpack
from flowyml.storage.files import StoreRequest
from flowyml_local.storage import LocalArtifactStore

RUN = RunInfo("run-1", "training", "local", datetime(2026, 1, 1, tzinfo=UTC))


def _store(store: LocalArtifactStore, value: object, path: str = "run-1/out") -> StoredArtifact:
    producer = Producer("training", "run-1", "train", "out")
    packed = pack(value, type_name="Thing", name="out", producer=producer, key="key")
    context = DeliveryContext("key", RUN, producer)
    return store.store_artifact(StoreRequest(path, packed.manifest, packed.write), context)


def test_it_is_found_by_its_type() -> None:
    """It comes in by the door of all artifact stores."""
    (entry,) = entry_points(group="flowyml.artifact_store", name="local")
    assert entry.load() is LocalArtifactStore


def test_it_keeps_artifacts_below_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody says another path; telling where costs nothing and makes nothing."""
    monkeypatch.chdir(tmp_path)
    store = LocalArtifactStore()
    assert store.root_uri() == (tmp_path / ".flowyml/artifacts").as_uri()
    assert not (tmp_path / ".flowyml").exists()

    stored = _store(store, {"a": 1})
    assert stored.uri == f"{store.root_uri()}/run-1/out"
    assert (tmp_path / ".flowyml/artifacts/run-1/out/artifact.json").is_file()


def test_values_come_back(tmp_path: Path) -> None:
    """Through the hooks, with the key of the delivery in the manifest."""
    store = LocalArtifactStore(path=tmp_path)
    value = {"a": [1, 2.5, None], ("b", 1): "ü"}
    stored = _store(store, value)

    assert stored.manifest.key == "key"
    assert unpack(store.load_artifact(stored.uri), trusted=False) == value
    assert list(store.list_artifacts("run-1")) == [stored]
    assert store.delete_artifact(stored.uri) is True
    assert store.delete_artifact(stored.uri) is False
    with pytest.raises(NotFoundError):
        store.load_artifact(stored.uri)


def test_an_array_is_mapped_where_it_lies(tmp_path: Path) -> None:
    """A large one is verified, and then not read into memory."""
    numpy = pytest.importorskip("numpy")
    store = LocalArtifactStore(path=tmp_path)
    stored = _store(store, numpy.arange(2_000_000))

    found: Any = unpack(store.load_artifact(stored.uri), trusted=False)

    assert isinstance(found.base, numpy.memmap)
    assert Path(found.base.filename) == tmp_path / "run-1/out/data.npy"
    assert (found == numpy.arange(2_000_000)).all()


def test_a_stored_pickle_is_not_read_from_strangers(tmp_path: Path) -> None:
    """The store vouches for the bytes, not for who wrote them."""
    store = LocalArtifactStore(path=tmp_path)
    with pytest.warns(UserWarning, match="cloudpickle"):
        stored = _store(store, _Odd())
    with pytest.raises(TrustError):
        unpack(store.load_artifact(stored.uri), trusted=False)
    assert isinstance(unpack(store.load_artifact(stored.uri), trusted=True), _Odd)


def test_a_path_that_goes_up_has_one_address(tmp_path: Path) -> None:
    """The same folder is the same store, however it is written."""
    store = LocalArtifactStore(path=tmp_path / "project" / ".." / "outside")
    assert store.root_uri() == (tmp_path / "outside").resolve().as_uri()
    assert store.folders().uri == store.root_uri()


def test_a_path_that_leaves_the_store_is_refused(tmp_path: Path) -> None:
    """By the component as well."""
    store = LocalArtifactStore(path=tmp_path / "store")
    with pytest.raises(DeliveryError, match="leads elsewhere"):
        _store(store, 1, "../outside")
    assert not (tmp_path / "outside").exists()


def test_a_run_is_told_before_it_starts(tmp_path: Path) -> None:
    """That the folder cannot be made, say; looking makes nothing."""
    store = LocalArtifactStore(path=tmp_path / "a/b")
    store.preflight()
    assert [check.name for check in store.diagnose() if check.ok] == ["folder", "room"]
    assert not (tmp_path / "a").exists()

    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(DeliveryError, match="is no folder; give the store another `path`"):
        store.preflight()
    (check,) = store.diagnose()
    assert not check.ok
    assert "is no folder" in check.message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    """To everybody but the administrator."""
    tmp_path.chmod(0o500)
    with pytest.raises(DeliveryError, match="is not writable"):
        LocalArtifactStore(path=tmp_path / "x").preflight()


class _Odd:
    """A class that only pickle knows."""

    __slots__ = ()
