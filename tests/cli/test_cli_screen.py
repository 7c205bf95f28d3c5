"""Nothing that comes from outside can act on the screen."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from tests.cli.conftest import Ask
from tests.metadata.metadata_samples import a_run, an_artifact

from flowyml.cli.cells import Column, Object
from flowyml.cli.columns import human_duration, human_size, prose, text
from flowyml.cli.drawing import draw
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


WIDE_ROWS = [
    {"run": "20261128-140613-c5524f", "pipeline": "nightly", "why": "the first run of the day"},
    {"run": "20261128-142228-678de9", "pipeline": "nightly", "why": "somebody wanted to know"},
]
WIDE = [text("run", "run"), text("pipeline", "pipeline", is_spare=True), prose("why", "why")]


def drawn(columns: Sequence[Column], objects: Sequence[Object], width: int) -> list[str] | None:
    """Return the lines of a table in a terminal of a width; None where there is no room for one."""
    written = io.StringIO()
    rows = [[column.show(item) for column in columns] for item in objects]
    has_room = draw(Console(file=written, width=width), columns, rows)
    assert has_room or written.getvalue() == ""
    return [line.rstrip() for line in written.getvalue().splitlines()] if has_room else None


def test_a_table_with_room_for_all_is_one_line_a_row() -> None:
    """Every column is as wide as what is in it."""
    assert drawn(WIDE, WIDE_ROWS, 58) == [
        "run                     pipeline  why",
        "─" * 58,
        "20261128-140613-c5524f  nightly   the first run of the day",
        "20261128-142228-678de9  nightly   somebody wanted to know",
    ]


def test_a_narrow_table_wraps_texts_between_their_words() -> None:
    """Before any column is left out."""
    assert drawn(WIDE, WIDE_ROWS, 48) == [
        "run                     pipeline  why",
        "─" * 48,
        "20261128-140613-c5524f  nightly   the first run",
        "                                  of the day",
        "20261128-142228-678de9  nightly   somebody",
        "                                  wanted to know",
    ]


def test_a_narrower_table_leaves_out_what_is_spare() -> None:
    """And says so."""
    assert drawn(WIDE, WIDE_ROWS, 40) == [
        "run                     why",
        "─" * 40,
        "20261128-140613-c5524f  the first run of",
        "                        the day",
        "20261128-142228-678de9  somebody wanted",
        "                        to know",
        "(no room for: pipeline)",
    ]


def test_where_there_is_no_room_no_table_is_drawn() -> None:
    """What is not spare is shown in another way, not in pieces."""
    assert drawn(WIDE, WIDE_ROWS, 35) is None


CELLS = st.text(st.sampled_from("ab /界"), max_size=12)


@example(rows=[("", "aaaaaa/界界界 ", ""), ("aaaaaaa界界界", "", "aaaaaaa界界界")], width=43)
@example(rows=[("aaa", " aaaaaaaaaa界", "a界界")], width=24)
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4), width=st.integers(1, 50))
def test_nothing_is_broken_in_two(rows: list[tuple[str, str, str]], width: int) -> None:
    """No cell that names a thing, and no word of a text; and no line is too long."""
    objects = [dict(zip("xyz", row, strict=True)) for row in rows]
    columns = [text("x", "x"), prose("y", "y"), text("z", "z", is_spare=True)]

    lines = drawn(columns, objects, width)

    shown = "\n".join(lines or [])
    whole = [(columns[0].show(item), columns[1].show(item).split()) for item in objects]
    for name, words in whole if lines is not None else ():
        assert name.rstrip() in shown
        assert all(word in shown for word in words)
    assert all(cell_len(line) <= width for line in lines or () if not line.startswith("(no "))


@pytest.mark.parametrize("width", [60, 80, 200])
def test_what_is_shown_in_a_terminal_can_be_copied(
    terminal: Ask, metadata: MetadataStore, width: int
) -> None:
    """In a terminal of any width: ids, digests and URIs stand in one piece."""
    metadata.add_run(a_run(run_id="20261128-140613-c5524f", pipeline="nightly"))
    made = an_artifact(run_id="20261128-140613-c5524f", name="a-model-with-a-long-name")
    metadata.add_artifact(made, [])

    listed = terminal("runs", "list", COLUMNS=str(width)).out
    artifacts = terminal("artifact", "list", COLUMNS=str(width)).out
    run = terminal("runs", "show", "20261128", COLUMNS=str(width)).out

    assert "20261128-140613-c5524f" in listed
    assert f"20261128-140613-c5524f/{made.output}" in artifacts
    assert "a-model-with-a-long-name" in artifacts
    assert "a-model-with-a-long-name" in run


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
