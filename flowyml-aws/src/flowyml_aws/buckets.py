"""The objects of one S3 bucket, as the engine of `flowyml.storage` wants them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import define, field

from flowyml.errors import IntegrityError
from flowyml.records import StoredFile
from flowyml.storage.buckets import Listed, Snapshot
from flowyml.storage.hashing import PIECE
from flowyml_aws.answers import attend
from flowyml_aws.faults import code_of, is_transient
from flowyml_aws.parts import base64_sha256, orphans, parts_there, upload_parts
from flowyml_aws.sessions import ATTEMPTS, Account

__all__ = ["S3Bucket"]

T = TypeVar("T")

AT_ONCE: Final = 16 * 2**20
"""What goes up in one request; a larger file goes up in parts."""

LARGEST_COPY: Final = 5 * 2**30
"""What S3 copies in one call; more is copied in parts."""

COPIED_PART: Final = 2**30
BATCH: Final = 1000
DIGEST: Final = "flowyml-sha256"
"""The user metadata that keeps an object's SHA-256."""

GONE = frozenset({"NoSuchKey", "NotFound", "404"})
TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
UNCONDITIONAL = frozenset({"NotImplemented", "501"})
"""What a server answers that knows no conditional writes; the object is looked for instead."""


@define(slots=False, eq=False)
class S3Bucket:
    """Objects below a prefix of an S3 bucket; one client, which threads may share.

    Attributes:
        account: Where the bucket is and who asks.
        bucket: Its name.
        prefix: Prefix of all names, without slashes around it; empty for the whole bucket.
        writing: Parameters of every new object: encryption, storage class, tags.
        asking: Parameters of every call, such as who pays.
    """

    account: Account
    bucket: str
    prefix: str = ""
    writing: Mapping[str, str] = field(factory=dict)
    asking: Mapping[str, str] = field(factory=dict)

    @property
    def uri(self) -> str:
        """URI of the root."""
        return "s3://" + "/".join(part for part in (self.bucket, self.prefix) if part)

    @cached_property
    def client(self) -> Any:
        """The client; making it asks nobody."""
        # Each body's checksum is sent and signed in a header of its own: taking one is enough.
        options = {"payload_signing_enabled": False}
        return attend(self.account.client("s3", s3=options))

    def target(self, name: str) -> dict[str, str]:
        """Return the parameters that name an object."""
        return {"Bucket": self.bucket, "Key": self.key(name), **self.asking}

    def key(self, name: str) -> str:
        """Return the key of a name."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def read(self, name: str, limit: int) -> Snapshot:
        """Read a small object; its version is its ETag."""

        def whole(found: Any) -> Snapshot:
            if found["ContentLength"] > limit:
                message = f"{self.uri}/{name} is longer than the {limit} bytes that it may have"
                raise IntegrityError(message)
            return Snapshot(found["Body"].read(), found["ETag"])

        return self._received(name, whole)

    def _received(self, name: str, take: Callable[[Any], T]) -> T:
        """Get an object, again where the connection breaks within it.

        The client tries again only until the answer begins.
        """
        left = ATTEMPTS
        while True:
            left -= 1
            with _missing(name):
                found = self.client.get_object(**self.target(name))
            with contextlib.closing(found["Body"]):
                try:
                    return take(found)
                except Exception as error:
                    if not (left and is_transient(error)):
                        raise

    def swap(self, name: str, content: bytes, version: str | None) -> None:
        """Write a small object if it is in a known state, decided by the server."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        checksum = base64_sha256(hashlib.sha256(content).hexdigest())
        try:
            self._put(name, content, checksum, condition)
        except FileExistsError:
            # The client tries again by itself: the first attempt may be what it met.
            if self._content(name, len(content)) != content:
                raise

    def _put(self, name: str, body: Any, checksum: str, condition: dict[str, str]) -> None:
        fields = {
            **self.target(name),
            **self.writing,
            "ChecksumSHA256": checksum,
            "Metadata": {DIGEST: base64.b64decode(checksum).hex()},
        }
        try:
            with _taken(name):
                self.client.put_object(**fields, **condition, Body=body)
        except Exception as error:
            if code_of(error) not in UNCONDITIONAL:
                raise
            self._expect(name, condition)
            self.client.put_object(**fields, Body=body)

    def _expect(self, name: str, condition: Mapping[str, str]) -> None:
        """Compare by hand what a server without conditions does not compare; two may still meet."""
        head = self._head(name)
        found = head["ETag"] if head else None
        if found != condition.get("IfMatch"):
            raise FileExistsError(name)

    def _content(self, name: str, limit: int) -> bytes | None:
        try:
            return self.read(name, limit).content
        except (FileNotFoundError, IntegrityError):
            return None

    def _head(self, name: str) -> Any:
        try:
            with _missing(name):
                return self.client.head_object(**self.target(name))
        except FileNotFoundError:
            return None

    def upload(self, name: str, path: Path, file: StoredFile) -> None:
        """Put a local file into a new object; a large one in parallel parts."""
        if file.size <= AT_ONCE:
            with path.open("rb") as body:
                self._put(name, body, base64_sha256(file.sha256), {"IfNoneMatch": "*"})
            return
        if self._head(name) is not None:
            raise FileExistsError(name)  # before hours of uploading, not after
        continued = self._unfinished(name)
        upload_id = continued or self._begin(name, file.sha256)
        try:
            there = parts_there(self.client, self.target(name), upload_id) if continued else {}
            parts = upload_parts(self.client, self.target(name), upload_id, path, file.size, there)
        except Exception as error:
            if not is_transient(error):  # else the next attempt goes on with these parts
                self.abort(self.key(name), upload_id)
            raise
        self._complete(name, upload_id, parts)
        if continued and self._kept(name) != file.sha256:
            # It was begun for other content that only starts alike, and says so.
            self.delete([name])
            self.upload(name, path, file)

    def _begin(self, name: str, sha256: str) -> str:
        begun = self.client.create_multipart_upload(
            **self.target(name),
            **self.writing,
            ChecksumAlgorithm="CRC32",
            Metadata={DIGEST: sha256},
        )
        return str(begun["UploadId"])

    def _unfinished(self, name: str) -> str | None:
        """Find the upload that an interrupted attempt left, and give back what nobody wants.

        Where the store has the bucket for itself but no prefix, other users' uploads lie among its
        own: those are left alone.
        """
        found = None
        for key, upload_id, orphaned in self.unfinished(None if self.prefix else name):
            if orphaned:
                self.abort(key, upload_id)
            elif key == self.key(name):
                found = found or upload_id
        return found

    def unfinished(self, name: str | None = None) -> Iterator[tuple[str, str, bool]]:
        """List unfinished uploads, of one object or all: key, id, and whether it is abandoned."""
        return orphans(self.client, self.bucket, self.key(name or ""))

    def abort(self, key: str, upload_id: str) -> None:
        """Give back the parts of an upload; one that is gone is no error."""
        try:
            self.client.abort_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload_id, **self.asking
            )
        except Exception as error:
            if code_of(error) not in GONE | {"NoSuchUpload"}:
                raise

    def _complete(self, name: str, upload_id: str, parts: list[dict[str, Any]]) -> None:
        fields = {
            **self.target(name),
            "UploadId": upload_id,
            "MultipartUpload": {"Parts": parts},
        }
        try:
            with _taken(name):
                self.client.complete_multipart_upload(**fields, IfNoneMatch="*")
        except FileExistsError:
            self.abort(self.key(name), upload_id)
            raise
        except Exception as error:
            if code_of(error) not in UNCONDITIONAL:
                raise
            self._expect(name, {})
            self.client.complete_multipart_upload(**fields)

    def copy(self, source: str, target: str, file: StoredFile) -> None:
        """Copy an object on the server's side into a new one."""
        if self._head(target) is not None:
            raise FileExistsError(target)  # some servers have conditions for everything but copies
        whence = {"Bucket": self.bucket, "Key": self.key(source)}
        if file.size > LARGEST_COPY:
            self._copy_parts(whence, target, file)
            return
        fields = {**self.target(target), **self.writing, "CopySource": whence}
        fields |= {"MetadataDirective": "REPLACE", "Metadata": {DIGEST: file.sha256}}
        if "Tagging" in self.writing:
            fields["TaggingDirective"] = "REPLACE"
        with _missing(source):
            try:
                with _taken(target):
                    self.client.copy_object(**fields, IfNoneMatch="*")
            except Exception as error:
                if code_of(error) not in UNCONDITIONAL:
                    raise
                self._expect(target, {})
                self.client.copy_object(**fields)

    def _copy_parts(self, whence: dict[str, str], target: str, file: StoredFile) -> None:
        upload_id = self._begin(target, file.sha256)
        parts = []
        for number, start in enumerate(range(0, file.size, COPIED_PART), 1):
            end = min(start + COPIED_PART, file.size) - 1
            copied = self.client.upload_part_copy(
                **self.target(target),
                UploadId=upload_id,
                PartNumber=number,
                CopySource=whence,
                CopySourceRange=f"bytes={start}-{end}",
            )["CopyPartResult"]
            kept = {key: copied[key] for key in ("ETag", "ChecksumCRC32") if key in copied}
            parts.append({"PartNumber": number, **kept})
        self._complete(target, upload_id, parts)

    def sha256(self, name: str) -> str:
        """Return the digest kept with an object, or read it and hash it."""
        return self._kept(name) or self.hashed(name)

    def _kept(self, name: str) -> str | None:
        with _missing(name):
            head = self.client.head_object(**self.target(name))
        kept: str | None = head.get("Metadata", {}).get(DIGEST)
        return kept

    def hashed(self, name: str) -> str:
        """Read an object and hash it, whatever is kept with it."""

        def digest(found: Any) -> str:
            hashed = hashlib.sha256()
            for piece in found["Body"].iter_chunks(PIECE):
                hashed.update(piece)
            return hashed.hexdigest()

        return self._received(name, digest)

    def download(self, name: str, path: Path) -> None:
        """Get an object into a new local file, in parallel ranges."""
        with _missing(name):
            self.client.download_file(
                self.bucket, self.key(name), str(path), ExtraArgs=dict(self.asking)
            )

    def find(self, prefix: str) -> Iterator[Listed]:
        """List the objects whose names begin with a prefix, a thousand at a time."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.key(prefix), **self.asking
        )
        start = len(self.prefix) + 1 if self.prefix else 0
        for page in pages:
            for entry in page.get("Contents", ()):
                yield Listed(entry["Key"][start:], entry["Size"], entry["LastModified"])

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects, a thousand at a time."""
        for first in range(0, len(names), BATCH):
            keys = [{"Key": self.key(name)} for name in names[first : first + BATCH]]
            answer = self.client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": keys}, **self.asking
            )
            self._check_deleted(answer.get("Errors") or ())

    def _check_deleted(self, errors: Sequence[Mapping[str, str]]) -> None:
        """Raise the first refusal as the client would have raised it for a single object."""
        from botocore.exceptions import ClientError

        for error in errors:
            if error.get("Code") not in GONE:
                raise ClientError({"Error": dict(error)}, "DeleteObjects")


@contextlib.contextmanager
def _missing(name: str) -> Iterator[None]:
    """Give what is not there the name that Python has for it."""
    try:
        yield
    except Exception as error:
        if code_of(error) in GONE:
            raise FileNotFoundError(name) from error
        raise


@contextlib.contextmanager
def _taken(name: str) -> Iterator[None]:
    """Give a refused condition the name that Python has for it."""
    try:
        yield
    except Exception as error:
        if code_of(error) in TAKEN:
            raise FileExistsError(name) from error
        raise
