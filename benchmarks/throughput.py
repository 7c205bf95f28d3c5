"""Throughput: values of every size into every store and back, against the plain way."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from benchmarks.figures import Figure, Line, Section, Table
from benchmarks.processes import ROOT, environment, report_of

__all__ = ["measure"]

KIB, MIB, GIB = 2**10, 2**20, 2**30

LARGE: Final = 256 * MIB

PATIENCE: Final = 2700
"""Seconds for all transfers; those that come too late are left out, and the page says so."""

MOST_OF_ONE: Final = 420
"""Seconds after which a single one is given up."""

LEAST_OF_RIVAL: Final = 0.9
"""The share of the plain way's throughput that is promised for what is large."""

MOST_MEMORY: Final = 64
"""MiB that storing something large may need above the value itself."""

FILE_SYSTEMS: Final = ("s3fs", "gcsfs", "adlfs")

NOTE: Final = """\
A line has the time of storing or loading, and what multiple it is of the time that the plain way
takes, and fsspec's `put` or `get`, for the same finished file. The plain way is one call of the
value's own library on the local disk, or SHA-256 alone where that takes longer, and one upload or
download of the finished file by the vendor's client elsewhere, of 16 files at once for a folder.
None of them hashes, verifies or commits. Memory is what the process has more at its peak: the value
itself is among it after loading, but not after storing. Requests, and the bytes that went over the
wire, to and fro, were counted by a proxy in one more round.

Servers run on this machine and share its processors. Before more than 1 MiB is sent or fetched, all
that was written goes to the disk and 2 GiB of memory are taken and given back: a virtual machine
has to ask its host for memory that it has not used for a while, which else the one pays and the
other one does not. Files of a folder have 1 KiB, those of a folder of 1 GiB 16 MiB. What is 1 GiB
or many files goes to a bucket once and not by fsspec: it is many times what is measured above it.
Azurite takes more than seven minutes for 10,000 files and gets 1,000.\
"""

KINDS: Final = ("array", "frame", "model", "folder")


@frozen
class Store:
    """One kind of store, and who moves the same bytes there the plain way.

    Attributes:
        title: Its name on the page.
        rival: The one that it is compared with.
        client: The rival's module; empty where it needs none.
    """

    title: str
    rival: str
    client: str = ""


BUCKETS: Final = {
    "s3": Store("S3", "boto3", "boto3"),
    "gcs": Store("Cloud Storage", "google-cloud-storage", "google.cloud.storage"),
    "azure": Store("Azure Blob Storage", "azure-storage-blob", "azure.storage.blob"),
}
STORES: Final = {"local": Store("Local disk", "the plain way"), **BUCKETS}


@frozen
class Transfers:
    """What is moved: a value of each of these kinds and sizes, to each of these stores and back.

    Attributes:
        stores: Names of the stores.
        kinds: ``array``, ``frame``, ``model`` or ``folder``.
        sizes: Lengths in bytes.
    """

    stores: Iterable[str]
    kinds: tuple[str, ...]
    sizes: tuple[int, ...]


TRANSFERS: Final = (
    Transfers(STORES, ("array", "frame", "model"), (KIB, MIB)),
    Transfers(STORES, ("frame", "model"), (64 * MIB,)),
    Transfers(STORES, ("array",), (LARGE, GIB)),
    Transfers(STORES, ("folder",), (100 * KIB,)),
    Transfers(("local",), ("array",), (64 * MIB,)),
    Transfers(("local",), ("frame", "model"), (LARGE, GIB)),
    Transfers(("local", "s3", "gcs"), ("folder",), (10_000 * KIB,)),
    Transfers(("azure",), ("folder",), (1000 * KIB,)),
    Transfers(("local", "s3"), ("folder",), (GIB,)),
    Transfers(("s3",), ("frame",), (GIB,)),
)
"""Bytes of a folder of small files are given as a KiB for each of them."""


@frozen(order=True)
class Transfer:
    """One value that goes to one store and back.

    Attributes:
        size: Its length in bytes; the shortest are moved first.
        store: Name of the store.
        kind: What it is.
    """

    size: int
    store: str
    kind: str

    @property
    def what(self) -> str:
        """The first words of its lines."""
        if self.kind == "folder" and self.size < GIB:
            return f"folder of {self.size // KIB:,} files"
        units = (("GiB", GIB), ("MiB", MIB), ("KiB", KIB))
        size = next(f"{self.size // unit} {name}" for name, unit in units if self.size >= unit)
        return f"{self.kind} of {size}"

    @property
    def place(self) -> tuple[int, int]:
        """Where its lines come in the table of the store."""
        return KINDS.index(self.kind), self.size

    @property
    def is_many_files(self) -> bool:
        """Whether it is a folder of a thousand small files or more."""
        return self.kind == "folder" and 100 * KIB < self.size < GIB

    @property
    def is_promised(self) -> bool:
        """Whether the budgets hold for it."""
        return self.kind == "array" and self.size == LARGE

    @property
    def rounds(self) -> int:
        """How often it is moved, each way first as often as the other, but for the longest.

        What is promised is measured oftener: a pause of the system is seldom there for most of
        fourteen rounds, but often for two of four.
        """
        if self.size >= GIB or self.is_many_files:
            return 1
        if self.is_promised:
            return 14 if self.store == "local" else 8
        return 14 if self.size <= MIB and self.kind != "folder" else 4

    @property
    def is_counted(self) -> bool:
        """Whether it is sent once more to count its requests, which takes as long again."""
        return self.size <= 100 * KIB or (self.kind == "array" and self.size < GIB)

    @property
    def is_put_by_fsspec(self) -> bool:
        """Whether fsspec moves it as well, for whom most takes minutes in a bucket."""
        return self.store == "local" or not (self.size >= GIB or self.is_many_files)


