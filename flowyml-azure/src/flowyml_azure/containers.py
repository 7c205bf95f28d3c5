"""The blobs of one container, as the engine of `flowyml.storage` wants them.

Every write that must not replace anything carries ``If-None-Match: *``, so the server decides. A
large file goes up in blocks, in parallel, each with its MD5. A block is named after the content, so
what an earlier attempt sent is found among the uncommitted blocks and not sent again.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import define, field, frozen

from flowyml.errors import ConfigurationError, DeliveryError, IntegrityError
from flowyml.records import StoredFile
from flowyml.storage.buckets import Listed, Snapshot
from flowyml.storage.transfers import moved
from flowyml_azure.faults import code_of

__all__ = ["AzureContainer"]

T = TypeVar("T")

BLOCK_SIZE: Final = 8 * 2**20
"""What goes up in one request; a larger file goes up in blocks."""

MOST_BLOCKS: Final = 50_000
"""What Azure commits into one blob."""

TOGETHER: Final = 8
"""Requests of one file at a time."""

PAUSE: Final = 2
"""Seconds before a call that failed is made again; each further pause is so many times as long."""

ATTEMPTS: Final = 4
"""How often a call that failed is made again."""

DIGEST: Final = "flowymlsha256"
"""The user metadata that keeps a blob's SHA-256; Azure takes no dashes there."""

SIGN: Final = "x-ms-request-id"
"""The header that Azure gives to each of its answers."""

REFUSED: Final = 400
"""From this status on the client raises by itself."""

GONE: Final = frozenset({"BlobNotFound", "ResourceNotFound", "ResourceNotFoundError"})
TAKEN: Final = frozenset({"BlobAlreadyExists", "ConditionNotMet", "UnauthorizedBlobOverwrite"})


@frozen
class _Block:
    name: str
    offset: int
    size: int


@define(slots=False, eq=False)
class AzureContainer:
    """Blobs below a prefix of a container; one client, which threads share.

    Attributes:
        name: The container.
        prefix: Prefix of all names, without slashes around it; empty for the whole container.
        account_name: The storage account, reached with the default Azure credential.
        connection_string: Address and key in one, in place of account and credential.
        timeout: Seconds without an answer after which a call is tried again.
    """

    name: str
    prefix: str = ""
    account_name: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    timeout: int = 60

    @property
    def uri(self) -> str:
        """URI of the root."""
        return "az://" + "/".join(part for part in (self.name, self.prefix) if part)

    @cached_property
    def client(self) -> Any:
        """The client of the container; making it asks nobody."""
        from azure.storage.blob import ContainerClient, ExponentialRetry

        # By itself it would begin with a pause of 18 seconds.
        retry = ExponentialRetry(0, PAUSE, retry_total=ATTEMPTS, random_jitter_range=PAUSE / 2)
        calling: Mapping[str, Any] = {
            "connection_timeout": self.timeout,
            "read_timeout": self.timeout,
            "retry_policy": retry,
            "raw_response_hook": _refuse_foreign,
        }
        if self.connection_string:
            try:
                return ContainerClient.from_connection_string(
                    self.connection_string, self.name, **calling
                )
            except ValueError:  # what it says may hold the key
                message = "the connection string is malformed; copy it from the Azure portal"
                raise ConfigurationError(message) from None
        from azure.identity import DefaultAzureCredential

        address = f"https://{self.account_name}.blob.core.windows.net"
        return ContainerClient(address, self.name, DefaultAzureCredential(), **calling)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _blob(self, name: str) -> Any:
        return self.client.get_blob_client(self._key(name))

    def read(self, name: str, limit: int) -> Snapshot:
        """Read a small blob; its version is its ETag."""
        with _missing(name):
            stream = self._blob(name).download_blob(max_concurrency=1)
            if stream.size > limit:
                message = f"{self.uri}/{name} is longer than the {limit} bytes that it may have"
                raise IntegrityError(message)
            return Snapshot(stream.readall(), stream.properties.etag)

    def swap(self, name: str, content: bytes, version: str | None) -> None:
        """Write a small blob if it is in a known state, decided by the server."""
        try:
            self._put(name, content, version, {})
        except FileExistsError:
            # The client tries again by itself: the first attempt may be what it met.
            if self._content(name, len(content)) != content:
                raise

    def _put(
        self, name: str, content: bytes, version: str | None, metadata: Mapping[str, str]
    ) -> None:
        from azure.core import MatchConditions

        condition = (
            {"etag": version, "match_condition": MatchConditions.IfNotModified} if version else {}
        )
        with _taken(name):
            self._blob(name).upload_blob(
                content,
                overwrite=version is not None,
                metadata=dict(metadata),
                validate_content=True,
                **condition,
            )

    def _content(self, name: str, limit: int) -> bytes | None:
        try:
            return self.read(name, limit).content
        except (FileNotFoundError, IntegrityError):
            return None

    def upload(self, name: str, path: Path, file: StoredFile) -> None:
        """Put a local file into a new blob; a large one in parallel blocks."""
        if file.size <= BLOCK_SIZE:
            self._put(name, path.read_bytes(), None, {DIGEST: file.sha256})
            return
        blob = self._blob(name)
        if blob.exists():
            raise FileExistsError(name)  # before hours of uploading, not after
        blocks = _blocks(file)
        sent = self._sent(blob)
        missing = [block for block in blocks if sent.get(block.name) != block.size]
        _together(lambda block: _send(blob, path, block), missing, lambda block: moved(block.size))
        self._commit(name, blob, blocks, file)

    def _sent(self, blob: Any) -> dict[str, int]:
        """Return the size of each block that lies uncommitted on the server."""
        try:
            with _missing(blob.blob_name):
                _, uncommitted = blob.get_block_list("uncommitted")
        except FileNotFoundError:
            return {}
        return {block.id: int(block.size) for block in uncommitted}

    def _commit(self, name: str, blob: Any, blocks: Sequence[_Block], file: StoredFile) -> None:
        from azure.core import MatchConditions
        from azure.storage.blob import BlobBlock

        with _taken(name):
            blob.commit_block_list(
                [BlobBlock(block_id=block.name) for block in blocks],
                metadata={DIGEST: file.sha256},
                match_condition=MatchConditions.IfMissing,
            )

    def copy(self, source: str, target: str, file: StoredFile) -> None:
        """Copy a blob on the server's side into a new one."""
        from azure.core import MatchConditions

        made = self._blob(target)
        with _missing(source), _taken(target):
            begun = made.start_copy_from_url(
                self._blob(source).url,
                metadata={DIGEST: file.sha256},
                match_condition=MatchConditions.IfMissing,
            )
        if begun["copy_status"] != "success":  # only copies between accounts take their time
            made.abort_copy(begun["copy_id"])
            made.delete_blob()
            message = f"Azure did not copy {source} to {target} at once; it will be sent instead"
            raise DeliveryError(message, transient=True)

    def sha256(self, name: str) -> str:
        """Return the kept digest of a blob, or read it."""
        blob = self._blob(name)
        with _missing(name):
            kept: Mapping[str, str] = blob.get_blob_properties().metadata or {}
            if DIGEST in kept:
                return kept[DIGEST]
            hashed = hashlib.sha256()
            for piece in blob.download_blob(max_concurrency=1).chunks():
                hashed.update(piece)
        return hashed.hexdigest()

    def download(self, name: str, path: Path) -> None:
        """Get a blob into a new local file, in parallel ranges."""
        with _missing(name):
            stream = self._blob(name).download_blob(max_concurrency=TOGETHER)
            with path.open("xb") as file:
                stream.readinto(file)

    def find(self, prefix: str) -> Iterator[Listed]:
        """List all blobs whose names begin with a prefix, page by page."""
        root = f"{self.prefix}/" if self.prefix else ""
        for blob in self.client.list_blobs(name_starts_with=root + prefix):
            yield Listed(blob.name.removeprefix(root), int(blob.size), blob.last_modified)

    def delete(self, names: Sequence[str]) -> None:
        """Delete blobs; a missing one is no error."""
        _together(self._delete, names)

    def _delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), _missing(name):
            self._blob(name).delete_blob()


