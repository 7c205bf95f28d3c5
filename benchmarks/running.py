"""Run the sections, write their page as they come, and say by the exit code how it went.

A section that fails is a line of the page, and keeps no other one from being measured.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.figures import Section
from benchmarks.table import page

__all__ = ["SECTIONS", "run"]

Measure = Callable[[Path], Section]
"""Measures one section; it is given an empty folder."""

NAMES = (
    "startup",
    "trackers",
    "curves",
    "steps",
    "throughput",
    "memory",
    "dispatch",
    "history",
    "parallel",
)


def _of_module(name: str) -> Measure:
    def measure(folder: Path) -> Section:
        section: Section = importlib.import_module(f"benchmarks.{name}").measure(folder)
        return section

    return measure


SECTIONS: Mapping[str, Measure] = {name: _of_module(name) for name in NAMES}


def run(words: Sequence[str], sections: Mapping[str, Measure] = SECTIONS) -> int:
    """Measure what is asked for, and print its page.

    Args:
        words: The arguments of the command line.
        sections: What there is to measure.

    Returns:
        1 where a section failed, or, with ``--check``, where a bound is missed; else 0.
    """
    asked = _parser(sections).parse_args(words)
    done: list[Section] = []
    for name in asked.only or sections:
        done.append(_measured(name, sections[name]))
        if asked.write:
            asked.write.write_text(page(done), encoding="utf-8")
    print(page(done))
    failed = any(section.failures for section in done)
    missed = any(section.missed for section in done)
    return 1 if failed or (asked.check and missed) else 0


def _parser(sections: Mapping[str, Measure]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(sections), help="measure this section; repeatable"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 where a bound is missed")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to this file")
    return parser


def _measured(name: str, measure: Measure) -> Section:
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(
            prefix="flowyml-bench-", ignore_cleanup_errors=True
        ) as folder:
            section = measure(Path(folder))
    except Exception as error:  # noqa: BLE001  # the other sections are measured all the same
        section = Section(name, (), failures=(f"{type(error).__name__}: {error}",))
    seconds = time.perf_counter() - started
    print(f"{name}: {seconds / 60:.1f} min", *section.failures, file=sys.stderr, flush=True)
    return attrs.evolve(section, seconds=seconds)
