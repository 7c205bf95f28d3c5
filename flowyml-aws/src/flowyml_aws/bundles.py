"""``model.tar.gz``: a stored model in the form that SageMaker serves.

It lies beside the stored artifact, never inside of its folder, under the artifact's own name with
the first digits of its digest and ``.model.tar.gz``, and is made from verified files. The same
artifact gives the same name, so a bundle that was made before is found again. Inside are the
artifact's files, ``flowyml.json`` with what the program has to know, and the program itself as
``code/inference.py``.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from attrs import frozen

from flowyml.errors import DeliveryError, IntegrityError
from flowyml.records import Manifest, StoredFile
from flowyml.storage.files import FileSource
from flowyml.storage.hashing import HashingWriter
from flowyml.storage.scratch import scratch_home
from flowyml_aws.images import FRAMEWORKS
from flowyml_aws.storage import S3ArtifactStore

__all__ = ["STARTING", "Bundle", "bundle_uri", "find_bundle", "make_bundle", "verify_bundle"]

PROGRAM = "inference.py"
STARTING: Final = MappingProxyType(
    {"SAGEMAKER_PROGRAM": PROGRAM, "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
)
"""The environment variables that tell AWS's containers to run the program inside."""

COMPRESSION = 1
"""Model files hardly get smaller; the time goes into hashing and sending."""


@frozen
class Bundle:
    """A ``model.tar.gz`` that lies in S3.

    Attributes:
        uri: Where.
        sha256: Hexadecimal SHA-256 of it.
    """

    uri: str
    sha256: str


def bundle_uri(uri: str, digest: str) -> str:
    """Return where the bundle of an artifact lies."""
    return f"{uri}.{digest.removeprefix('sha256:')[:16]}.model.tar.gz"


def find_bundle(store: S3ArtifactStore, uri: str, digest: str) -> Bundle | None:
    """Return the bundle of an artifact if it was made before.

    Args:
        store: Reads the bucket.
        uri: The artifact.
        digest: Its digest.
    """
    name, folder = _split(bundle_uri(uri, digest))
    bucket = store.bucket_of(*folder)
    try:
        return Bundle(f"{bucket.uri}/{name}", bucket.sha256(name))
    except FileNotFoundError:
        return None


def make_bundle(store: S3ArtifactStore, uri: str, digest: str, *, framework: str | None) -> Bundle:
    """Return the bundle of a stored model, made if it is not there.

    Args:
        store: Reads the artifact and writes the bundle.
        uri: The artifact.
        digest: The digest that it must have.
        framework: `Model.framework`, which says what the container needs besides.

    Raises:
        IntegrityError: The artifact has another digest.
        DeliveryError: An extension transformed its files, so that no container could read them.
    """
    if found := find_bundle(store, uri, digest):
        return found
    source = store.load_artifact(uri)
    _check(source.manifest, uri, digest)
    name, folder = _split(bundle_uri(uri, digest))
    bucket = store.bucket_of(*folder)
    with tempfile.TemporaryDirectory(dir=scratch_home()) as local:
        path = Path(local) / "model.tar.gz"
        size, sha256 = _write(path, source, framework)
        try:
            bucket.upload(name, path, StoredFile("model.tar.gz", size, sha256))
        except FileExistsError:  # somebody made it at the same time, maybe with other versions
            return Bundle(f"{bucket.uri}/{name}", bucket.sha256(name))
    return Bundle(f"{bucket.uri}/{name}", sha256)


def verify_bundle(store: S3ArtifactStore, bundle: Bundle, *, expected: str | None) -> None:
    """Read a whole bundle and compare its digest, before anything serves it.

    Args:
        store: Reads the bucket.
        bundle: The bundle.
        expected: Digest that was registered; None where only the one kept with it is known.

    Raises:
        IntegrityError: It is not what was made, or not what was registered.
    """
    name, folder = _split(bundle.uri)
    actual = store.bucket_of(*folder).hashed(name)
    for claimed in filter(None, (bundle.sha256, expected)):
        if actual != claimed:
            message = (
                f"{bundle.uri} has SHA-256 {actual}, and {claimed} was made and registered; it is "
                "not deployed. Delete it and register the model again"
            )
            raise IntegrityError(message)


def _check(manifest: Manifest, uri: str, digest: str) -> None:
    if manifest.digest != digest:
        message = (
            f"{uri} has the digest {manifest.digest}, and {digest} was to be registered; "
            "the artifact was replaced after it was stored"
        )
        raise IntegrityError(message)
    if manifest.filters:
        message = (
            f"the files of {uri} went through {', '.join(manifest.filters)}, which SageMaker's "
            "containers cannot undo; store models without that extension"
        )
        raise DeliveryError(message)


def _write(path: Path, source: FileSource, framework: str | None) -> tuple[int, str]:
    writer = HashingWriter(str(path))
    with io.BufferedWriter(writer) as file:
        packed = gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0)  # the same bytes every time
        with packed, tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for name, content in _own_files(source.manifest, framework):
                _add(archive, name, len(content), io.BytesIO(content))
            for stored in source.manifest.files:
                with source.open(stored.name) as data:
                    _add(archive, stored.name, stored.size, data)
    return writer.digest()


def _own_files(manifest: Manifest, framework: str | None) -> Iterator[tuple[str, bytes]]:
    program = resources.files("flowyml_aws").joinpath("container", PROGRAM).read_bytes()
    yield f"code/{PROGRAM}", program
    if requirements := _requirements(framework):
        yield "code/requirements.txt", requirements.encode()
    facts = {
        "serializer": manifest.serializer,
        "python_type": manifest.python_type,
        "files": [file.name for file in manifest.files],
        "name": manifest.name,
        "version": manifest.version,
        "digest": manifest.digest,
    }
    yield "flowyml.json", json.dumps(facts, indent=1, sort_keys=True).encode()


def _requirements(framework: str | None) -> str:
    """Name the packages that the container needs, in the versions that the model was made with."""
    container = FRAMEWORKS.get(framework or "")
    lines = []
    for package in container.packages if container else ():
        try:
            lines.append(f"{package}=={version(package)}\n")
        except PackageNotFoundError:
            continue
    lines += [f"{package}\n" for package in container.runtime] if container else []
    return "".join(lines)


def _add(archive: tarfile.TarFile, name: str, size: int, content: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    archive.addfile(entry, content)


def _split(uri: str) -> tuple[str, tuple[str, str]]:
    """Return the last part of a URI, and the bucket and prefix that it is in."""
    folder, _, name = uri.rpartition("/")
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    return name, (bucket, prefix)
