"""A format that is asked for is fulfilled exactly or refused, never replaced by another one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from flowyml.artifacts import Dataset
from flowyml.errors import SerializationError

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

TABLE = pa.table({"a": [1, 2], "b": ["x", None]})
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[4, 5])
TABLES = ("parquet", "csv", "json", "jsonl", "arrow", "feather")
FORMATS = (*TABLES, "npy", "npz")

HELD: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a frame": (FRAME, TABLES),
    "an Arrow table": (TABLE, TABLES),
    "a series": (FRAME["a"], ("parquet", "arrow", "feather")),
    "an array": (np.arange(6).reshape(2, 3), ("npy",)),
    "arrays by name": ({"a": np.arange(2), "b": np.eye(2)}, ("json", "npz")),
    "a list": ([1, "x", None], ("json", "jsonl")),
    "a list of frames": ([FRAME], ("json",)),
    "a dict": ({"a": (1, 2)}, ("json",)),
    "a text": ("hello", ("json",)),
    "a list of objects": ([object()], ()),
    "a dict of objects": ({"a": object()}, ()),
    "a frame of objects": (pd.DataFrame({"a": [object()]}), ()),
    "a frame of complex numbers": (pd.DataFrame({"a": [1j]}), ()),
    "an array of objects": (np.array([object()]), ()),
    "a masked array": (np.ma.array([1, 2], mask=[False, True]), ()),
    "columns of one name": (
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
        ("arrow", "feather"),
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", HELD)
def test_a_wish_is_fulfilled_or_refused(kind: str, format_: str, store: Any) -> None:
    """Also where the format is the one that would have been detected; nothing warns instead."""
    value, held = HELD[kind]
    wish = Dataset(value, format=format_)
    if format_ in held:
        source = store.save(wish)
        assert source.manifest.serializer == {"feather": "arrow"}.get(format_, format_)
        assert type(store.again(wish).data) is type(value)
    else:
        refused = f"(cannot be stored as|there is no format) '{format_}'"
        with pytest.raises(SerializationError, match=refused):
            store.save(wish)


@pytest.mark.parametrize(
    ("value", "format_", "reason"),
    [
        ([1, object()], "json", r"\[1\]: a builtins\.object .* stored as 'cloudpickle'"),
        ([1, object()], "jsonl", r"\[1\]: a builtins\.object .* stored as 'cloudpickle'"),
        (np.arange(2), "json", r"no exact form in JSON; .* it would be stored as 'npy'"),
        (np.arange(2), "csv", r"no format 'csv' .*there are: .*npy"),
        (pd.DataFrame({"c": [1j]}), "parquet", r"column 'c' .*format: pickle"),
        (pd.DataFrame({"c": [[1]]}), "csv", r"column 'c' .*it would be stored as 'parquet'"),
        (HELD["columns of one name"][0], "parquet", r"it would be stored as 'arrow'"),
        (threading.Lock(), "pickle", "cannot pickle"),
    ],
)
def test_a_refusal_says_what_is_in_the_way_and_what_to_use_instead(
    value: object, format_: str, reason: str, store: Any
) -> None:
    """The place in the value, and the format that holds it."""
    with pytest.raises(SerializationError, match=reason):
        store.save(Dataset(value, format=format_))


def test_a_rules_format_is_a_wish_too(store: Any) -> None:
    """Whatever the artifact says itself."""
    with pytest.raises(SerializationError, match="cannot be stored as 'json'"):
        store.save(Dataset([object()]), "json")


def test_what_was_detected_is_no_wish_in_another_process_either(store: Any) -> None:
    """A data set that was read is stored again as it was the first time."""
    objects = Dataset([object()])
    assert (objects.format, objects.format_is_detected) == ("json", True)
    with pytest.warns(match="cloudpickle"):
        again = store.again(objects, trusted=True)
    assert (again.format, again.format_is_detected) == ("json", True)
    assert not store.again(Dataset([1], format="json")).format_is_detected


@attrs.frozen(eq=False)
class Lines(Dataset):
    """A user's own type that is always stored in one format."""

    format: str | None = attrs.field(default="jsonl", kw_only=True)


def test_a_type_may_name_its_format(store: Any) -> None:
    """As a default of its own, which is a wish."""
    assert store.save(Lines([1])).manifest.serializer == "jsonl"
    with pytest.raises(SerializationError, match="no format 'jsonl' for"):
        store.save(Lines({"a": 1}))


def test_batches_whose_maker_fails_are_not_tried_again(store: Any) -> None:
    """The error is that of the values, whatever class the maker raised."""

    def broken() -> Iterator[Any]:
        yield pa.record_batch({"a": [1]})
        message = "the source is gone"
        raise ConnectionError(message)

    with pytest.raises(SerializationError, match="ConnectionError: the source is gone"):
        store.save(broken())


class Shy:
    """Refuses to be copied with an error of its own kind."""

    def __reduce__(self) -> Any:
        raise LookupError


@pytest.mark.filterwarnings("ignore:.*cloudpickle")
def test_whatever_pickling_raises_is_said_of_the_value(store: Any) -> None:
    """The class of the error is the value's choice; what the store raises stays as it is."""
    with pytest.raises(SerializationError, match=r"Shy cannot be stored: LookupError"):
        store.save(Shy())

    class Full:
        def open(self, name: str) -> Any:
            del name
            return self

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def write(self, content: Any) -> int:
            del content
            raise OSError(28, "no space left")

    packed = store.pack(Shy)
    with pytest.raises(OSError, match="no space left"):
        packed.write(Full())
