"""``--param`` reads values as YAML 1.2 does."""

from __future__ import annotations

import math
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flowyml.cli.parameters import parse_parameters, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-3", -3),
        ("0x1f", 31),
        ("0o17", 15),
        ("0.01", 0.01),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", ""),
        ("yes", "yes"),
        ("adam", "adam"),
        ("  two words ", "  two words "),
        ("a: b", "a: b"),
        ("2026-11-25", "2026-11-25"),
        ("1_000", "1_000"),
        ("# no comment", "# no comment"),
        ('"5"', "5"),
        ("'true'", "true"),
        ("[1, two, 3.0]", [1, "two", 3.0]),
        ("{depth: 3, name: deep}", {"depth": 3, "name": "deep"}),
        ('{"a": [true, null]}', {"a": [True, None]}),
        ("http://host:1/x?a=b", "http://host:1/x?a=b"),
    ],
)
def test_a_value_is_what_yaml_says(text: str, value: Any) -> None:
    """Numbers, bools and null are themselves, brackets are collections, the rest is text."""
    parsed = parse_value(text, "key")

    assert parsed == value
    assert type(parsed) is type(value)


def test_numbers_that_json_has_not() -> None:
    """Infinity and not-a-number are written as YAML writes them."""
    assert parse_value("-.inf", "key") == -math.inf
    assert math.isnan(parse_value(".nan", "key"))


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_a_scalar_that_yaml_wrote_comes_back(value: Any) -> None:
    """What ruamel reads from Python's own spelling, we read as well."""
    text = "null" if value is None else str(value).lower().replace("inf", ".inf")
    expected = YAML(typ="safe", pure=True).load(text)

    assert parse_value(text, "key") == expected == value


def test_a_number_too_long_to_read_is_text() -> None:
    """Nobody means a number of ten thousand digits."""
    assert parse_value("9" * 10_000, "key") == "9" * 10_000


def test_parameters_are_collected() -> None:
    """The first equals sign ends the key; the value may hold more."""
    assert parse_parameters(["lr=0.1", "query=a=b"]) == {"lr": 0.1, "query": "a=b"}


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        (["lr"], "is not key=value"),
        (["=1"], "is not key=value"),
        (["two words=1"], "is not key=value"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a=[1, 2"], "the value of 'a' is neither YAML nor JSON"),
        (["a={b: c: d}"], "the value of 'a' is neither YAML nor JSON"),
    ],
)
def test_what_is_no_parameter_is_refused(given_: list[str], says: str) -> None:
    """The message shows what was given, or names the key."""
    with pytest.raises(click.BadParameter, match=says.replace("[", r"\[")):
        parse_parameters(given_)
