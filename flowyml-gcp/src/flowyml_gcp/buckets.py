"""The objects of one bucket of Cloud Storage, as the engine of `flowyml.storage` wants them.

Every write that must not replace anything carries ``ifGenerationMatch``, so the server decides. A
large file goes up as parts of its own, in parallel, and is composed on the server, in rounds if it
has many. The parts that an earlier attempt sent are found by their digest and not sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from http.client import PARTIAL_CONTENT
from pathlib import Path
from typing import Any, Final

from attrs import define, field

from flowyml.errors import IntegrityError
from flowyml.records import StoredFile
from flowyml.storage.buckets import Listed, Snapshot
from flowyml.storage.hashing import PIECE, write_whole
from flowyml.storage.transfers import moved
from flowyml_gcp.parts import Part, cut, parts_of

__all__ = ["GCSBucket"]

PART_SIZE: Final = 16 * 2**20
"""What goes up in one request; a larger file goes up in parts."""

MOST_PARTS: Final = 32
"""What Cloud Storage composes in one call."""

MOST_TRIES: Final = 3
"""How often parts are sent that somebody else took away."""

TOGETHER: Final = 8
"""Requests of one file at a time; the client keeps ten connections."""

IN_MEMORY: Final = 3
"""Parts that are sent at a time, each of them in memory."""

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
    def _calling(self) -> Mapping[str, Any]:
        """How calls wait and are tried again; each of them may be made twice without harm."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        patient = DEFAULT_RETRY.with_timeout(max(PATIENCE, 2 * self.timeout))
        return {"timeout": self.timeout, "retry": patient.with_delay(initial=FIRST_PAUSE)}

    @cached_property
    def _bucket(self) -> Any:
        return self.client.bucket(self.name)

    def _blob(self, name: str, sha256: str | None = None) -> Any:
        key = f"{self.prefix}/{name}" if self.prefix else name
        blob = self._bucket.blob(key, kms_key_name=self.kms_key_name)
        if sha256:
            blob.metadata = {DIGEST: sha256}
            if self.storage_class:
                blob.storage_class = self.storage_class
        return blob

    def read(self, name: str, limit: int) -> Snapshot:
        """Read a small object; its version is its generation."""
        blob = self._blob(name)
        with _missing(name):
            blob.reload(**self._calling)
            if blob.size > limit:
                message = f"{self.uri}/{name} is longer than the {limit} bytes that it may have"
                raise IntegrityError(message)
            content = blob.download_as_bytes(
                if_generation_match=blob.generation, **self._calling, checksum="crc32c"
            )
        return Snapshot(content, str(blob.generation))

    def swap(self, name: str, content: bytes, version: str | None) -> None:
        """Write a small object if it is in a known state, decided by the server."""
        blob = self._blob(name)
        if self.storage_class:
            blob.storage_class = self.storage_class
        try:
            with _taken(name):
                blob.upload_from_string(
                    content,
                    content_type="application/octet-stream",
                    if_generation_match=int(version or 0),
                    checksum="crc32c",
                    **self._calling,
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
        blob = self._blob(name, file.sha256)
        if file.size > PART_SIZE:
            self._compose(blob, name, path, file)
            return
        with path.open("rb") as content, _taken(name):
            blob.upload_from_string(
                content.read(),
                content_type="application/octet-stream",
                if_generation_match=0,
                checksum="crc32c",
                **self._calling,
            )

    def _compose(self, blob: Any, name: str, path: Path, file: StoredFile) -> None:
        try:
            whole = self._composed(blob, name, path, file)
        except FileExistsError:
            self._tidy(file)  # an attempt that was killed may have been as far as this
            raise
        if blob.crc32c != whole:
            blob.delete(**self._calling)
        self._tidy(file)
        if blob.crc32c != whole:
            message = f"{self.uri}/{name} came together as other bytes than were sent; try again"
            raise IntegrityError(message)

    def _composed(self, blob: Any, name: str, path: Path, file: StoredFile) -> str:
        """Send the parts that are not there, then compose them; return the CRC-32C to expect.

        Whoever uploads the same content to another name takes the parts away once it is done with
        them; they are sent again then.
        """
        from google.api_core.exceptions import NotFound

        if blob.exists(**self._calling):
            raise FileExistsError(name)  # before hours of uploading, not after
        parts, whole = cut(path, file, PART_SIZE)
        for left in range(MOST_TRIES - 1, -1, -1):
            self._send_missing(parts, path, file)
            try:
                sources = self._joined([part.name for part in parts], file)
                with _taken(name):
                    self._join(blob, sources, if_generation_match=0)
                break
            except NotFound:
                if not left:
                    raise
        return whole

    def _joined(self, names: Sequence[str], file: StoredFile) -> Sequence[str]:
        """Compose more objects than go into one call until they do; return what is left."""
        rounds = 0
        while len(names) > MOST_PARTS:
            rounds += 1
            groups = [names[n : n + MOST_PARTS] for n in range(0, len(names), MOST_PARTS)]
            names = [f"{parts_of(file)}joined.{rounds}.{n}" for n in range(len(groups))]
            with ThreadPoolExecutor(TOGETHER) as threads:
                deque(threads.map(self._join, map(self._blob, names), groups), maxlen=0)
        return names

    def _join(self, blob: Any, names: Sequence[str], **condition: int) -> None:
        blob.content_type = "application/octet-stream"
        blob.compose([self._blob(name) for name in names], **condition, **self._calling)

    def _send_missing(self, parts: Sequence[Part], path: Path, file: StoredFile) -> None:
        sent = {one.name: one.size for one in self.find(parts_of(file))}
        missing = [part for part in parts if sent.get(part.name) != part.size]
        with ThreadPoolExecutor(IN_MEMORY) as threads:
            sending = [threads.submit(self._send, path, part) for part in missing]
            try:
                for part, done in zip(missing, sending, strict=True):
                    done.result()
                    moved(part.size)
            except BaseException:
                threads.shutdown(wait=True, cancel_futures=True)
                raise

    def _tidy(self, file: StoredFile) -> None:
        """Take away the parts of a file."""
        self.delete([one.name for one in self.find(parts_of(file))])

    def _send(self, path: Path, part: Part) -> None:
        with path.open("rb") as content:
            content.seek(part.offset)
            blob = self._blob(part.name)
            blob.crc32c = part.crc32c
            blob.upload_from_string(
                content.read(part.size),
                content_type="application/octet-stream",
                checksum="crc32c",
                **self._calling,
            )

    def copy(self, source: str, target: str, file: StoredFile) -> None:
        """Copy an object on the server's side into a new one."""
        made, token = self._blob(target, file.sha256), None
        with _missing(source), _taken(target):
            while True:
                token, _, _ = made.rewrite(
                    self._blob(source), token=token, if_generation_match=0, **self._calling
                )
                if token is None:
                    return

    def sha256(self, name: str) -> str:
        """Return the kept digest of an object, or read it."""
        blob = self._blob(name)
        with _missing(name):
            blob.reload(**self._calling)
            kept: Mapping[str, str] = blob.metadata or {}
            if DIGEST in kept:
                return kept[DIGEST]
            hashed = hashlib.sha256()
            with blob.open("rb", chunk_size=PIECE, **self._calling) as content:
                while piece := content.read(PIECE):
                    hashed.update(piece)
        return hashed.hexdigest()

    def download(self, name: str, path: Path) -> None:
        """Get an object into a new local file; a large one in parallel ranges."""
        blob = self._blob(name)
        with _missing(name):
            blob.reload(**self._calling)
            if blob.size <= PART_SIZE:
                blob.download_to_filename(str(path), checksum="crc32c", **self._calling)
                return
            path.touch(exist_ok=False)
            fetch = self._calling["retry"](self._fetch)
            with ThreadPoolExecutor(TOGETHER) as threads:
                starts = range(0, blob.size, PART_SIZE)
                fetching = [threads.submit(fetch, blob, path, start) for start in starts]
                try:
                    for done in fetching:
                        done.result()
                except BaseException:
                    threads.shutdown(wait=True, cancel_futures=True)
                    raise

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
            self.name, prefix=root + prefix, fields=FIELDS, **self._calling
        ):
            yield Listed(blob.name.removeprefix(root), int(blob.size or 0), blob.updated)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; a missing one is no error."""
        with ThreadPoolExecutor(TOGETHER) as threads:
            for done in [threads.submit(self._delete, name) for name in names]:
                done.result()

    def _delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), _missing(name):
            self._blob(name).delete(**self._calling)


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


@contextlib.contextmanager
def _taken(name: str) -> Iterator[None]:
    from google.api_core.exceptions import PreconditionFailed

    try:
        yield
    except PreconditionFailed as cause:
        raise FileExistsError(name) from cause
