"""Frames, series and tables come back in value and type, or an error names the column."""

from __future__ import annotations

import datetime as dt
import decimal
import tracemalloc
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowyml.artifacts import Dataset
from flowyml.errors import SerializationError
from flowyml.serialization import PickleWarning, frames, unpack
from flowyml.serialization.frame_tables import difference

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")


def _objects(*values: object) -> Any:
    return pd.DataFrame({"s": pd.Series(values, dtype=object)})


def _with_attrs() -> Any:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"unit": ("m", 2), "when": dt.date(2026, 1, 1)}
    return frame


EXACT = {
    "plain": pd.DataFrame({"a": [1, 2], "s": ["123", None], "f": [1.5, float("nan")]}),
    "object text with None": _objects("x", None, "y"),
    "object text with NaN": _objects("x", float("nan"), ""),
    "object text with NA": _objects("x", pd.NA),
    "object ints with None": _objects(2**60 + 1, None),
    "object booleans with None": _objects(True, None),
    "object floats": _objects(1.5, float("nan")),
    "bytes": _objects(b'{"a": 1}', b""),
    "dates": _objects(dt.date(2026, 1, 1), None),
    "times": _objects(dt.time(1, 2)),
    "decimals": _objects(decimal.Decimal("1.10"), decimal.Decimal("2.00")),
    "lists": _objects([1, 2], [], None),
    "arrays": _objects(np.array([1, 2], "f4"), np.array([], "f4")),
    "dicts": _objects({"a": 1, "b": "x"}),
    "only None": _objects(None, None),
    "ordered categories": pd.DataFrame(
        {"s": pd.Categorical(["b", "a", None], categories=["b", "a", "z"], ordered=True)}
    ),
    "integer categories": pd.DataFrame({"s": pd.Categorical([2**60 + 1, 2, None])}),
    "float categories": pd.DataFrame({"s": pd.Categorical([0.5, None, float("inf")])}),
    "zones": pd.DataFrame(
        {
            "berlin": pd.date_range("2026-10-25", periods=3, freq="h", tz="Europe/Berlin"),
            "utc": pd.date_range("2026", periods=3, tz="UTC"),
            "offset": pd.date_range("2026", periods=3, tz=dt.timezone(dt.timedelta(hours=2))),
        }
    ),
    "seconds": pd.DataFrame(
        {
            "t": pd.date_range("2026", periods=2).as_unit("s"),
            "z": pd.date_range("2026", periods=2, tz="UTC").as_unit("s"),
            "d": pd.to_timedelta([1, 2], unit="s").as_unit("s"),
        }
    ),
    "nullable": pd.DataFrame(
        {
            "i": pd.array([2**62 + 1, None], dtype="Int64"),
            "b": pd.array([True, None], dtype="boolean"),
            "f": pd.array([1.5, None], dtype="Float32"),
        }
    ),
    "text types": pd.DataFrame(
        {
            "a": pd.array(["a", None], dtype="string"),
            "p": pd.array(["a", None], dtype="string[python]"),
            "s": pd.array(["a", None], dtype="str"),
        }
    ),
    "periods": pd.DataFrame({"s": pd.period_range("2026", periods=2, freq="M")}),
    "intervals": pd.DataFrame({"s": pd.interval_range(0, 2)}),
    "arrow types": pd.DataFrame(
        {
            "i": pd.array([1, None], dtype="int64[pyarrow]"),
            "l": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        }
    ),
    "odd numbers": pd.DataFrame(
        {
            "h": np.array([1, np.nan], "f2"),
            "u": np.array([2**64 - 1, 0], "u8"),
            "be": np.array([1, 2], ">i4"),
            "b": [True, False],
        }
    ),
    "multi-index": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["l", None])
    ),
    "twice the same level": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["l", "l"])
    ),
    "multi-columns": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["l", None])
    ),
    "integer columns": pd.DataFrame([[1, 2]], columns=[3, 4]),
    "a range of columns": pd.DataFrame([[1, 2]]),
    "duplicate columns": pd.DataFrame([[1, "x"]], columns=["a", "a"]),
    "duplicates that clash": pd.DataFrame([[1, 2, 3]], columns=["a", "a", "a.1"]),
    "mixed columns": pd.DataFrame([[1, 2, 3]], columns=["a", 1, None]),
    "tuple columns": pd.DataFrame({("a", 1): [1]}),
    "date columns": pd.DataFrame([[1, 2]], columns=pd.date_range("2026", periods=2)),
    "dotted columns": pd.DataFrame([[1, 2, 3]], columns=["a", "a.b", "a.b.c"]),
    "named columns": pd.DataFrame([[1]], columns=pd.Index(["a"], name="n")),
    "index named like a column": pd.DataFrame({"a": [1]}, index=pd.Index([3], name="a")),
    "column named like an index": pd.DataFrame({"__index_level_0__": [1]}, index=[5]),
    "range index": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 9, 2, name="i")),
    "date index": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026", periods=2, freq="D")),
    "categorical index": pd.DataFrame({"a": [1, 2]}, index=pd.CategoricalIndex(["a", "b"])),
    "object index": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["a", None], dtype=object)),
    "empty": pd.DataFrame(),
    "empty columns": pd.DataFrame(
        {"a": pd.Series([], dtype="i4"), "b": pd.Series([], dtype="str")}
    ),
    "only an index": pd.DataFrame(index=[1, 2, 3]),
    "attrs": _with_attrs(),
    "no duplicates allowed": pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    "many rows": pd.DataFrame({"a": np.arange(3000), "s": [str(i) for i in range(3000)]}),
    "many columns": pd.DataFrame(np.arange(200).reshape(2, 100)),
}


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
@pytest.mark.parametrize("name", EXACT)
def test_a_frame_comes_back_exactly(name: str, format_: str, store: Any) -> None:
    """Values, dtypes, labels, index, frequency, attrs and flags."""
    frame = EXACT[name]
    again = store.again(frame, format_)
    assert difference(frame, again) is None
    pd.testing.assert_frame_equal(again, frame, check_exact=True, check_freq=True)


