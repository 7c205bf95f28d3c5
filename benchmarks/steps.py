"""The overhead of a step: chains and fans of small results, with everything on."""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, Section
from benchmarks.processes import PROGRAMS, cost_of, environment, report_of

__all__ = ["measure"]

SHORT, MIDDLE, LONG = 10, 100, 1000

COUNTS: Final = (*(SHORT,) * 5, *(MIDDLE,) * 3, LONG)
"""Short chains several times, for little of anything else shows in what they take."""

ROUNDS: Final = 3

DAGSTER_COUNT: Final = 100
"""Dagster needs tens of milliseconds for a step; 1,000 of them would show nothing more."""

HISTORIES: Final = (1, 1_000, 100_000)
"""How many runs are written down before the measured one."""

NOTE = """\
Stored, hashed, with manifest, lineage and ledger. Kedro writes the same JSON and records nothing;
one of its nodes costs the more the more there are. What one further step costs is the slope between
two chains, so that what a run costs by itself is left out. Processor time of the whole process,
with the operating system's part, without imports and without waiting for the disk. The floor is a
plain Python loop that writes, renames and hashes a file and adds a row to SQLite."""

Seconds = Mapping[int, float]
"""The seconds that a run takes, by the number of its steps."""


def measure(folder: Path) -> Section:
    """Compare the cost of one step with a plain-Python floor, Kedro and Dagster."""
    kedro = environment(folder / "kedro", "kedro", "kedro-datasets[json]", "setuptools")
    dagster = environment(folder / "dagster", "dagster", "setuptools")
    programs: Mapping[str, tuple[tuple[object, ...], str]] = {
        "chain": (("flowyml_steps.py", "chain", *COUNTS), sys.executable),
        "fan": (("flowyml_steps.py", "fan", *COUNTS), sys.executable),
        "kedro": (("kedro_steps.py", *COUNTS), kedro),
        "floor": (("floor_steps.py", LONG), sys.executable),
        "dagster": (("dagster_steps.py", DAGSTER_COUNT), dagster),
    }
    found: dict[str, list[Seconds]] = {name: [] for name in programs}
    for number in range(ROUNDS):
        for name, (words, python) in programs.items():
            place = folder / f"{name}-{number}"
            place.mkdir()
            found[name].append(_seconds(words, python, place))
    middle = {name: _middle(rounds) for name, rounds in found.items()}
    figures = (*_slopes(middle), *_whole(middle), *_histories(folder))
    return Section("A step that returns a small dict", figures, NOTE)


def _slopes(middle: Mapping[str, Seconds]) -> tuple[Figure, ...]:
    """Compare what one further step costs."""
    chain, fan, kedro = middle["chain"], middle["fan"], middle["kedro"]
    few, many = _slope(chain, SHORT, MIDDLE), _slope(chain, MIDDLE, LONG)
    wide = _slope(fan, MIDDLE, LONG)
    node_few, node_many = _slope(kedro, SHORT, MIDDLE), _slope(kedro, MIDDLE, LONG)
    within, beyond = "one further step up to 100", "one further step up to 1,000"
    return (
        Figure(within, few, "ms CPU", node_few, "one further node in Kedro", 1.0),
        Figure(beyond, many, "ms CPU", node_many, "one further node in Kedro", 1.0),
        Figure(beyond, many, "ms CPU", few, within, 1.3),
        Figure("one further step of a fan up to 1,000", wide, "ms CPU", many, "of a chain", 1.5),
    )


def _whole(middle: Mapping[str, Seconds]) -> tuple[Figure, ...]:
    """Compare whole runs, each divided by its steps."""
    chain, kedro = middle["chain"], middle["kedro"]
    floor = 1000 * middle["floor"][LONG] / LONG
    dagster = 1000 * middle["dagster"][DAGSTER_COUNT] / DAGSTER_COUNT
    each = {count: 1000 * chain[count] / count for count in (SHORT, MIDDLE, LONG)}
    compared = [
        Figure(
            f"a run of {count:,}, by its steps",
            each[count],
            "ms CPU",
            1000 * kedro[count] / count,
            "Kedro",
        )
        for count in (SHORT, MIDDLE, LONG)
    ]
    return (
        *compared,
        Figure("a run of 100, by its steps", each[MIDDLE], "ms CPU", dagster, "Dagster", 0.25),
        Figure("a run of 1,000, by its steps", each[LONG], "ms CPU", floor, "the floor"),
    )


def _histories(folder: Path) -> tuple[Figure, ...]:
    """Compare a run on top of many earlier ones with one on top of few."""
    places = {runs: folder / f"history-{runs}" for runs in HISTORIES}
    for runs, place in places.items():
        place.mkdir()
        cost_of([sys.executable, str(PROGRAMS / "fill_history.py"), str(runs), str(runs)], place)
    words = ("flowyml_steps.py", "chain", *(MIDDLE,) * 5)
    found: dict[int, list[Seconds]] = {runs: [] for runs in HISTORIES}
    for _ in range(ROUNDS):
        for runs, place in places.items():
            found[runs].append(_seconds(words, sys.executable, place))
    taken = {runs: 1000 * _middle(rounds)[MIDDLE] / MIDDLE for runs, rounds in found.items()}
    first, *others = HISTORIES
    return tuple(
        Figure(
            f"a run of 100 after {runs:,} runs, by its steps",
            taken[runs],
            "ms CPU",
            taken[first],
            "after one run",
            1.3,
        )
        for runs in others
    )


def _slope(seconds: Seconds, less: int, more: int) -> float:
    """Return the milliseconds that one further step costs between two lengths."""
    return 1000 * (seconds[more] - seconds[less]) / (more - less)


def _seconds(words: tuple[object, ...], python: str, folder: Path) -> Seconds:
    """Run one of the programs in a folder, which stays.

    For minutes after thousands of files were deleted, ext4 looks through all of their inodes each
    time a file is made. Whoever makes more files than another would pay more of that.
    """
    program, *arguments = words
    report = report_of(str(program), *arguments, python=python, folder=folder)
    taken: dict[int, list[float]] = defaultdict(list)
    counts = [int(str(word)) for word in arguments if str(word).isdigit()]
    for count, seconds in zip(counts, report["seconds"], strict=True):
        taken[count].append(seconds)
    return {count: statistics.median(rounds) for count, rounds in taken.items()}


def _middle(rounds: list[Seconds]) -> Seconds:
    return {count: statistics.median(each[count] for each in rounds) for count in rounds[0]}
