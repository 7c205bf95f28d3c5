"""Formats with one mistake each, and the test of the suite that finds it."""

# mypy: ignore-errors

from __future__ import annotations

import json
import time

import pytest
from tests.testing.broken.table import suites

from flowyml.errors import SerializationError
from flowyml.serialization.plain import Json as Sound
from flowyml.testing import SerializerContract


class Unnamed(Sound):
    name = "my format"


class Converting(Sound):
    def read(self, source, *, trusted):
        return [*super().read(source, trusted=trusted).items()]


class Once(Sound):
    def writer(self, value):
        writes = iter([super().writer(value)])
        return lambda sink: next(writes)(sink)


class Dated(Sound):
    def writer(self, value):
        write = super().writer(value)

        def dated(sink):
            write(sink)
            with sink.open("when") as file:
                file.write(str(time.time_ns()).encode())

        return dated


class Greedy(Sound):
    def writer(self, value):
        return super().writer(json.loads(json.dumps(value, default=str)))


class Raw(Sound):
    def read(self, source, *, trusted):
        try:
            return super().read(source, trusted=trusted)
        except SerializationError as error:
            raise ValueError(str(error)) from None


class Unsafe(Sound):
    runs_code = True


class Base(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return self.make()

    @pytest.fixture
    def values(self):
        return [{"a": 1}, {"b": [1.5, None]}]


TRIED_ELSEWHERE = True

BROKEN = {
    "test_it_names_itself": Unnamed,
    "test_values_come_back": Converting,
    "test_a_value_is_written_as_often_as_asked": Once,
    "test_the_same_value_has_the_same_digest": Dated,
    "test_strangers_are_refused": Greedy,
    "test_rubbish_is_no_value": Raw,
    "test_code_is_not_run_unasked": Unsafe,
}

globals().update(suites(Base, BROKEN, Sound))