@pytest.mark.parametrize("name", EXACT)
def test_a_long_column_is_put_together_from_its_pieces(
    name: str, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly as well: here every column counts as long, and two rows are a piece."""
    monkeypatch.setattr(frames, "AT_ONCE", -1)
    monkeypatch.setattr(frames, "PIECE", 2)
    frame = EXACT[name]
    assert difference(frame, store.again(frame, "parquet")) is None


CELLS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    st.lists(st.floats(), min_size=3, max_size=3),
    st.lists(st.none() | st.text(), min_size=3, max_size=3),
    st.lists(st.none() | st.booleans(), min_size=3, max_size=3),
    st.lists(st.none() | st.binary(), min_size=3, max_size=3),
    st.lists(st.none() | st.integers() | st.text(), min_size=3, max_size=3),
    st.lists(st.dates(dt.date(1700, 1, 1)).map(np.datetime64), min_size=3, max_size=3),
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    columns=st.lists(
        st.tuples(st.text(st.characters(codec="utf-8")) | st.integers() | st.none(), CELLS),
        max_size=4,
    ),
    as_objects=st.booleans(),
)
def test_any_frame_comes_back_or_is_refused(columns: Any, as_objects: bool, store: Any) -> None:
    """Never anything in between: no value and no type changes silently."""
    dtype = object if as_objects else None
    series = [pd.Series(cells, dtype=dtype) for _, cells in columns]
    frame = pd.DataFrame(dict(enumerate(series)))
    frame.columns = pd.Index([label for label, _ in columns], dtype=object)
    try:
        packed = store.pack(frame, "parquet")
    except SerializationError as error:
        assert "column" in str(error)  # noqa: PT017  # either outcome is right
        return
    again = unpack(store.write(packed), trusted=False)
    assert difference(frame, again) is None


def test_parquet_is_readable_by_anybody(store: Any) -> None:
    """Another program's reader gives the same frame for plain data, index included."""
    frame = pd.DataFrame({"a": [1, 2], "s": ["x", None]}, index=pd.Index([5, 6], name="key"))
    source = store.save(frame)
    pd.testing.assert_frame_equal(pd.read_parquet(source.folder / "data.parquet"), frame)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (_objects("x", 1), r"column 's' holds objects \(int, str\)"),
        (_objects(decimal.Decimal("1.1"), decimal.Decimal("1.10")), "column 's' holds objects"),
        (_objects((1, 2)), "column 's' holds objects"),
        (_objects({"a": 1}, {"b": 1}), "column 's' holds objects"),
        (pd.DataFrame({"z": [1j]}), "column 'z' of the dtype complex128"),
        (pd.DataFrame({"sp": pd.arrays.SparseArray([0, 1])}), "column 'sp' of the dtype Sparse"),
        (
            pd.DataFrame(
                {"n": pd.arrays.FloatingArray(np.array([np.nan, 1.0]), np.array([False, True]))}
            ),
            "column 'n' .* NaN beside NA",
        ),
        (
            pd.DataFrame({"m": pd.Categorical(pd.Series([1, "a"], dtype=object))}),
            "column 'm' of the dtype category",
        ),
    ],
)
def test_what_parquet_cannot_hold_is_an_error_that_names_the_column(
    frame: Any, reason: str, store: Any
) -> None:
    """Asked for by name it is refused; left open, it goes to the next exact format."""
    with pytest.raises(SerializationError, match=reason):
        store.pack(frame, "parquet")
    with pytest.raises(SerializationError, match="format: pickle"):
        store.pack(frame, "parquet")
    pd.testing.assert_frame_equal(store.pickled(frame), frame)


