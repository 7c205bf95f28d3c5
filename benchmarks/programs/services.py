"""The stores that values are moved to, each with the plainest way to move the same bytes there."""

import copy
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

TOGETHER = 16
"""How many files of a folder the vendors' clients are given at once."""

PLAIN, GOT = Path("plain"), Path("got")
"""What the vendors' clients send, a file or a folder, and where they put what they fetch."""


class Disk:
    """The local disk, moved to by the plain call of the value's library."""

    url = None

    def __init__(self, _started, write, read):
        """Open the store."""
        from flowyml_local.storage import LocalArtifactStore

        self.write, self.read = write, read
        self.folders = LocalArtifactStore(path=Path("store").absolute()).folders()
        self.fsspec = ("file", {}, str(folder_of("fsspec")))

    def put(self, value, name):
        """Write it plainly; of writing and hashing the same bytes the slower one counts."""
        self.write(value, Path(name))
        if not hasattr(value, "dtype"):
            return 0.0
        started = time.perf_counter()
        sha256(memoryview(value).cast("B"))
        return time.perf_counter() - started

    def get(self, name):
        """Read it plainly."""
        self.read(Path(name))


class Bucket:
    """An object store, whose client sends and fetches one file a call."""

    def at(self, url):
        """Return the same store, reached by another address."""
        other = copy.copy(self)
        other.connect(url)
        return other

    def put(self, _value, name):
        """Send the file, or the files many together."""
        each(lambda file, end: self.send(file, name + end))

    def get(self, name):
        """Fetch the file, or the files many together."""
        if PLAIN.is_dir():
            GOT.mkdir()
        each(lambda _file, end: self.fetch(name + end, Path(f"{GOT}{end}")))


class S3(Bucket):
    """A bucket of SeaweedFS, moved to by boto3's transfer manager."""

    def __init__(self, started, *_):
        """Start the server and make the bucket."""
        from tests.servers.s3 import CREDENTIALS, start_seaweedfs

        os.environ.update(CREDENTIALS, AWS_DEFAULT_REGION="us-east-1")
        server = start_seaweedfs(folder_of("server"))
        started.callback(server.kill)
        self.connect(server.url)
        self.client.create_bucket(Bucket="bench")
        keys = dict(zip(("key", "secret"), CREDENTIALS.values(), strict=True))
        self.fsspec = ("s3", {**keys, "endpoint_url": server.url}, "bench/fsspec")

    def connect(self, url):
        """Make the client and the store."""
        import boto3
        from botocore.config import Config

        from flowyml_aws.storage import S3ArtifactStore

        self.url = url
        pool = Config(max_pool_connections=TOGETHER)
        self.client = boto3.client("s3", endpoint_url=url, config=pool)
        self.folders = S3ArtifactStore("bench", endpoint_url=url).folders()

    def send(self, path, name):
        """Put a file."""
        self.client.upload_file(str(path), "bench", name)

    def fetch(self, name, path):
        """Get a file."""
        self.client.download_file("bench", name, str(path))


class GCS(Bucket):
    """A bucket of the emulator, moved to by Google's client."""

    def __init__(self, started, *_):
        """Start the server and make the bucket."""
        from tests.servers.gcs import make_gcs_bucket, start_gcs

        server = start_gcs(folder_of("server"))
        started.callback(server.kill)
        make_gcs_bucket(server.url, "bench")
        self.connect(server.url)
        self.fsspec = ("gs", {"token": "anon", "endpoint_url": server.url}, "bench/fsspec")

    def connect(self, url):
        """Make the client and the store, and let the emulator name this address in its answers."""
        import requests

        from flowyml_gcp.storage import GCSArtifactStore

        self.url = url
        requests.put(f"{url}/_internal/config", json={"externalUrl": url}, timeout=60)
        store = GCSArtifactStore("bench", endpoint_url=url)
        self.folders = store.folders()
        self.bucket = store.objects.client.bucket("bench")

    def send(self, path, name):
        """Put a file."""
        self.bucket.blob(name).upload_from_filename(path)

    def fetch(self, name, path):
        """Get a file."""
        self.bucket.blob(name).download_to_filename(path)


class Azure(Bucket):
    """A container of Azurite, moved to by Azure's client with as many connections as ours."""

    def __init__(self, started, *_):
        """Start the server and make the container."""
        from tests.servers.azurite import start_azurite

        azurite = start_azurite(folder_of("server"))
        started.callback(azurite.process.kill)
        self.url, self.address = azurite.process.url, azurite.connection_string()
        self.connect(self.url)
        self.client.create_container()
        self.fsspec = ("abfs", {"connection_string": self.address}, "bench/fsspec")

    def connect(self, url):
        """Make the client and the store."""
        from azure.storage.blob import ContainerClient

        from flowyml_azure.storage import AzureArtifactStore

        self.url, self.address = url, self.address.replace(self.url, url)
        self.client = ContainerClient.from_connection_string(self.address, "bench")
        self.folders = AzureArtifactStore("bench", connection_string=self.address).folders()

    def send(self, path, name):
        """Put a file."""
        with path.open("rb") as file:
            self.client.upload_blob(name, file, max_concurrency=8)

    def fetch(self, name, path):
        """Get a file."""
        with path.open("wb") as file:
            self.client.download_blob(name, max_concurrency=8).readinto(file)


SERVICES = {"local": Disk, "s3": S3, "gcs": GCS, "azure": Azure}


def each(move):
    """Call something with the plain file, or with each file of the folder, many together."""
    if not PLAIN.is_dir():
        move(PLAIN, "")
        return
    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(lambda file: move(file, f"/{file.name}"), sorted(PLAIN.iterdir())))


def folder_of(name):
    """Make a folder, and return where it is."""
    place = Path(name).absolute()
    place.mkdir()
    return place


def clear(name):
    """Remove a file or a folder, where there is one."""
    place = Path(name)
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
