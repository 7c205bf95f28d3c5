"""Throughput: values of every size into every store and back, against the plain way."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from benchmarks.figures import Figure, Section
from benchmarks.processes import ROOT, environment, report_of

__all__ = ["measure"]

KIB, MIB, GIB = 2**10, 2**20, 2**30

LARGE: Final = 256 * MIB

WHOLE: Final = ("array", "frame", "model", "folder")
"""Kinds of which 1 GiB is moved: locally and to S3, and an array to every store."""

FILES: Final = 10_000
"""Files of 1 KiB in a folder; one of 1 GiB has files of 16 MiB."""

FEWER_FILES: Final = 500
"""In a bucket, where each of them goes there and back five times: 10,000 would take ten minutes."""

PATIENCE: Final = 960
"""Seconds for all transfers; those that come too late are left out, and the page says so."""

MOST_OF_ONE: Final = 150
"""Seconds after which a single one is given up."""

LEAST_OF_RIVAL: Final = 0.9
"""The share of the plain way's throughput that is promised for what is large."""

MOST_MEMORY: Final = 64
"""MiB that storing something large may need above the value itself."""

CLIENTS: Final = {"s3": "boto3", "gcs": "google.cloud.storage", "azure": "azure.storage.blob"}
RIVALS: Final = {"s3": "boto3", "gcs": "google-cloud-storage", "azure": "azure-storage-blob"}
FILE_SYSTEMS: Final = ("s3fs", "gcsfs", "adlfs")

NOTE: Final = (
    "The plain way is one call of the value's own library on the local disk, and one upload or "
    "download of the finished file by the vendor's client elsewhere (16 together for a folder); "
    "fsspec puts and gets the same finished file. None of them hashes, verifies or commits. "
    "Servers run on this machine and share its processors. Requests and bytes are those of storing "
    "through a proxy that counts; the emulator of Cloud Storage names its own address and is left "
    "out there."
)


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
        if self.kind == "folder":
            if self.size >= GIB:
                return f"{self.service}: folder of {self.size // GIB} GiB"
            return f"{self.service}: folder of {self.size // KIB:,} files"
        units = (("GiB", GIB), ("MiB", MIB), ("KiB", KIB))
        size = next(f"{self.size // unit} {name}" for name, unit in units if self.size >= unit)
        return f"{self.service}: {self.kind} of {size}"

    @property
    def rounds(self) -> int:
        """How often it is moved."""
        if self.kind == "folder" or self.size >= GIB:
            return 1
        if self.size <= MIB:
            return 15
        return 3 if self.promised or self.service == "local" else 2

    @property
    def is_counted(self) -> bool:
        """Whether it is sent once more to count its requests, which takes as long again."""
        return self.kind in {"array", "folder"} and self.size < GIB


def measure(folder: Path) -> Section:
    """Compare each transfer with the same bytes moved the plain way, in turn."""
    failures = [f"{service}: {why}" for service in CLIENTS if (why := _why_not(service))]
    python = sys.executable
    try:
        python = environment(folder / "fsspec", *FILE_SYSTEMS)
    except (OSError, subprocess.CalledProcessError) as error:
        failures.append(f"fsspec's file systems cannot be installed: {error}")
    figures: list[Figure] = []
    end = time.monotonic() + PATIENCE
    for transfer in _transfers():
        try:
            report = _report(transfer, python, end)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failures.append(f"{transfer.what}: {error}")
        else:
            figures += _figures(transfer, report)
            if why := report.get("fsspec_failed"):
                failures.append(f"{transfer.what}, fsspec: {why}")
    return Section("Throughput", tuple(figures), NOTE, tuple(failures))


def _transfers() -> Iterator[Transfer]:
    for size in (KIB, MIB, 64 * MIB):
        yield Transfer("local", "array", size)
    yield Transfer("local", "array", LARGE, promised=True)
    for kind in WHOLE:
        yield Transfer("local", kind, GIB)
    yield Transfer("local", "folder", FILES * KIB)
    for service in CLIENTS:
        if not _why_not(service):
            for size in (KIB, MIB, LARGE):
                yield Transfer(service, "array", size, promised=size == LARGE)
    for service in CLIENTS:
        if not _why_not(service):
            yield Transfer(service, "array", GIB)
    if not _why_not("s3"):
        for kind in WHOLE[1:]:
            yield Transfer("s3", kind, GIB)
        yield Transfer("s3", "folder", FEWER_FILES * KIB)


def _report(transfer: Transfer, python: str, end: float) -> Mapping[str, Any]:
    left = end - time.monotonic()
    if left < 1:
        message = f"left out, for those before it took {PATIENCE / 60:.0f} minutes"
        raise RuntimeError(message)
    words = (transfer.service, transfer.kind, transfer.size, transfer.rounds)
    chosen = sys.executable if transfer.service == "local" else python
    counted = int(transfer.is_counted)
    patience = min(left, MOST_OF_ONE)
    return report_of("transfer.py", *words, chosen, counted, patience=patience)


def _figures(transfer: Transfer, report: Mapping[str, Any]) -> Iterator[Figure]:
    rival = RIVALS.get(transfer.service, "the plain call")
    floor, against = report["put"], rival
    if report["hash"] > floor:
        floor, against = report["hash"], "SHA-256 alone"
    bound = 1 / LEAST_OF_RIVAL if transfer.promised else None
    store, load = 1000 * report["store"], 1000 * report["load"]
    yield Figure(f"{transfer.what}, store", store, "ms", 1000 * floor, against, bound)
    yield Figure(f"{transfer.what}, load", load, "ms", 1000 * report["get"], rival)
    if "fsspec_put" in report:
        put, get = 1000 * report["fsspec_put"], 1000 * report["fsspec_get"]
        yield Figure(f"{transfer.what}, store", store, "ms", put, "put by fsspec")
        yield Figure(f"{transfer.what}, load", load, "ms", get, "get by fsspec")
    if transfer.size >= LARGE:
        limit = 1.0 if transfer.promised else None
        what = f"{transfer.what}, memory above the value"
        yield Figure(what, report["peak"], "MiB", MOST_MEMORY, "the budget", limit)
        yield Figure(f"{transfer.what}, memory to load it", report["back"], "MiB")
    if "ours_requests" in report:
        ours, theirs = report["ours_requests"], report["client_requests"]
        yield Figure(f"{transfer.what}, requests", ours, "", theirs, rival)
        ours, theirs = report["ours_sent"] / KIB, report["client_sent"] / KIB
        yield Figure(f"{transfer.what}, sent", ours, "KiB", theirs, rival)


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
