"""Curves: what the points of a long training loop cost with each tracker."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.servers.mlflow import start_mlflow

from benchmarks.figures import Figure, Section
from benchmarks.processes import report_of
from benchmarks.trackers import TRACKERS, is_installed

__all__ = ["measure"]

POINTS: Final = 100_000

ROUNDS: Final = 2

BOUND: Final = 2.5
"""A whole run, which stores the points too, takes at most so many times what the client does."""

NOTE: Final = f"""\
A step yields {POINTS:,} points, each a number and its step, which are stored and go to one tracker:
the whole run, without imports. Compared with the tracker's own client that logs the same points: a
thousand in a request to MLflow's server, which is on this machine, a row at a time to an offline
run of W&B, an event at a time to TensorBoard's file."""


def measure(folder: Path) -> Section:
    """Compare runs with each tracker's own client, in turn."""
    failures = [f"{name} is not installed" for name in TRACKERS if not is_installed(name)]
    alone = _seconds("none", "")
    what, against = f"{POINTS:,} points without a tracker", "the same as lines of JSON"
    figures = [Figure(what, alone["flowyml"], "s", alone["client"], against)]
    with ExitStack() as servers:
        for name in filter(is_installed, TRACKERS):
            try:
                address = _address(folder, servers) if name == "mlflow" else ""
                seconds = _seconds(name, address)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failures.append(f"{name}: {error}")
            else:
                what, ours, theirs = f"{POINTS:,} points to {name}", *seconds.values()
                figures.append(Figure(what, ours, "s", theirs, "its own client", BOUND))
    return Section("Curves", tuple(figures), NOTE, tuple(failures))


def _address(folder: Path, servers: ExitStack) -> str:
    server = start_mlflow(folder)
    servers.callback(server.kill)
    return server.url


def _seconds(tracker: str, address: str) -> Mapping[str, float]:
    """Return the seconds that each way takes: the mean of several rounds."""
    words = (tracker, POINTS, *filter(None, [address]))
    ways = ("flowyml", "client")
    rounds = [
        {way: float(report_of("curve.py", way, *words)["seconds"]) for way in ways}
        for _ in range(ROUNDS)
    ]
    return {way: statistics.mean(each[way] for each in rounds) for way in ways}
