"""JSON gives back exactly what was put in."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowyml.errors import SerializationError
from flowyml.serialization.tagged import DEEPEST, TAG, Decoder, decode, encode

pydantic = pytest.importorskip("pydantic")


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.StrEnum):
    FAST = "fast"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: object = None


@dataclasses.dataclass
class Settings:
    rate: float
    layers: tuple[int, ...] = ()
    calls: ClassVar[int] = 0

    def __post_init__(self) -> None:
        type(self).calls += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    when: datetime


def _doubled(value: float) -> float:
    return value * 2


@attrs.frozen
class Scaler:
    mean: float = attrs.field(converter=_doubled)
    _hidden: int = 0
    count: int = attrs.field(init=False, default=7)


@attrs.define(slots=False)
class Loose:
    a: int = 0


class Config(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    model_config = pydantic.ConfigDict(extra="allow")
    name: str
    inner: Settings
    tags: frozenset[str] = frozenset()
    _secret: int = pydantic.PrivateAttr(default=3)


class Odd(dict[str, int]):
    pass


@dataclasses.dataclass
class Failure(Exception):  # noqa: N818
    code: int


ZONES = st.one_of(
    st.none(),
    st.just(UTC),
    st.timezones(),
    st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))),
    st.just(timezone(timedelta(hours=1), "house time")),
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers().map(lambda value: value**50),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters(codec=None)),  # surrogates as well
    st.sampled_from(["123", "null", "\ud83d\ude00", "\x00", "\u2028", TAG, '{"$type": "tuple"}']),
    st.binary(),
    st.binary().map(bytearray),
    st.dates(),
    st.times(timezones=ZONES),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.timedeltas(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.sampled_from([*Colour, *Level, *Mode, Rights.READ, Rights.READ | Rights.WRITE, Rights(0)]),
    st.just(Path("a/b")),
    st.just(PurePosixPath("/x")),
)


def _hashable(value: object) -> bool:
    unhashable = isinstance(value, Decimal) and value.is_snan()
    return not unhashable and not isinstance(value, bytearray)


HASHABLE = SCALARS.filter(_hashable)

KEYS = st.one_of(st.text(), st.just(TAG), HASHABLE)

VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(HASHABLE, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4).map(collections.OrderedDict),
        st.builds(Point, st.integers(), inner),
        st.builds(Settings, st.floats(), st.tuples(st.integers())),
    ),
    max_leaves=12,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_every_value_comes_back_in_value_and_type(value: object, store: Any) -> None:
    """What JSON takes, JSON gives back, down to NaN, zones, surrogates and odd keys."""
    text = json.dumps(encode(value), ensure_ascii=False, allow_nan=False).encode()
    assert store.same(Decoder().loads(text), value)
    assert store.same(decode(json.loads(text)), value)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats(-1, 1) | st.text("ab$type{}\"'"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("$type"), inner),
    )
)
def test_what_looks_like_a_tag_is_data(value: object, store: Any) -> None:
    """No dict of a user's is ever taken for one of ours."""
    assert store.same(decode(encode(value)), value)
    doubled = encode(value)
    assert store.same(decode(encode(doubled)), doubled)


def test_plain_values_are_plain_json(store: Any) -> None:
    """A dict of numbers and text is just that JSON, readable by anybody."""
    value = {"accuracy": 0.95, "größe": [1, -2, None, True], "big": 2**63}
    source = store.save(value)
    content = (source.folder / "data.json").read_text("utf-8")
    assert content == '{"accuracy": 0.95, "größe": [1, -2, null, true], "big": 9223372036854775808}'
    assert source.manifest.serializer == "json"


HOSTILE = [
    {"$type": "tuple", "items": [1]},
    {1: "a", "1": "b", None: "c", (1, 2): "d", False: 1},
    -0.0,
    10**5000,
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    datetime(2026, 10, 25, 2, 30, fold=1),  # noqa: DTZ001
    datetime(1, 1, 1, tzinfo=timezone(timedelta(seconds=-3601, microseconds=5))),
    time(23, 59, tzinfo=UTC),
    date.min,
    Decimal("sNaN"),
    Decimal("1.10"),
    Fraction(10**5000, 3),
    UUID(int=5),
    complex(-0.0, float("nan")),
    "\ud83d" + "\ude00",
    {"\ud800": 1},
    [[[[]]], (), {}, set(), frozenset({frozenset()})],
    collections.OrderedDict(b=1, a=2),
    Settings(float("inf"), (1,)),
    Frozen(datetime(2026, 1, 1, tzinfo=UTC)),
    Scaler(1.5, 2),
    Point(1, (2,)),
    [Colour.RED, Level.LOW, Mode.FAST, Rights.READ | Rights.WRITE],
]


