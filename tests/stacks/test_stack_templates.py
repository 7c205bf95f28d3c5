"""No value leads out of its segment of a path, and no two values become the same segment."""

from __future__ import annotations

import ntpath
import re
import sys
from itertools import combinations
from pathlib import PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowyml.stacks.templates import PathTemplate, safe_segment

HOSTILE = [
    "",
    ".",
    "..",
    "...",
    " ",
    "../../x",
    "..\\..\\x",
    "/etc/passwd",
    "//host/share",
    "C:\\Windows",
    "c:",
    "~",
    "~2e",
    "~~",
    "%2e%2e",
    "%2e%2e%2fx",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\r\nb",
    "name\u202egnp.exe",
    "\u2025",  # two dot leader
    "\uff0e\uff0e",  # full-width dots
    "\u2215etc",  # division slash
    "\udc80",  # half of a surrogate pair
    "caf\u00e9",
    "cafe\u0301",  # the same to look at
    "\u0430dmin",  # a Cyrillic letter
    "admin",
    "CON",
    "con",
    "nul.txt",
    "COM1",
    "lpt9.json",
    "x.",
    "x ",
    ".x",
    "artifact.json",
    ".staging",
    "{run_id}",
    "{0.__class__}",
    "x" * 300,
    "x" * 299 + "y",
    "\u00e9" * 300,
    "$(rm -rf)",
    "*",
    "?",
    "a:b",
    'a"b',
    "<x>",
    "a|b",
]

SEGMENT = re.compile(r"[A-Za-z0-9_.~-]{1,120}")
"""Letters that every file system and every object store takes as they are."""


def is_reserved(segment: str) -> bool:
    """Say whether Windows keeps the name for itself."""
    if sys.version_info >= (3, 13):
        return ntpath.isreserved(segment)
    return PureWindowsPath(segment).is_reserved()


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_hostile_value_stays_one_harmless_segment(value: str) -> None:
    """On every file system; `{run_id}` as a value is text, not a placeholder."""
    segment = safe_segment(value)

    assert SEGMENT.fullmatch(segment)
    assert segment.strip(".") == segment
    assert not is_reserved(segment)
    path = PathTemplate("models/{name}/{version}").render({"name": value, "version": value})
    assert path == f"models/{segment}/{segment}"


def test_no_two_of_them_meet() -> None:
    """Those that look alike, are encoded, or differ only far behind, either."""
    meeting = [
        (one, other)
        for one, other in combinations(HOSTILE, 2)
        if safe_segment(one) == safe_segment(other)
    ]

    assert meeting == []


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_different_values_never_become_the_same_segment(one: str, other: str) -> None:
    """And each is one segment."""
    first, second = safe_segment(one), safe_segment(other)

    assert (first == second) == (one == other)
    assert SEGMENT.fullmatch(first)
    assert first.strip(".") == first


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "a path template is a text"),
        ("/models/{name}", "is absolute"),
        ("models//{name}", "an empty segment"),
        ("models/{name}/", "an empty segment"),
        ("../{name}", "leads out of the store"),
        ("models/./{name}", "leads out of the store"),
        ("models/.. /{name}", "leads out of the store"),
        ("{nmae}", "did you mean 'name'"),
        ("{name.__class__}", "unknown placeholder"),
        ("{name[0]}", "unknown placeholder"),
        ("{name!r}", "unknown placeholder"),
        ("{name:>9}", "unknown placeholder"),
        ("{}", "unknown placeholder"),
        ("{name", "is not portable"),
        ("a\\{name}", "is not portable"),
        ("a\0/{name}", "is not portable"),
        ("a\n/{name}", "is not portable"),
        ("c:/{name}", "is not portable"),
        ("%2e%2e/{name}", "is not portable"),
    ],
)
def test_a_template_that_could_leave_or_reach_further_is_refused(template: str, said: str) -> None:
    """When the file is read, with what is wrong about it."""
    with pytest.raises(ValueError, match=re.escape(said)):
        PathTemplate(template)
