"""Store and load one value, each time in turn with the plainest way to move the same bytes.

``transfer.py SERVICE KIND BYTES ROUNDS PYTHON COUNT`` prints, for storing and for loading, the median
seconds of each way, the peak of the memory that ours adds, and, where COUNT is 1, what went over the
wire. PYTHON has fsspec's file systems; where it is empty, fsspec is not measured.
"""

import ctypes
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from services import GOT, PLAIN, SERVICES, clear

from flowyml.serialization import pack, unpack
from flowyml.storage.files import StoreRequest

service, kind, size, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
python, counts = sys.argv[5], sys.argv[6] == "1"

PIECE = 2**24 if size >= 2**30 else 1024
"""Bytes of each file of a folder."""

SMALL = 8 * 1024
"""Bytes of what is moved first, which imports and connects."""

READY = 2**31
"""Bytes of memory that are taken and given back before something large is moved."""

PATIENCE = 60
"""Seconds after which fsspec is given up."""

libc = ctypes.CDLL(None)


def array(count):
    """Make an array of so many random bytes; more than a piece of it need not be random."""
    piece = np.random.default_rng(7).random(min(count, 2**24) // 8)
    return np.resize(piece, count // 8)


def frame(count):
    """Make a frame of eight columns of numbers."""
    import pandas as pd

    columns = array(count).reshape(-1, 8)
    return pd.DataFrame(columns, columns=[f"c{n}" for n in range(columns.shape[1])])


def model(count):
    """Make a fitted model with so many bytes of weights."""
    from sklearn.linear_model import LinearRegression

    fitted = LinearRegression()
    fitted.coef_, fitted.intercept_ = array(count), 0.0
    return fitted


def folder(count):
    """Make a folder of equal files."""
    place = Path(f"made-{count}")
    place.mkdir()
    for number in range(max(1, count // PIECE)):
        (place / f"{number}.bin").write_bytes(os.urandom(min(PIECE, count)))
    return place


def dump(value, place):
    """Pickle a model as one would by hand."""
    with place.open("wb") as file:
        pickle.dump(value, file, protocol=5)


def save(value, place):
    """Save an array as one would by hand."""
    with place.open("wb") as file:
        np.save(file, value)


def read_frame(place):
    """Read a frame as one would by hand."""
    import pandas as pd

    return pd.read_parquet(place)


MAKE = {"array": array, "frame": frame, "model": model, "folder": folder}

WRITE = {
    "array": save,
    "frame": lambda value, place: value.to_parquet(place, compression=None),
    "model": dump,
    "folder": shutil.copytree,
}

READ = {
    "array": np.load,
    "frame": read_frame,
    "model": lambda place: pickle.loads(place.read_bytes()),
    "folder": lambda place: shutil.copytree(place, "read", dirs_exist_ok=True),
}


def peak_of(work, *given):
    """Do some work; return its result, its seconds, and the MiB of memory it adds at its peak."""
    libc.malloc_trim(0)  # what was freed before must not hide what is taken now
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    started = time.perf_counter()
    result = work(*given)
    seconds = time.perf_counter() - started
    return result, seconds, max(0, resident("VmHWM") - before) / 1024


def resident(name):
    """Return a figure of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def store(folders, value, name):
    """Store the value, and return its URI."""
    packed = pack(value, type_name="bench", name="bench", producer=None, key=None)
    request = StoreRequest(path=name, manifest=packed.manifest, write=packed.write)
    return folders.store(request, key=None).uri


def load(folders, uri):
    """Load the value and use it, for a memory map that nobody reads would cost nothing."""
    loaded = unpack(folders.load(uri), trusted=True)
    if kind == "array":
        loaded.sum()


def settle(count):
    """Let a move of many bytes to a server meet the machine as it would be without the one before.

    What that one wrote is still on its way to the disk; and memory that a virtual machine has not
    used for a while has to be asked for at its host, a page at a time, unless the move before has
    just given some back. Either takes as long as a good part of the move. On the local disk both
    ways need the same of it.
    """
    if count > 2**20:
        os.sync()
        np.ones(READY // 8)


def once(place, value, number):
    """Move a value there and back both ways; return the figures of each direction.

    Each way comes first in every other round: the second one finds a server that is still busy with
    what the first one brought, and has to get memory that the first one took.
    """
    name, uri = f"moved-{number}", None
    there, back = {}, {}

    def put():
        begun = time.perf_counter()
        hashed = place.put(value, name) or 0.0
        there["plain"] = max(time.perf_counter() - begun - hashed, hashed)

    def get():
        begun = time.perf_counter()
        place.get(name)
        back["plain"] = time.perf_counter() - begun

    def ours_there():
        nonlocal uri
        uri, there["time"], there["memory"] = peak_of(store, place.folders, value, f"a/{name}")

    def ours_back():
        _, back["time"], back["memory"] = peak_of(load, place.folders, uri)

    for ways in (put, ours_there), (get, ours_back):
        for move in ways if number % 2 else reversed(ways):
            settle(size if number and place.url else 0)
            move()
    place.folders.delete(uri)
    for made in (name, "read", GOT):
        clear(made)
    return {"store": there, "load": back}


def medians(rounds):
    """Return the middle one of each figure."""
    return {
        direction: {
            name: statistics.median(each[direction][name] for each in rounds)
            for name in rounds[0][direction]
        }
        for direction in rounds[0]
    }


@contextmanager
def counting(proxy, figures, prefix=""):
    """Note the requests, and the bytes that go over the wire, until the block ends."""
    requests, wire = len(proxy.requests), proxy.sent + proxy.received
    yield
    proxy.settle()
    figures[f"{prefix}requests"] = len(proxy.requests) - requests
    figures[f"{prefix}wire"] = proxy.sent + proxy.received - wire


def count(place, value, report):
    """Move a value there and back both ways once more, through a proxy that counts."""
    from tests.servers.proxy import Proxy

    with Proxy(place.url).serving() as proxy:
        other = place.at(proxy.url)
        with counting(proxy, report["store"], "plain_"):
            other.put(value, "counted")
        with counting(proxy, report["store"]):
            uri = store(other.folders, value, "b/counted")
        with counting(proxy, report["load"], "plain_"):
            other.get("counted")
        with counting(proxy, report["load"]):
            load(other.folders, uri)


def by_fsspec(place, report):
    """Move the finished file by fsspec, in its own environment."""
    protocol, options, root = place.fsspec
    program = str(Path(__file__).with_name("fsspec_transfer.py"))
    command = [python, "-W", "ignore", program, protocol, json.dumps(options), root]
    # Without it gcsfs asks by gRPC what kind of bucket it is, and waits for ever for the emulator.
    variables = {**os.environ, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    try:
        done = subprocess.run(
            [*command, str(PLAIN), str(rounds)],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        report["fsspec_failed"] = f"took longer than {PATIENCE} s"
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"exited {error.returncode}"
        report["fsspec_failed"] = said.splitlines()[-1]
    else:
        seconds = json.loads(done.stdout.splitlines()[-1])
        report["store"]["fsspec"], report["load"]["fsspec"] = seconds["put"], seconds["get"]


with ExitStack() as started:
    place = SERVICES[service](started, WRITE[kind], READ[kind])
    small, value = MAKE[kind](SMALL), MAKE[kind](size)
    WRITE[kind](small, PLAIN)
    once(place, small, 0)
    clear(PLAIN)
    WRITE[kind](value, PLAIN)
    report = medians([once(place, value, number) for number in range(1, rounds + 1)])
    if python:
        by_fsspec(place, report)
    if counts and place.url:
        count(place, value, report)
print(json.dumps(report))