@pytest.mark.parametrize("position", range(len(HOSTILE)))
def test_hostile_values_survive_a_store(position: int, store: Any) -> None:
    """Each comes back from its file equal in value and type."""
    value = HOSTILE[position]
    source = store.save(value)
    assert source.manifest.serializer in {"json", "text"}
    assert store.same(store.again(value), value)


def test_pydantic_models_come_back_whole(store: Any) -> None:
    """Fields, extra fields, private ones, and which of them were set."""
    value = Config(name="a", inner=Settings(0.5), extra=(1, 2))
    value._secret = 9
    again = store.again(value)
    assert again == value
    assert type(again.extra) is tuple
    assert again.model_fields_set == {"name", "inner", "extra"}
    assert again._secret == 9


def test_objects_come_back_without_their_constructor(store: Any) -> None:
    """No converter changes what was stored, and nothing is counted twice."""
    value = {"s": Settings(1.0), "c": Scaler(1.5)}
    calls = Settings.calls
    again = store.again(value)
    assert again == value
    assert again["c"].mean == 3.0
    assert Settings.calls == calls


def test_equal_sets_give_equal_bytes() -> None:
    """The order of a set, which differs between processes, is not stored."""
    one, other = {f"k{i}" for i in range(50)}, {f"k{i}" for i in reversed(range(50))}
    assert json.dumps(encode(one)) == json.dumps(encode(other))


def _local() -> object:
    @dataclasses.dataclass
    class Local:
        a: int

    return Local(1)


def _with_extra() -> object:
    loose = Loose(1)
    loose.more = 2  # type: ignore[attr-defined]
    return loose


class _Zone(tzinfo):
    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, dt: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:
        return "zone"


def _cyclic() -> object:
    items: list[object] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": [1, object()]}, r"\['a'\]\[1\]: a builtins.object"),
        (Odd(a=1), "Odd has no exact form"),
        ({"f": print}, "builtin_function_or_method"),
        (_local(), "not found in a module under its own name"),
        (_with_extra(), "carries 'more' besides its fields"),
        (Failure(3), "no exact form"),
        (datetime(2026, 1, 1, tzinfo=_Zone()), "time zone of class _Zone"),
        (_cyclic(), f"nested more than {DEEPEST} deep"),
        ({"k": collections.defaultdict(list)}, "defaultdict"),
        (True.__class__, "type"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(value: object, reason: str) -> None:
    """The message leads to the part and names its class."""
    with pytest.raises(SerializationError, match=reason):
        encode(value)


def test_what_json_cannot_hold_goes_to_cloudpickle_with_one_warning(store: Any) -> None:
    """An automatic choice moves on to the next exact format and says so."""
    assert store.pickled(Odd(a=1)) == Odd(a=1)
    cyclic = store.pickled(_cyclic())
    assert cyclic[0] is cyclic
    assert dataclasses.asdict(store.pickled(_local())) == {"a": 1}


def test_a_renamed_class_is_an_error_that_names_it(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value of a class that is gone is never read as something else."""
    encoded = encode(Settings(1.0))
    monkeypatch.delattr(sys.modules[__name__], "Settings")
    with pytest.raises(SerializationError, match="has no class 'Settings' any more"):
        decode(encoded)


def test_json_lines_hold_a_list(store: Any) -> None:
    """One element a line, each exact; a line separator inside a text ends no line."""
    value = [{"a": (1, 2)}, "x\u2028y\r", None, [float("nan")]]
    source = store.save(value, "jsonl")
    assert (source.folder / "data.jsonl").read_bytes().count(b"\n") == 4
    assert store.same(store.again(value, "jsonl"), value)
    assert store.again([], "jsonl") == []
    with pytest.raises(SerializationError, match=r"no format 'jsonl' for a builtins\.dict"):
        store.save({"a": 1}, "jsonl")


@pytest.mark.parametrize("value", ["", "123", "ä\r\n\x00", "{}", "a\u2028"])
def test_text_is_stored_as_it_is(value: str, store: Any) -> None:
    """A string is its own file, without any translation of line ends."""
    source = store.save(value)
    assert source.manifest.serializer == "text"
    assert (source.folder / "data.txt").read_bytes() == value.encode()
    assert store.same(store.again(value), value)


def test_text_that_is_not_unicode_falls_to_json(store: Any) -> None:
    """A lone surrogate has no UTF-8, but it has an exact form."""
    assert store.save("\ud800").manifest.serializer == "json"
    assert store.again("\ud800") == "\ud800"


@pytest.mark.parametrize("value", [b"", b'{"a": 1}', b"\x80\x05K\x01.", bytes(range(256))])
def test_bytes_are_stored_as_they_are(value: bytes, store: Any) -> None:
    """Bytes that look like JSON or pickle are bytes."""
    source = store.save(value)
    assert source.manifest.serializer == "bytes"
    assert (source.folder / "data.bin").read_bytes() == value
    assert store.same(store.again(value), value)
