"""The benchmarks as a program: what is measured, what is written, and how it exits."""

from __future__ import annotations

import os
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from benchmarks.figures import Figure, Line, Section, Table
from benchmarks.processes import report_of
from benchmarks.running import SECTIONS, run


def _section(value: float) -> Section:
    return Section("Tea", (Figure("a cup", value, "ms", 10, "a kettle", 1.0),))


def _broken(_folder: Path) -> Section:
    message = "no water | no tea"
    raise RuntimeError(message)


def test_a_missed_bound_fails_where_it_is_checked() -> None:
    """A ratio above its bound is exit code 1 with ``--check``."""
    assert run(["--check"], {"tea": lambda _: _section(11)}) == 1


def test_a_missed_bound_is_only_shown_where_it_is_not_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without ``--check`` it is a word in the table."""
    assert run([], {"tea": lambda _: _section(11)}) == 0
    assert "| a cup | 11 ms | 10 ms, a kettle | 1.10 | ≤ 1 **missed** |" in capsys.readouterr().out


def test_kept_bounds_pass_the_check() -> None:
    """Exit code 0 says that every bound holds."""
    assert run(["--check"], {"tea": lambda _: _section(9)}) == 0


def _tables(value: float) -> Section:
    """Return a section with a table whose lines have other columns, and one bound on a value."""
    cup = Line(
        "a cup",
        (
            Figure("time", 12, "ms"),
            Figure("of a kettle", 12, "ms", 10, "a kettle", 1.3),
            Figure("water", value, "ml", bound=200),
        ),
    )
    pot = Line("a pot", (Figure("time", 90, "ms"), Figure("tea", 7, "g")))
    return Section("Tea", (), tables=(Table("Green", (cup, pot)),))


def test_a_table_has_a_line_for_each_thing_and_a_column_for_each_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is compared shows its ratio, anything else its value, and what is missing nothing."""
    assert run(["--check"], {"tea": lambda _: _tables(150)}) == 0
    printed = capsys.readouterr().out
    assert "## Tea\n\n### Green\n\n| what | time | of a kettle | water | tea |\n" in printed
    assert "\n| a cup | 12 ms | 1.20, ≤ 1.3 | 150 ml, ≤ 200 |  |\n" in printed
    assert "\n| a pot | 90 ms |  |  | 7 g |\n" in printed


def test_a_missed_bound_in_a_table_fails_where_it_is_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where there is nothing to compare with, the bound is one of the value itself."""
    assert run(["--check"], {"tea": lambda _: _tables(250)}) == 1
    assert "250 ml, ≤ 200 **missed**" in capsys.readouterr().out


def test_a_section_that_fails_is_a_line_and_the_others_are_measured(tmp_path: Path) -> None:
    """The page has the reason beside what was measured, and the exit code is 1."""
    file = tmp_path / "page.md"
    assert run(["--write", str(file)], {"water": _broken, "tea": lambda _: _section(9)}) == 1
    text = file.read_text(encoding="utf-8")
    assert "| **failed** | RuntimeError: no water / no tea |" in text
    assert "| a cup | 9 ms |" in text


def test_only_what_is_named_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """``--only`` leaves the other sections alone."""
    assert run(["--only", "tea"], {"water": _broken, "tea": lambda _: _section(9)}) == 0
    assert "## Tea" in capsys.readouterr().out


def test_the_page_begins_with_the_machine_and_how_to_read_it(tmp_path: Path) -> None:
    """Ratios of another machine are only of use to who knows what they compare."""
    file = tmp_path / "page.md"
    run(["--write", str(file)], {"tea": lambda _: _section(9)})
    head = file.read_text(encoding="utf-8").partition("## Tea")[0]
    assert head.startswith("# Performance")
    assert "A line reads" in head
    assert "Python 3." in head


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_can_be_measured(name: str) -> None:
    """Its module is there, and measures; to run it takes minutes."""
    assert callable(import_module(f"benchmarks.{name}").measure)


def test_a_program_that_is_given_up_takes_its_servers_along(tmp_path: Path) -> None:
    """What it started would go on using the processors that the next one is measured on."""
    pipe = tmp_path / "pipe"
    program = tmp_path / "program.py"
    os.mkfifo(pipe)
    program.write_text(
        "import subprocess, sys, time\n"
        f"with open({str(pipe)!r}, 'w') as end:\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=end)\n"
        "time.sleep(600)\n"
    )
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    with pytest.raises(subprocess.TimeoutExpired):
        report_of(str(program), folder=tmp_path, patience=3)

    os.set_blocking(reading, True)
    with os.fdopen(reading) as end:
        assert end.read() == ""  # which comes when nobody has the other end any more


def test_what_a_program_says_when_it_fails_is_in_the_error(tmp_path: Path) -> None:
    """The page tells more than an exit code."""
    program = tmp_path / "program.py"
    program.write_text("import sys\nsys.exit('no water')\n")

    with pytest.raises(RuntimeError, match=r"program.py exited 1: no water"):
        report_of(str(program), folder=tmp_path)