def _together(
    call: Callable[[T], object], things: Sequence[T], told: Callable[[T], object] = lambda _: None
) -> None:
    """Make a call for each thing, some at a time, and tell of each that is done.

    After one that fails no other is begun: where nobody answers, each of them would wait for long.
    """
    with ThreadPoolExecutor(TOGETHER) as threads:
        calling = [threads.submit(call, thing) for thing in things]
        try:
            for thing, done in zip(things, calling, strict=True):
                done.result()
                told(thing)
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise


def _send(blob: Any, path: Path, block: _Block) -> None:
    with path.open("rb") as file:
        file.seek(block.offset)
        content = file.read(block.size)
    if len(content) != block.size:
        message = f"{path} became shorter while it was stored"
        raise IntegrityError(message)
    blob.stage_block(block.name, content, length=block.size, validate_content=True)


def _blocks(file: StoredFile) -> list[_Block]:
    """Cut a file into blocks; Azure wants all names of one blob to be of one length."""
    size = max(BLOCK_SIZE, -(-file.size // MOST_BLOCKS))
    return [
        _Block(_block_name(file.sha256, size, offset), offset, min(size, file.size - offset))
        for offset in range(0, file.size, size)
    ]


def _block_name(sha256: str, size: int, offset: int) -> str:
    digest = hashlib.sha256(f"{sha256} {size} {offset}".encode()).digest()
    return base64.b64encode(digest[:30]).decode()


def _refuse_foreign(response: Any) -> None:
    """Refuse what something else than Azure answered, be it a 200: the client tries again."""
    from azure.core.exceptions import DecodeError

    answer = response.http_response
    if answer.status_code < REFUSED and SIGN not in answer.headers:
        answer.close()
        message = f"answered {answer.status_code} without {SIGN}"
        raise DecodeError(message)


@contextlib.contextmanager
def _missing(name: str) -> Iterator[None]:
    """Tell a blob that is not there from a container that is not there."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        yield
    except ResourceNotFoundError as cause:
        if code_of(cause) not in GONE:
            raise
        raise FileNotFoundError(name) from cause


@contextlib.contextmanager
def _taken(name: str) -> Iterator[None]:
    from azure.core.exceptions import HttpResponseError

    try:
        yield
    except HttpResponseError as cause:
        if code_of(cause) not in TAKEN:
            raise
        raise FileExistsError(name) from cause
