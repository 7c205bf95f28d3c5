"""Store and load one value, each time in turn with the plainest way to move the same bytes.

``transfer.py SERVICE KIND BYTES ROUNDS`` prints the median seconds, and the peak of memory above
the value itself.
"""

import ctypes
import json
import os
import pickle
import shutil
import statistics
import sys
import time
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import numpy as np

from flowyml.serialization import pack, unpack
from flowyml.storage.files import StoreRequest

service, kind, size, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
MANY = 1000
"""Files in a folder."""

libc = ctypes.CDLL(None)

KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret"}


def array():
    """Make an array of so many random bytes; more than a piece of it need not be random."""
    piece = np.random.default_rng(7).random(min(size, 2**24) // 8)
    return np.resize(piece, size // 8)


def frame():
    """Make a frame of eight columns of numbers."""
    import pandas as pd

    columns = array().reshape(-1, 8)
    return pd.DataFrame(columns, columns=[f"c{n}" for n in range(columns.shape[1])])


def model():
    """Make a fitted model with so many bytes of weights."""
    from sklearn.linear_model import LinearRegression

    fitted = LinearRegression()
    fitted.coef_, fitted.intercept_ = array(), 0.0
    return fitted


def folder():
    """Make a folder of many files."""
    place = Path("made")
    place.mkdir()
    content = os.urandom(max(1, size // MANY))
    for number in range(MANY):
        (place / f"{number}.bin").write_bytes(content)
    return place


MAKE = {"array": array, "frame": frame, "model": model, "folder": folder}


class Disk:
    """The local disk, moved to by the plain call of the value's library."""

    def __init__(self, _started):
        """Open the store."""
        from flowyml_local.storage import LocalArtifactStore

        self.folders = LocalArtifactStore(path=Path("store").absolute()).folders()

    def put(self, value, name):
        """Write it plainly; of writing and hashing the same bytes the slower one counts."""
        WRITE[kind](value, Path(name))
        started = time.perf_counter()
        if kind == "array":
            sha256(memoryview(value).cast("B"))
        return time.perf_counter() - started

    def get(self, name):
        """Read it plainly; a folder need not be read to be used."""
        READ[kind](Path(name))


class S3:
    """A bucket of SeaweedFS, moved to by boto3's transfer manager."""

    def __init__(self, started):
        """Start the server and make the bucket."""
        import boto3
        from tests.servers.s3 import start_seaweedfs

        from flowyml_aws.storage import S3ArtifactStore

        os.environ.update(KEYS, AWS_DEFAULT_REGION="us-east-1")
        data = Path("server").absolute()
        data.mkdir()
        server = start_seaweedfs(data)
        started.callback(server.kill)
        self.client = boto3.client("s3", endpoint_url=server.url)
        self.client.create_bucket(Bucket="bench")
        self.folders = S3ArtifactStore("bench", endpoint_url=server.url).folders()

    def put(self, _value, name):
        """Put the file."""
        self.client.upload_file("plain", "bench", name)

    def get(self, name):
        """Get the file."""
        self.client.download_file("bench", name, "got")


class GCS:
    """A bucket of the emulator, moved to by Google's client."""

    def __init__(self, started):
        """Start the server and make the bucket."""
        from tests.servers.gcs import make_gcs_bucket, start_gcs

        from flowyml_gcp.storage import GCSArtifactStore

        data = Path("server").absolute()
        data.mkdir()
        server = start_gcs(data)
        started.callback(server.kill)
        make_gcs_bucket(server.url, "bench")
        store = GCSArtifactStore("bench", endpoint_url=server.url)
        self.folders = store.folders()
        self.bucket = store.objects.client.bucket("bench")

    def put(self, _value, name):
        """Put the file."""
        self.bucket.blob(name).upload_from_filename("plain")

    def get(self, name):
        """Get the file."""
        self.bucket.blob(name).download_to_filename("got")


class Azure:
    """A container of Azurite, moved to by Azure's client with as many connections as ours."""

    def __init__(self, started):
        """Start the server and make the container."""
        from azure.storage.blob import ContainerClient
        from tests.servers.azurite import start_azurite

        from flowyml_azure.storage import AzureArtifactStore

        data = Path("server").absolute()
        data.mkdir()
        azurite = start_azurite(data)
        started.callback(azurite.process.kill)
        address = azurite.connection_string()
        self.client = ContainerClient.from_connection_string(address, "bench")
        self.client.create_container()
        self.folders = AzureArtifactStore("bench", connection_string=address).folders()

    def put(self, _value, name):
        """Put the file."""
        with Path("plain").open("rb") as file:
            self.client.upload_blob(name, file, max_concurrency=8)

    def get(self, name):
        """Get the file."""
        with Path("got").open("wb") as file:
            self.client.download_blob(name, max_concurrency=8).readinto(file)


SERVICES = {"local": Disk, "s3": S3, "gcs": GCS, "azure": Azure}


def dump(value, place):
    """Pickle a model as one would by hand."""
    with place.open("wb") as file:
        pickle.dump(value, file, protocol=5)


def save(value, place):
    """Save an array as one would by hand."""
    with place.open("wb") as file:
        np.save(file, value)


WRITE = {
    "array": save,
    "frame": lambda value, place: value.to_parquet(place, compression=None),
    "model": dump,
    "folder": shutil.copytree,
}


def read_frame(place):
    """Read a frame as one would by hand."""
    import pandas as pd

    return pd.read_parquet(place)


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
    return result, seconds, (resident("VmHWM") - before) / 1024


def resident(name):
    """Return a figure of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def store(value, name):
    """Store the value, and return its URI."""
    packed = pack(value, type_name="bench", name="bench", producer=None, key=None)
    request = StoreRequest(path=name, manifest=packed.manifest, write=packed.write)
    return place.folders.store(request, key=None).uri


def load(uri):
    """Load the value and use it, for a memory map that nobody reads would cost nothing."""
    loaded = unpack(place.folders.load(uri), trusted=True)
    if kind == "array":
        loaded.sum()


with ExitStack() as started:
    place = SERVICES[service](started)
    value = MAKE[kind]()
    if service != "local":
        WRITE[kind](value, Path("plain"))
    figures = {"store": [], "load": [], "put": [], "get": [], "hash": [], "peak": [], "back": []}
    for number in range(rounds + 1):
        begun = time.perf_counter()
        hashed = place.put(value, f"plain-{number}") or 0.0
        put = time.perf_counter() - begun - hashed
        uri, stored, peak = peak_of(store, value, f"a/{number}")
        begun = time.perf_counter()
        place.get(f"plain-{number}")
        got = time.perf_counter() - begun
        _, loaded, back = peak_of(load, uri)
        row = (stored, loaded, put, got, hashed, peak, back)
        if number:  # the first round imports and connects
            for column, figure in zip(figures.values(), row, strict=True):
                column.append(figure)
        place.folders.delete(uri)
        plain = Path(f"plain-{number}")
        if plain.is_dir():
            shutil.rmtree(plain)
        else:
            plain.unlink(missing_ok=True)
print(json.dumps({name: statistics.median(column) for name, column in figures.items()}))
