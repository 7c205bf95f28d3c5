"""Store and load one value, each time in turn with the plainest way to move the same bytes.

``transfer.py SERVICE KIND BYTES ROUNDS PYTHON COUNT`` prints the median seconds, the peak of memory
above the value itself, and, where COUNT is 1, what went over the wire. PYTHON has fsspec's file
systems.
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
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from services import SERVICES, clear

from flowyml.serialization import pack, unpack
from flowyml.storage.files import StoreRequest

service, kind, size, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
python, count = sys.argv[5], sys.argv[6] == "1"

PIECE = 2**24 if size >= 2**30 else 1024
"""Bytes of each file of a folder."""

SMALL = 8 * 1024
"""Bytes of what is moved first, which imports and connects."""

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


def once(place, value, name):
    """Move a value there and back both ways; return the figures of one round."""
    clear(name)
    begun = time.perf_counter()
    hashed = place.put(value, name) or 0.0
    put = time.perf_counter() - begun - hashed
    uri, stored, peak = peak_of(store, place.folders, value, f"a/{name}")
    begun = time.perf_counter()
    place.get(name)
    got = time.perf_counter() - begun
    _, loaded, back = peak_of(load, place.folders, uri)
    place.folders.delete(uri)
    for made in (name, "read", "got"):
        clear(made)
    return {
        "store": stored,
        "load": loaded,
        "put": put,
        "get": got,
        "hash": hashed,
        "peak": peak,
        "back": back,
    }


def counted(place, value):
    """Store once more through a proxy that counts; return requests and bytes, ours and theirs."""
    from tests.servers.proxy import Proxy

    counts = {}
    with Proxy(place.url).serving() as proxy:
        other = place.at(proxy.url)
        for who, move in (
            ("client", lambda: other.put(value, "counted")),
            ("ours", lambda: store(other.folders, value, "b/counted")),
        ):
            requests, sent = len(proxy.requests), proxy.sent
            move()
            counts[f"{who}_requests"] = len(proxy.requests) - requests
            counts[f"{who}_sent"] = proxy.sent - sent
    return counts


def by_fsspec(place):
    """Move the finished file by fsspec, in its own environment."""
    protocol, options, root = place.fsspec
    program = str(Path(__file__).with_name("fsspec_transfer.py"))
    command = [python, "-W", "ignore", program, protocol, json.dumps(options), root]
    # Without it gcsfs asks by gRPC what kind of bucket it is, and waits for ever for the emulator.
    variables = {**os.environ, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    try:
        done = subprocess.run(
            [*command, "plain", str(rounds)],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return {"fsspec_failed": f"took longer than {PATIENCE} s"}
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"exited {error.returncode}"
        return {"fsspec_failed": said.splitlines()[-1]}
    report = json.loads(done.stdout.splitlines()[-1])
    return {f"fsspec_{name}": seconds for name, seconds in report.items()}


with ExitStack() as started:
    place = SERVICES[service](started, WRITE[kind], READ[kind])
    small, value = MAKE[kind](SMALL), MAKE[kind](size)
    WRITE[kind](small, Path("plain"))
    once(place, small, "small")
    clear("plain")
    WRITE[kind](value, Path("plain"))
    figures = [once(place, value, f"plain-{number}") for number in range(rounds)]
    report = {name: statistics.median(each[name] for each in figures) for name in figures[0]}
    report |= by_fsspec(place)
    if count and place.url:
        report |= counted(place, value)
print(json.dumps(report))
