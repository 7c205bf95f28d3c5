"""The built-in formats do what every serializer has to do."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flowyml.serialization.arrays import Npy
from flowyml.serialization.contract import Serializer
from flowyml.serialization.pickles import Pickle
from flowyml.serialization.plain import Bytes, Json, Text
from flowyml.testing import SerializerContract

np = pytest.importorskip("numpy")


class TestJson(SerializerContract):
    @pytest.fixture
    def serializer(self) -> Serializer:
        return Json()

    @pytest.fixture
    def values(self) -> Sequence[object]:
        dates = [date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)]
        return [{"a": [1, 2.5, None, "ü"], "b": (1, {2})}, [], math.inf, dates, OrderedDict(a=1)]


class TestText(SerializerContract):
    skips: ClassVar = {"test_rubbish_is_no_value": "most bytes are some text"}

    @pytest.fixture
    def serializer(self) -> Serializer:
        return Text()

    @pytest.fixture
    def values(self) -> Sequence[object]:
        return ["", "a\r\nb\n", "ü 模型 🔥\0"]


class TestBytes(SerializerContract):
    skips: ClassVar = {"test_rubbish_is_no_value": "all bytes are bytes"}

    @pytest.fixture
    def serializer(self) -> Serializer:
        return Bytes()

    @pytest.fixture
    def values(self) -> Sequence[object]:
        return [b"", bytes(range(256))]


class TestArrays(SerializerContract):
    @pytest.fixture
    def serializer(self) -> Serializer:
        return Npy()

    @pytest.fixture
    def values(self) -> Sequence[object]:
        return [np.arange(6.0).reshape(2, 3), np.zeros((0, 3), dtype="int8"), np.array("text")]

    def same(self, one: Any, other: Any) -> bool:
        return bool(one.dtype == other.dtype and np.array_equal(one, other))


class TestPickle(SerializerContract):
    holds_anything = True

    @pytest.fixture
    def serializer(self) -> Serializer:
        return Pickle()

    @pytest.fixture
    def values(self) -> Sequence[object]:
        return [Fraction(1, 3), {"a": Path("x")}, [complex(1, 2)]]