def test_a_format_that_was_only_detected_is_no_wish(store: Any) -> None:
    """`Dataset` names parquet by itself; then the next exact format may still be taken."""
    mixed = _objects("x", 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = store.again(Dataset(mixed), trusted=True)
    assert [found.category for found in caught] == [PickleWarning]
    assert "column 's'" in str(caught[0].message)
    pd.testing.assert_frame_equal(again.data, mixed)
    assert again.format == "parquet"


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1, 2], name="x"),
        pd.Series(["a", None], name=("t", 1), index=["r", "s"]),
        pd.Series([], dtype="Int8"),
        pd.Series([1.5], index=pd.date_range("2026", periods=1, freq="D")),
        pd.Series(["x", None], dtype=object, name=3),
    ],
)
def test_a_series_comes_back_exactly(series: Any, store: Any) -> None:
    """With its name, whatever that is."""
    for format_ in (None, "arrow"):
        again = store.again(series, format_)
        assert type(again.name) is type(series.name)
        pd.testing.assert_series_equal(again, series, check_exact=True, check_freq=True)


def test_what_is_read_may_be_changed(store: Any) -> None:
    """No column is a read-only view of the file."""
    frame = pd.DataFrame({"a": [1, 2], "f": [0.5, 1.5], "t": pd.date_range("2026", periods=2)})
    for format_ in ("parquet", "arrow"):
        again = store.again(frame, format_)
        again.loc[0, "a"] = 7
        again["f"].to_numpy(copy=True)[0] = 1
        again.loc[1, "t"] = pd.NaT
        assert again["a"].tolist() == [7, 2]


