"""Values inside values keep a format of their own."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from flowyml.errors import SerializationError, TrustError
from flowyml.serialization import PickleWarning, unpack
from flowyml.serialization.frame_tables import difference

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")


@attrs.define
class Split:
    train: Any
    test: Any
    ratio: float = 0.8


FRAME = pd.DataFrame({"a": [1, 2], "s": ["x", None]})


def test_frames_and_arrays_in_containers_need_no_pickle(store: Any) -> None:
    """Each lies beside the JSON in its own format, and comes back in its place."""
    value = {"frames": [FRAME, FRAME.iloc[:1]], "xy": (np.eye(2), np.arange(3)), "n": 3}
    source = store.save(value)
    assert source.manifest.serializer == "json"
    assert sorted(file.name for file in source.manifest.files) == [
        "data.json",
        "part-0/data.parquet",
        "part-1/data.parquet",
        "part-2/data.npy",
        "part-3/data.npy",
    ]
    again = store.again(value)
    assert difference(FRAME, again["frames"][0]) is None
    assert difference(FRAME.iloc[:1], again["frames"][1]) is None
    assert type(again["xy"]) is tuple
    assert again["xy"][1].tolist() == [0, 1, 2]
    assert again["n"] == 3


def test_an_object_of_a_class_may_hold_frames(store: Any) -> None:
    """The fields of a dataclass or attrs class are values like others."""
    again = store.again(Split(FRAME, np.zeros(2)))
    assert type(again) is Split
    assert difference(FRAME, again.train) is None
    assert again.test.tolist() == [0, 0]


def test_a_part_without_an_exact_format_makes_the_whole_a_pickle(store: Any) -> None:
    """Nothing is changed for the sake of JSON."""
    mixed = pd.DataFrame({"s": pd.Series(["x", 1], dtype=object)})
    again = store.pickled({"a": mixed})
    pd.testing.assert_frame_equal(again["a"], mixed)
    with pytest.warns(PickleWarning):
        assert store.pack([np.zeros(1)] * 1001).manifest.serializer == "cloudpickle"


def test_a_part_brings_no_trust_of_its_own(store: Any) -> None:
    """A forged part that says it is a pickle is refused like any other."""
    source = store.save({"a": np.zeros(1)})
    text = json.loads((source.folder / "data.json").read_text())
    for changes, error in (
        ({"serializer": "pickle"}, TrustError),
        ({"serializer": "unheard-of"}, SerializationError),
        ({"number": "../.."}, SerializationError),
        ({"version": 99}, SerializationError),
        ({"$type": "whole"}, SerializationError),
    ):
        forged = {"a": {**text["a"], **changes}}
        (source.folder / "data.json").write_text(json.dumps(forged))
        with pytest.raises(error):
            unpack(source, trusted=False)
