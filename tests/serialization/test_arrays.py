"""NumPy arrays and scalars come back exactly, mapped where they are large."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowyml.errors import SerializationError
from flowyml.serialization import PickleWarning

np = pytest.importorskip("numpy")
npst = pytest.importorskip("hypothesis.extra.numpy")

ALIGNED = np.dtype([("a", "i1"), ("b", "i8")], align=True)

ARRAYS = {
    "empty": np.zeros((0, 3)),
    "empty Fortran": np.zeros((3, 0), order="F"),
    "0-d": np.array(5.0),
    "0-d structured": np.array((1, 2), dtype=ALIGNED),
    "Fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "every other": np.arange(10)[::2],
    "reversed": np.arange(10)[::-1],
    "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
    "big-endian": np.arange(5, dtype=">f8"),
    "structured": np.array([("a", 1)], dtype=[("é", "U2"), ("b", ">i4", (2,))]),
    "another script": np.array([(1,)], dtype=[("имя", "i4")]),
    "many fields": np.zeros(2, dtype=[(f"field_{i:03}", "i4") for i in range(300)]),
    "aligned": np.zeros(3, dtype=ALIGNED),
    "float16": np.array([np.nan, np.inf, -0.0], dtype="f2"),
    "longdouble": np.array([1, 2], dtype=np.longdouble) / 3,
    "complex64": np.array([1 + 2j], dtype="c8"),
    "bool": np.array([True, False]),
    "text": np.array(["", "a", "ä\x01"]),
    "no text": np.zeros(3, dtype="U0"),
    "bytes": np.array([b"a", b"bc"]),
    "datetime64": np.array(["2026-01-01", "NaT"], dtype="M8[25s]"),
    "timedelta64": np.array([1, 2], dtype="m8[ns]"),
    "void": np.zeros(2, dtype="V5"),
    "large": np.arange(2**18, dtype="f8").reshape(512, 512),
    "large Fortran": np.asfortranarray(np.arange(2**18, dtype=">i8").reshape(512, 512)),
}


def _equal(left: Any, right: Any) -> bool:
    return (
        type(left) is type(right)
        and left.dtype == right.dtype
        and left.shape == right.shape
        and (
            left.tobytes() == right.tobytes()
            or (left.dtype == ALIGNED and bool((left == right).all()))
        )
        and left.flags.writeable
    )


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_byte_for_byte(name: str, store: Any) -> None:
    """With its dtype, its shape, its byte order and its memory order."""
    array = ARRAYS[name]
    again = store.again(array)
    assert _equal(again, array)
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        assert again.flags.f_contiguous
    assert _equal(store.again({"a": array}, "npz")["a"], array)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    array=npst.arrays(
        npst.array_dtypes() | npst.scalar_dtypes(),
        npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    order=st.sampled_from("CFK"),
)
def test_any_array_comes_back_byte_for_byte(array: Any, order: str, store: Any) -> None:
    """Whatever hypothesis finds among dtypes and shapes, apart from Python objects."""
    array = np.array(array, order=order)
    assert _equal(store.again(array), array)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(array=npst.arrays(npst.scalar_dtypes(), (1,)))
def test_a_scalar_comes_back_in_its_class(array: Any, store: Any) -> None:
    """An `np.float32` in a dict of metrics stays one, and the dict stays JSON."""
    value = {"score": array[0]}
    source = store.save(value)
    again = store.again(value)["score"]
    assert source.manifest.serializer == "json"
    assert type(again) is type(array[0])
    assert again.dtype == array[0].dtype
    assert again.tobytes() == array[0].tobytes() or array[0] != array[0]


def test_a_lone_scalar_is_json(store: Any) -> None:
    """Also when it is all that a step returns."""
    assert store.save(np.float64(0.5)).manifest.serializer == "json"
    assert type(store.again(np.int8(3))) is np.int8


def test_a_large_array_is_mapped_and_never_written_back(store: Any) -> None:
    """What is read may be changed, and the stored file stays as it is."""
    source = store.save(ARRAYS["large"])
    tracemalloc.start()
    again = store.again(ARRAYS["large"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < again.nbytes / 2
    stored = (store.root / "2" / "data.npy").read_bytes()
    again[:] = 0
    assert (store.root / "2" / "data.npy").read_bytes() == stored
    assert (source.folder / "data.npy").read_bytes() == stored


def test_an_array_is_not_copied_to_be_written(store: Any) -> None:
    """Writing 64 MiB takes a few pieces of memory, not another 64 MiB."""
    array = np.zeros((2**13, 2**10), order="F")
    packed = store.pack(array)
    tracemalloc.start()
    store.write(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 16


def test_arrays_of_objects_are_refused_with_the_reason(store: Any) -> None:
    """They would need pickle, which is there for those who ask for it."""
    array = np.array([1, "a", None], dtype=object)
    for format_ in (None, "npy"):
        with pytest.raises(
            SerializationError, match=r"array of Python objects .* `format: pickle`"
        ):
            store.pack(array, format_)
    assert store.again(array, "pickle", trusted=True).tolist() == array.tolist()
    with pytest.raises(SerializationError, match="'b': an array of Python objects"):
        store.pack({"a": np.zeros(1), "b": array}, "npz")


def test_dtypes_that_npy_forgets_are_refused(store: Any) -> None:
    """Nothing is lost without a word: metadata on a dtype, variable-width text."""
    marked = np.zeros(1, dtype=np.dtype("i4", metadata={"unit": "m"}))
    with pytest.raises(SerializationError, match="cannot describe the dtype"):
        store.pack(marked)
    with pytest.raises(SerializationError, match="cannot describe the dtype"):
        store.pack(np.array(["a", "bc"], dtype=np.dtypes.StringDType()))
    with pytest.raises(SerializationError, match="cannot describe the dtype"):
        store.pack(np.zeros(2, dtype=[(f"field_{i:05}", "i4") for i in range(5000)]))


def test_classes_derived_from_arrays_keep_their_class(store: Any) -> None:
    """A masked array has no place for its mask in npy, so it goes to cloudpickle."""
    masked = np.ma.masked_array([1, 2, 3], mask=[0, 1, 0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = store.again(masked, trusted=True)
    assert [found.category for found in caught] == [PickleWarning]
    assert type(again) is np.ma.MaskedArray
    assert again.mask.tolist() == [False, True, False]


def test_what_a_memmap_maps_is_stored(store: Any, tmp_path: Any) -> None:
    """A memory map is a view of a file; what comes back is the array."""
    mapped = np.memmap(tmp_path / "m", dtype="i4", mode="w+", shape=(4,))
    mapped[:] = range(4)
    again = store.again(mapped)
    assert type(again) is np.ndarray
    assert again.tolist() == [0, 1, 2, 3]


def test_equal_dicts_of_arrays_give_equal_bytes(store: Any) -> None:
    """An npz holds no clock."""
    one, other = (store.save({"a": np.arange(3), "b c/ö": np.eye(2)}, "npz") for _ in range(2))
    assert (one.folder / "data.npz").read_bytes() == (other.folder / "data.npz").read_bytes()
