"""Throughput: values of every size into every store and back, against the plain way."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from benchmarks.figures import Figure, Section
from benchmarks.processes import ROOT, report_of

__all__ = ["measure"]

KIB, MIB = 2**10, 2**20

LARGE: Final = 256 * MIB

HUGE: Final = "FLOWYML_BENCH_HUGE"
"""Set it to measure 1 GiB as well, which needs 4 GiB of disk and of memory."""

LEAST_OF_RIVAL: Final = 0.9
"""The share of the plain way's throughput that is promised for what is large."""

MOST_MEMORY: Final = 64
"""MiB that storing something large may need above the value itself."""

CLIENTS: Final = {"s3": "boto3", "gcs": "google.cloud.storage", "azure": "azure.storage.blob"}
RIVALS: Final = {"s3": "boto3", "gcs": "google-cloud-storage", "azure": "azure-storage-blob"}


@frozen
class Transfer:
    """One value that goes to one store and back.

    Attributes:
        service: ``local``, or the kind of the object store.
        kind: ``array``, ``frame``, ``model`` or ``folder``.
        size: Its length in bytes.
        promised: Whether the budgets hold for it.
    """

    service: str
    kind: str
    size: int
    promised: bool = False

    @property
    def what(self) -> str:
        """The first words of its lines."""
        size = f"{self.size // MIB} MiB" if self.size >= MIB else f"{self.size // KIB} KiB"
        return f"{self.service}: {self.kind} of {size}"

    @property
    def rounds(self) -> int:
        """How often it is moved."""
        return 15 if self.size <= MIB else 3


def measure(folder: Path) -> Section:
    """Compare each transfer with the same bytes moved the plain way, in turn."""
    del folder
    figures = [figure for transfer in _transfers() for figure in _figures(transfer)]
    missing = [f"{service} ({why})" for service in CLIENTS if (why := _why_not(service))]
    note = (
        "The plain way is one call of the value's own library on the local disk, and one upload or "
        "download of the finished file by the vendor's client elsewhere; neither hashes, verifies "
        "or commits. Servers run on this machine and share its processors."
    )
    left_out = f" Not measured here: {', '.join(missing)}." if missing else ""
    return Section("Throughput", tuple(figures), note + left_out)


def _transfers() -> Iterator[Transfer]:
    for size in (KIB, MIB, 64 * MIB):
        yield Transfer("local", "array", size)
    for kind in ("array", "frame", "model", "folder"):
        yield Transfer("local", kind, LARGE, promised=kind == "array")
    if os.environ.get(HUGE):
        yield Transfer("local", "array", 2**30, promised=True)
    for service in CLIENTS:
        if not _why_not(service):
            for size in (KIB, MIB, LARGE):
                yield Transfer(service, "array", size, promised=size == LARGE)


def _figures(transfer: Transfer) -> Iterator[Figure]:
    report = report_of(
        "transfer.py", transfer.service, transfer.kind, transfer.size, transfer.rounds
    )
    rival = RIVALS.get(transfer.service, "the plain call")
    floor, against = report["put"], rival
    if report["hash"] > floor:
        floor, against = report["hash"], "SHA-256 alone"
    bound = 1 / LEAST_OF_RIVAL if transfer.promised else None
    store, load = 1000 * report["store"], 1000 * report["load"]
    yield Figure(f"{transfer.what}, store", store, "ms", 1000 * floor, against, bound)
    yield Figure(f"{transfer.what}, load", load, "ms", 1000 * report["get"], rival)
    if transfer.size >= LARGE:
        limit = 1.0 if transfer.promised else None
        what = f"{transfer.what}, memory above the value"
        yield Figure(what, report["peak"], "MiB", MOST_MEMORY, "the budget", limit)


def _why_not(service: str) -> str | None:
    """Say what is missing to measure an object store."""
    try:
        found = importlib.util.find_spec(CLIENTS[service])
    except ModuleNotFoundError:
        found = None
    if found is None:
        return f"{RIVALS[service]} is not installed"
    if service == "azure" and not (ROOT / ".nox/node/node_modules/azurite").exists():
        return "Azurite is not installed"
    if service == "azure" and shutil.which("node") is None:
        return "Node is not installed"
    return None