def measure(folder: Path) -> Section:
    """Compare each transfer with the same bytes moved the plain way, in turn."""
    missing = {name: why for name, store in BUCKETS.items() if (why := _why_not(name, store))}
    failures = [f"{name}: {why}" for name, why in missing.items()]
    python = sys.executable
    try:
        python = environment(folder / "fsspec", *FILE_SYSTEMS)
    except (OSError, subprocess.CalledProcessError) as error:
        failures.append(f"fsspec's file systems cannot be installed: {error}")
    reports: dict[Transfer, Mapping[str, Any]] = {}
    end = time.monotonic() + PATIENCE
    for transfer in sorted(one for one in _transfers() if one.store not in missing):
        try:
            report = reports[transfer] = _report(transfer, python, end)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failures.append(f"{transfer.store}, {transfer.what}: {error}")
        else:
            if why := report.get("fsspec_failed"):
                failures.append(f"{transfer.store}, {transfer.what}, fsspec: {why}")
    moved = {transfer.store for transfer in reports}
    tables = tuple(_table(name, reports) for name in STORES if name in moved)
    return Section("Throughput", (), NOTE, tuple(failures), tables=tables)


def _transfers() -> Iterator[Transfer]:
    for these in TRANSFERS:
        for size, store, kind in product(these.sizes, these.stores, these.kinds):
            yield Transfer(size, store, kind)


def _report(transfer: Transfer, python: str, end: float) -> Mapping[str, Any]:
    left = end - time.monotonic()
    if left < 1:
        message = f"left out, for those before it took {PATIENCE / 60:.0f} minutes"
        raise RuntimeError(message)
    words = (transfer.store, transfer.kind, transfer.size, transfer.rounds)
    chosen = python if transfer.is_put_by_fsspec else ""
    counted = int(transfer.is_counted)
    patience = min(left, MOST_OF_ONE)
    return report_of("transfer.py", *words, chosen, counted, patience=patience)


def _table(name: str, reports: Mapping[Transfer, Mapping[str, Any]]) -> Table:
    """Return two lines for each value that was moved to a store."""
    mine = sorted((one for one in reports if one.store == name), key=lambda one: one.place)
    lines = (line for transfer in mine for line in _lines(transfer, reports[transfer]))
    return Table(STORES[name].title, tuple(lines))


def _lines(transfer: Transfer, report: Mapping[str, Any]) -> Iterator[Line]:
    for direction in ("store", "load"):
        figures = _figures(transfer, direction, report[direction])
        yield Line(f"{transfer.what}, {direction}", tuple(figures))


def _figures(transfer: Transfer, direction: str, moved: Mapping[str, float]) -> Iterator[Figure]:
    """Give all that was measured of one direction, in the order of the columns."""
    rival = STORES[transfer.store].rival
    promised = transfer.is_promised and direction == "store"
    took = 1000 * moved["time"]
    bound = 1 / LEAST_OF_RIVAL if promised else None
    yield Figure("time", took, "ms")
    yield Figure(f"of {rival}", took, "ms", 1000 * moved["plain"], rival, bound)
    if "fsspec" in moved:
        yield Figure("of fsspec", took, "ms", 1000 * moved["fsspec"], "fsspec")
    if transfer.size > MIB:
        limit = MOST_MEMORY if promised else None
        yield Figure("memory", moved["memory"], "MiB", bound=limit)
    if "requests" in moved:
        yield Figure("requests", moved["requests"], "")
        yield Figure("client's requests", moved["plain_requests"], "")
        yield Figure("on the wire", moved["wire"] / KIB, "KiB")
        yield Figure("client's on the wire", moved["plain_wire"] / KIB, "KiB")


def _why_not(name: str, store: Store) -> str | None:
    """Say what is missing to measure an object store."""
    try:
        found = importlib.util.find_spec(store.client)
    except ModuleNotFoundError:
        found = None
    if found is None:
        return f"{store.rival} is not installed"
    if name == "azure" and not (ROOT / ".nox/node/node_modules/azurite").exists():
        return "Azurite is not installed"
    if name == "azure" and shutil.which("node") is None:
        return "Node is not installed"
    return None