def test_a_frame_is_not_copied_to_be_written(store: Any) -> None:
    """Numbers go to parquet from where they lie."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(2**19, 8)))
    size = int(frame.memory_usage().sum())
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    packed = store.pack(frame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 8
    assert pa.total_allocated_bytes() - before < size / 4
    assert difference(frame, unpack(store.write(packed), trusted=False)) is None


POLARS = {
    "plain": pl.DataFrame({"a": [1, None], "s": ["x", None], "n": [float("nan"), None]}),
    "categories": pl.DataFrame({"a": pl.Series(["x", "y"], dtype=pl.Categorical)}),
    "enum": pl.DataFrame({"a": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x"]))}),
    "times": pl.DataFrame(
        {
            "d": [dt.timedelta(1)],
            "t": [dt.time(1)],
            "z": pl.Series([dt.datetime(2026, 1, 1)]).dt.replace_time_zone("Europe/Berlin"),  # noqa: DTZ001
        }
    ),
    "nested": pl.DataFrame({"l": [[1]], "s": [{"a": 1}], "n": [None], "b": [b"x"]}),
    "array": pl.DataFrame({"a": pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2))}),
    "wide": pl.DataFrame({"a": pl.Series([2**100], dtype=pl.Int128)}),
    "decimal": pl.DataFrame({"a": [decimal.Decimal("1.50")]}),
    "empty": pl.DataFrame(),
    "no rows": pl.DataFrame(schema={"a": pl.Int8, "s": pl.String}),
}


@pytest.mark.parametrize("name", POLARS)
def test_a_polars_frame_comes_back_exactly(name: str, store: Any) -> None:
    """As parquet, and as Arrow IPC."""
    frame = POLARS[name]
    for format_ in ("parquet", "arrow"):
        again = store.again(frame, format_)
        assert type(again) is pl.DataFrame
        assert again.schema == frame.schema
        assert again.equals(frame)


def test_polars_series_and_queries_come_back_in_their_class(store: Any) -> None:
    """A lazy frame is computed straight into the file and is lazy again."""
    series = pl.Series("x", [1, None])
    again = store.again(series)
    assert type(again) is pl.Series
    assert again.name == "x"
    assert again.equals(series)
    query = POLARS["plain"].lazy().filter(pl.col("a") == 1)
    lazy = store.again(query)
    assert type(lazy) is pl.LazyFrame
    assert lazy.collect().equals(query.collect())


def test_polars_objects_are_refused_by_name_or_pickled(store: Any) -> None:
    """Neither parquet nor Arrow holds Python objects of any kind."""
    frame = pl.DataFrame({"a": [object()]})
    with pytest.raises(SerializationError, match="Object"):
        store.pack(frame, "parquet")
    with pytest.warns(PickleWarning):
        assert store.pack(frame).manifest.serializer == "cloudpickle"


TABLE = pa.table({"a": [1, None], "d": pa.array(["x", "y"]).dictionary_encode()})


@pytest.mark.parametrize(
    ("table", "serializer"),
    [
        (TABLE, "parquet"),
        (TABLE.replace_schema_metadata({"k": "v"}), "parquet"),
        (pa.table({"a": pa.array([1], pa.timestamp("s"))}), "arrow"),
        (pa.table({"a": pa.array([1, 2]).dictionary_encode()}), "arrow"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), "arrow"),
        (pa.table({}), "arrow"),
        (pa.table({"a": pa.array([], pa.int8())}), "parquet"),
    ],
)
def test_a_table_comes_back_exactly(table: Any, serializer: str, store: Any) -> None:
    """As parquet where that has all of its types, else as Arrow IPC."""
    assert store.save(table).manifest.serializer == serializer
    again = store.again(table)
    assert again.schema.equals(table.schema, check_metadata=True)
    assert again.equals(table)


def test_parquet_that_was_asked_for_names_what_it_cannot_hold(store: Any) -> None:
    """The message has the column, both types, and the format to take."""
    table = pa.table({"when": pa.array([1], pa.timestamp("s"))})
    with pytest.raises(SerializationError, match=r"'when' .*\[s\] .*\[ms\].*format: arrow"):
        store.pack(table, "parquet")


def test_batches_come_back_as_what_they_were(store: Any) -> None:
    """One batch, a reader, or a generator of them."""
    batch = TABLE.to_batches()[0]
    assert store.again(batch).equals(batch)
    reader = store.again(TABLE.to_reader())
    assert isinstance(reader, pa.RecordBatchReader)
    assert reader.read_all().equals(TABLE)
    again = store.again(part for part in [batch, batch])
    assert [part.equals(batch) for part in again] == [True, True]


def test_a_generator_is_never_whole_in_memory(store: Any) -> None:
    """Each batch is made, written and let go."""
    alive: list[int] = []

    def batches() -> Iterator[Any]:
        for _ in range(20):
            alive.append(pa.total_allocated_bytes())
            yield pa.record_batch({"a": pa.array(np.zeros(2**17))})

    before = pa.total_allocated_bytes()
    source = store.save(batches())
    assert max(alive) - before < 5 * 2**20
    again = cast("Iterable[Any]", unpack(source, trusted=False))
    assert sum(part.num_rows for part in again) == 20 * 2**17


def test_batches_that_are_gone_are_not_stored_as_nothing(store: Any) -> None:
    """A second attempt to write them says so."""
    packed = store.pack(part for part in TABLE.to_batches())
    store.write(packed)
    with pytest.raises(SerializationError, match="cannot be read again"):
        store.write(packed)


def test_other_generators_are_refused(store: Any) -> None:
    """Pickle could not hold them either."""
    with pytest.raises(SerializationError, match="yields int"):
        store.pack(number for number in [1, 2])
    with pytest.raises(SerializationError, match="yielded nothing"):
        store.pack(letter for letter in "")


TEXT_FORMATS = ("csv", "json", "jsonl")

AS_TEXT = {
    "numbers": pd.DataFrame({"a": [2**62 + 1, -1], "f": [0.1, -0.0], "b": [True, False]}),
    "floats": pd.DataFrame({"f": [float("nan"), float("inf"), 5e-324, 1 / 3]}),
    "text": pd.DataFrame({"s": ["123", "", None, 'a"b,c\nd', "nan", "NULL", " x ", "ä"]}),
    "object text": _objects("x", None, ""),
    "dates": pd.DataFrame({"t": pd.date_range("2026", periods=2, freq="h")}),
    "nullable": pd.DataFrame({"i": pd.array([2**62 + 1, None], dtype="Int64")}),
    "categories": pd.DataFrame({"c": pd.Categorical(["b", None], categories=["z", "b"])}),
    "index": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key")),
    "odd labels": pd.DataFrame([[1, 2, 3]], columns=["a", "a", None]),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="i4")}),
    "empty": pd.DataFrame(),
}


@pytest.mark.parametrize("format_", TEXT_FORMATS)
@pytest.mark.parametrize("name", AS_TEXT)
def test_text_that_was_asked_for_is_exact_too(name: str, format_: str, store: Any) -> None:
    """The types lie beside the text, so that "123" stays text and 123 a number."""
    frame = AS_TEXT[name]
    again = store.again(frame, format_)
    assert difference(frame, again) is None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cells=st.lists(st.none() | st.text(st.characters(codec="utf-8")), min_size=1, max_size=4),
    numbers=st.floats(),
    format_=st.sampled_from(TEXT_FORMATS),
)
def test_any_text_survives_or_is_refused(
    cells: Any, numbers: float, format_: str, store: Any
) -> None:
    """Separators, quotes, line ends and empty strings are data."""
    frame = pd.DataFrame({"s": cells, "f": [numbers] * len(cells)})
    try:
        again = store.again(frame, format_)
    except SerializationError as error:
        assert "column" in str(error)  # noqa: PT017  # either outcome is right
        return
    assert difference(frame, again) is None


def test_csv_is_plain_csv(store: Any) -> None:
    """Anybody reads it."""
    source = store.save(pd.DataFrame({"a": [1, 2], "s": ["x", None]}), "csv")
    assert (source.folder / "data.csv").read_text() == '"a","s"\n1,"x"\n2,\n'


def test_what_text_cannot_hold_is_refused_by_name(store: Any) -> None:
    """With the format to take instead."""
    for value in (
        pd.DataFrame({"l": [[1], [2]]}),
        pl.DataFrame({"l": [[1], [2]]}),
        pa.table({"l": [[1], [2]]}),
    ):
        with pytest.raises(SerializationError, match=r"csv .*column 'l'.*format: parquet"):
            store.save(value, "csv")


def test_polars_and_arrow_have_text_as_well(store: Any) -> None:
    """In the same three formats."""
    frame = POLARS["plain"].with_columns(pl.col("s").cast(pl.Categorical).alias("c"))
    table = pa.table({"a": [1, None], "s": ["", None], "f": [float("nan"), 1.5]})
    for format_ in TEXT_FORMATS:
        again = store.again(frame, format_)
        assert again.schema == frame.schema
        assert again.equals(frame)
        assert store.again(table, format_).schema.equals(table.schema)
