"""The objects of one bucket of Cloud Storage, as the engine of `flowyml.storage` wants them.

Every write that must not replace anything carries ``ifGenerationMatch``, so the server decides. A
large file goes up as parts of its own, in parallel, and is composed on the server, in rounds if it
has many. The parts that an earlier attempt sent are found by their digest and not sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from http.client import PARTIAL_CONTENT
from pathlib import Path
from typing import Any, Final

from attrs import define, field

from flowyml.errors import IntegrityError
from flowyml.records import StoredFile
from flowyml.storage.buckets import Listed, Snapshot
from flowyml.storage.hashing import PIECE, write_whole
from flowyml_gcp.parts import Composition, making

__all__ = ["GCSBucket"]

PART_SIZE: Final = 16 * 2**20
"""What goes up in one request; a larger file goes up in parts."""

TOGETHER: Final = 8
"""Requests of one file at a time; the client keeps ten connections."""

FIRST_PAUSE: Final = 1.0
"""Most seconds before a call that failed is made again; the next pauses grow."""

PATIENCE: Final = 120.0
"""Seconds for which a call is tried again and again."""

DIGEST: Final = "flowyml-sha256"
"""The user metadata that keeps an object's SHA-256."""

FIELDS: Final = "items(name,size,updated),nextPageToken"


