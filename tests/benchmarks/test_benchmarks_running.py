"""The benchmarks as a program: what is measured, what is written, and how it exits."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from benchmarks.figures import Figure, Section
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
