"""Run the sections named on the command line, or all of them.

``--check`` exits 1 where a bound does not hold; ``--write FILE`` keeps the page.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Section
from benchmarks.table import page

SECTIONS = ("startup", "steps", "throughput", "dispatch", "history", "parallel")


def main() -> int:
    """Measure, print, and say by the exit code whether every bound held."""
    arguments = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    arguments.add_argument("section", nargs="*", choices=[[], *SECTIONS], default=[])
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--write", type=Path)
    asked = arguments.parse_args()
    sections = [_measured(name) for name in asked.section or SECTIONS]
    text = page(sections)
    print(text)
    if asked.write:
        asked.write.write_text(text, encoding="utf-8")
    missed = [figure for section in sections for figure in section.figures if not figure.holds]
    return 1 if asked.check and missed else 0


def _measured(name: str) -> Section:
    module = importlib.import_module(f"benchmarks.{name}")
    with tempfile.TemporaryDirectory(prefix="flowyml-bench-") as folder:
        section: Section = module.measure(Path(folder))
    return section


sys.exit(main())
