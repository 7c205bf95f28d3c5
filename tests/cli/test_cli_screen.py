"""Nothing that comes from outside can act on the screen."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.conftest import Ask
from tests.metadata.metadata_samples import a_run, an_artifact

from flowyml.cli.columns import human_duration, human_size, text
from flowyml.cli.screen import BLOCK, listing, to_json
from flowyml.metadata.store import MetadataStore
from flowyml.stacks.text import printable

EVIL = "evil\x1b[31m\x07\r\nRUN  faked\u202e"


@pytest.fixture
def evil(metadata: MetadataStore) -> None:
    """Give an artifact and a run whose names want to act on the screen."""
    metadata.add_run(a_run(error=EVIL, pipeline=EVIL))
    metadata.add_artifact(an_artifact(name=EVIL, manifest={"metadata": {EVIL: EVIL}}), [])


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "list"],
        ["runs", "show", "run-1"],
        ["artifact", "list"],
        ["artifact", "show", "run-1/model"],
        ["artifact", "lineage", "run-1/model"],
    ],
)
def test_a_name_cannot_act_on_the_screen(flowyml: Ask, arguments: list[str]) -> None:
    """Control characters are shown as escapes; JSON escapes them by itself."""
    answer = flowyml(*arguments)

    assert answer.code == 0
    assert "\\x1b[31m" in answer.out
    assert all(char.isprintable() or char == "\n" for char in answer.out)
    flowyml(*arguments, "-o", "json").objects  # noqa: B018  # it parses


@pytest.mark.usefixtures("evil")
def test_an_error_cannot_act_on_the_screen(flowyml: Ask) -> None:
    """What the user gave is shown in the message, escaped."""
    answer = flowyml("runs", "show", "\x1b[2J")

    assert answer.code == 2
    assert "\x1b" not in answer.err


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_a_list_of_any_length_is_one_list(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A long one is printed in blocks, which neither its JSON nor its table shows."""
    objects = [{"id": number} for number in range(count)]

    listing(iter(objects), [text("id", "id")], "json", empty="None.")
    as_json = capsys.readouterr().out
    listing(iter(objects), [text("id", "id")], "table", empty="None.")
    as_table = capsys.readouterr().out.split()

    assert as_json == json.dumps(objects, indent=2) + "\n"
    assert as_table == (["ID", *map(str, range(count))] if count else ["None."])


def test_columns_of_a_long_table_only_get_wider(capsys: pytest.CaptureFixture[str]) -> None:
    """What comes later stands below what came before, as far as that is possible."""
    names = ["long name", *["a"] * BLOCK]

    listing(
        [{"a": name, "b": 1} for name in names], [text("a", "a"), text("b", "b")], "table", empty=""
    )

    lines = capsys.readouterr().out.splitlines()
    assert lines == ["A          B", "long name  1", *["a          1"] * BLOCK]


@given(st.text())
def test_printable_text_is_printable(text: str) -> None:
    """Whatever it is, and what was printable stays as it is."""
    written = printable(text)

    assert written.isprintable()
    assert "".join(char for char in text if char.isprintable()) == text or written != text


def test_json_holds_what_json_can_hold() -> None:
    """A time is written as ISO 8601, a number that JSON has not as text."""
    moment = datetime(2026, 11, 25, 7, 30, tzinfo=UTC)
    written = to_json([{"at": moment, "loss": math.nan, "best": -math.inf, "name": "sch\u00f6n"}])

    def refuse(constant: str) -> None:
        pytest.fail(constant)

    assert json.loads(written, parse_constant=refuse) == [
        {
            "at": "2026-11-25T07:30:00+00:00",
            "loss": "NaN",
            "best": "-Infinity",
            "name": "sch\u00f6n",
        }
    ]


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_sizes_have_units(size: int, said: str) -> None:
    """Those that computers count in."""
    assert human_size(size) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.00 s"),
        (59.4, "59.40 s"),
        (60, "1 min 0 s"),
        (3599.7, "1 h 0 min"),
        (7322, "2 h 2 min"),
    ],
)
def test_durations_are_short(seconds: float, said: str) -> None:
    """As people say them."""
    assert human_duration(seconds) == said
