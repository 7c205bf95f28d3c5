"""The stores that values are moved to, each with the plainest way to move the same bytes there."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

TOGETHER = 16
"""How many files of a folder the vendors' clients are given at once."""


def each(place, move):
    """Call something with a file, or with each file of a folder, many together."""
    if not place.is_dir():
        return move(place, "")
    with ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(lambda file: move(file, f"/{file.name}"), sorted(place.iterdir())))


class Disk:
    """The local disk, moved to by the plain call of the value's library."""

    url = None

    def __init__(self, _started, write, read):
        """Open the store."""
        from flowyml_local.storage import LocalArtifactStore

        self.write, self.read = write, read
        self.folders = LocalArtifactStore(path=Path("store").absolute()).folders()
        Path("fsspec").mkdir()
        self.fsspec = ("file", {}, str(Path("fsspec").absolute()))

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


class S3:
    """A bucket of SeaweedFS, moved to by boto3's transfer manager."""

    def __init__(self, started, *_):
        """Start the server and make the bucket."""
        from tests.servers.s3 import CREDENTIALS, start_seaweedfs

        os.environ.update(CREDENTIALS, AWS_DEFAULT_REGION="us-east-1")
        data = Path("server").absolute()
        data.mkdir()
        server = start_seaweedfs(data)
        started.callback(server.kill)
        self._connect(server.url)
        self.client.create_bucket(Bucket="bench")
        keys = dict(zip(("key", "secret"), CREDENTIALS.values(), strict=True))
        self.fsspec = ("s3", {**keys, "endpoint_url": server.url}, "bench/fsspec")

    def _connect(self, url):
        import boto3
        from botocore.config import Config

        from flowyml_aws.storage import S3ArtifactStore

        self.url = url
        pool = Config(max_pool_connections=TOGETHER)
        self.client = boto3.client("s3", endpoint_url=url, config=pool)
        self.folders = S3ArtifactStore("bench", endpoint_url=url).folders()

    def at(self, url):
        """Return the same store, reached by another address."""
        other = object.__new__(S3)
        other._connect(url)
        return other

    def put(self, _value, name):
        """Put the file, or the files."""
        each(
            Path("plain"),
            lambda file, end: self.client.upload_file(str(file), "bench", name + end),
        )

    def get(self, name):
        """Get the file, or the files."""
        many = Path("plain").is_dir()
        Path("got").mkdir(exist_ok=True)
        each(
            Path("plain"),
            lambda _file, end: self.client.download_file(
                "bench", name + end, f"got{end}" if many else "got/one"
            ),
        )


class GCS:
    """A bucket of the emulator, moved to by Google's client."""

    def __init__(self, started, *_):
        """Start the server and make the bucket."""
        from tests.servers.gcs import make_gcs_bucket, start_gcs

        data = Path("server").absolute()
        data.mkdir()
        server = start_gcs(data)
        started.callback(server.kill)
        make_gcs_bucket(server.url, "bench")
        self._connect(server.url)
        self.url = None  # uploads go to the address that the emulator names, past any proxy
        self.fsspec = ("gs", {"token": "anon", "endpoint_url": server.url}, "bench/fsspec")

    def _connect(self, url):
        from flowyml_gcp.storage import GCSArtifactStore

        store = GCSArtifactStore("bench", endpoint_url=url)
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

    def __init__(self, started, *_):
        """Start the server and make the container."""
        from tests.servers.azurite import start_azurite

        data = Path("server").absolute()
        data.mkdir()
        azurite = start_azurite(data)
        started.callback(azurite.process.kill)
        self.address = azurite.connection_string()
        self._connect(azurite.process.url)
        self.client.create_container()
        self.fsspec = ("abfs", {"connection_string": self.address}, "bench/fsspec")

    def _connect(self, url):
        from azure.storage.blob import ContainerClient

        from flowyml_azure.storage import AzureArtifactStore

        self.url = url
        self.client = ContainerClient.from_connection_string(self.address, "bench")
        self.folders = AzureArtifactStore("bench", connection_string=self.address).folders()

    def at(self, url):
        """Return the same store, reached by another address."""
        other = object.__new__(Azure)
        other.address = self.address.replace(self.url, url)
        other._connect(url)
        return other

    def put(self, _value, name):
        """Put the file."""
        with Path("plain").open("rb") as file:
            self.client.upload_blob(name, file, max_concurrency=8)

    def get(self, name):
        """Get the file."""
        with Path("got").open("wb") as file:
            self.client.download_blob(name, max_concurrency=8).readinto(file)


SERVICES = {"local": Disk, "s3": S3, "gcs": GCS, "azure": Azure}


def clear(name):
    """Remove a file or a folder, where there is one."""
    place = Path(name)
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