@define(slots=False, eq=False)
class GCSBucket:
    """Objects below a prefix of a bucket; one client, which threads share.

    Attributes:
        name: The bucket.
        prefix: Prefix of all names, without slashes around it; empty for the whole bucket.
        project: Project that is billed for the client's calls.
        endpoint_url: Another address; over plain ``http`` no credentials are sent.
        kms_key_name: Key that new objects are encrypted with.
        storage_class: Storage class of new objects.
        timeout: Seconds without an answer after which a call is tried again.
    """

    name: str
    prefix: str = ""
    project: str | None = None
    endpoint_url: str | None = None
    kms_key_name: str | None = None
    storage_class: str | None = None
    timeout: float = field(default=60.0)

    @property
    def uri(self) -> str:
        """URI of the root."""
        return "gs://" + "/".join(part for part in (self.name, self.prefix) if part)

    @cached_property
    def client(self) -> Any:
        """The client; making it asks nobody."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        if self.endpoint_url and self.endpoint_url.startswith("http://"):
            return storage.Client(
                project=self.project or "none",
                credentials=AnonymousCredentials(),
                client_options={"api_endpoint": self.endpoint_url},
            )
        options = {"api_endpoint": self.endpoint_url} if self.endpoint_url else None
        return storage.Client(project=self.project, client_options=options)

    @cached_property
    def calling(self) -> Mapping[str, Any]:
        """How calls wait and are tried again; each of them may be made twice without harm."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        patient = DEFAULT_RETRY.with_timeout(max(PATIENCE, 2 * self.timeout))
        return {"timeout": self.timeout, "retry": patient.with_delay(initial=FIRST_PAUSE)}

    @cached_property
    def _bucket(self) -> Any:
        return self.client.bucket(self.name)

    def blob(self, name: str, sha256: str | None = None) -> Any:
        """Return the client's handle for an object; a new one is made with its digest."""
        key = f"{self.prefix}/{name}" if self.prefix else name
        blob = self._bucket.blob(key, kms_key_name=self.kms_key_name)
        if sha256:
            blob.metadata = {DIGEST: sha256}
            if self.storage_class:
                blob.storage_class = self.storage_class
        return blob

    def read(self, name: str, limit: int) -> Snapshot:
        """Read a small object; its version is its generation."""
        blob = self.blob(name)
        with _missing(name):
            blob.reload(**self.calling)
            if blob.size > limit:
                message = f"{self.uri}/{name} is longer than the {limit} bytes that it may have"
                raise IntegrityError(message)
            content = blob.download_as_bytes(
                if_generation_match=blob.generation, **self.calling, checksum="crc32c"
            )
        return Snapshot(content, str(blob.generation))

    def swap(self, name: str, content: bytes, version: str | None) -> None:
        """Write a small object if it is in a known state, decided by the server."""
        blob = self.blob(name)
        if self.storage_class:
            blob.storage_class = self.storage_class
        try:
            with making(blob, name):
                blob.upload_from_string(
                    content,
                    content_type="application/octet-stream",
                    if_generation_match=int(version or 0),
                    checksum="crc32c",
                    **self.calling,
                )
        except FileExistsError:
            # The client tries again by itself: the first attempt may be what it met.
            if self._content(name, len(content)) != content:
                raise

    def _content(self, name: str, limit: int) -> bytes | None:
        try:
            return self.read(name, limit).content
        except (FileNotFoundError, IntegrityError):
            return None

    def upload(self, name: str, path: Path, file: StoredFile) -> None:
        """Put a local file into a new object; a large one in parallel parts."""
        blob = self.blob(name, file.sha256)
        if file.size > PART_SIZE:
            Composition(self, name, path, file, PART_SIZE).make(blob)
            return
        with path.open("rb") as content, making(blob, name):
            blob.upload_from_string(
                content.read(),
                content_type="application/octet-stream",
                if_generation_match=0,
                checksum="crc32c",
                **self.calling,
            )

    def copy(self, source: str, target: str, file: StoredFile) -> None:
        """Copy an object on the server's side into a new one."""
        made, token = self.blob(target, file.sha256), None
        with _missing(source), making(made, target):
            while True:
                token, _, _ = made.rewrite(
                    self.blob(source), token=token, if_generation_match=0, **self.calling
                )
                if token is None:
                    return

    def sha256(self, name: str) -> str:
        """Return the kept digest of an object, or read it."""
        blob = self.blob(name)
        with _missing(name):
            blob.reload(**self.calling)
            kept: Mapping[str, str] = blob.metadata or {}
            if DIGEST in kept:
                return kept[DIGEST]
            hashed = hashlib.sha256()
            with blob.open("rb", chunk_size=PIECE, **self.calling) as content:
                while piece := content.read(PIECE):
                    hashed.update(piece)
        return hashed.hexdigest()

    def download(self, name: str, path: Path) -> None:
        """Get an object into a new local file; a large one in parallel ranges."""
        blob = self.blob(name)
        with _missing(name):
            blob.reload(**self.calling)
            if blob.size <= PART_SIZE:
                blob.download_to_filename(str(path), checksum="crc32c", **self.calling)
                return
            path.touch(exist_ok=False)
            fetch = self.calling["retry"](self._fetch)
            starts = range(0, blob.size, PART_SIZE)
            _do_all(partial(fetch, blob, path, start) for start in starts)

    def _fetch(self, blob: Any, path: Path, start: int) -> None:
        """Get one range of an object into its place in a file.

        The body is read here because the client hands one over in pieces of 8 KiB, for each of
        which all threads wait for one another.
        """
        from google.api_core.exceptions import from_http_response

        end = min(start + PART_SIZE, blob.size)
        session = self.client._http  # noqa: SLF001  # it signs, and keeps its connections
        with session.get(
            f"{self.client.api_endpoint}/download/storage/v1{blob.path}?alt=media",
            headers={"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"},
            stream=True,
            timeout=self.timeout,
        ) as answer:
            if answer.status_code != PARTIAL_CONTENT:
                raise from_http_response(answer)
            with path.open("r+b", buffering=0) as file:
                file.seek(start)
                for piece in answer.iter_content(PIECE):
                    write_whole(file.fileno(), memoryview(piece))
                if file.tell() != end:
                    message = f"the answer ended {end - file.tell()} bytes before its end"
                    raise ConnectionError(message)

    def find(self, prefix: str) -> Iterator[Listed]:
        """List all objects whose names begin with a prefix, page by page."""
        root = f"{self.prefix}/" if self.prefix else ""
        for blob in self.client.list_blobs(
            self.name, prefix=root + prefix, fields=FIELDS, **self.calling
        ):
            yield Listed(blob.name.removeprefix(root), int(blob.size or 0), blob.updated)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; a missing one is no error, and after one that fails no other is begun."""
        _do_all(partial(self._delete, name) for name in names)

    def _delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), _missing(name):
            self.blob(name).delete(**self.calling)


def _do_all(calls: Iterable[Callable[[], object]]) -> None:
    """Make some calls at a time; after one that fails no other is begun."""
    with ThreadPoolExecutor(TOGETHER) as threads:
        doing = [threads.submit(call) for call in calls]
        try:
            for done in doing:
                done.result()
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise


@contextlib.contextmanager
def _missing(name: str) -> Iterator[None]:
    """Tell an object that is not there from a bucket that is not there."""
    from google.api_core.exceptions import NotFound

    try:
        yield
    except NotFound as cause:
        if "bucket does not exist" in str(cause).lower():
            raise
        raise FileNotFoundError(name) from cause
