"""Large files over connections that break."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import boto3
import pytest
from botocore.exceptions import ClientError
from tests.servers.aws import BUCKET
from tests.servers.proxy import Fault, Proxy

from flowyml.errors import DeliveryError
from flowyml.records import StoredFile
from flowyml_aws import buckets, parts
from flowyml_aws.buckets import S3Bucket
from flowyml_aws.faults import explained
from flowyml_aws.parts import Part, Window, split
from flowyml_aws.storage import S3ArtifactStore

SHORT = 5 * 2**20
"""The shortest part that S3 takes."""

SIZE = 3 * SHORT + 12345


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_SIZE", SHORT)
    monkeypatch.setattr(buckets, "AT_ONCE", SHORT)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StoredFile]:
    """A file of four parts."""
    path = tmp_path_factory.mktemp("large") / "weights"
    content = os.urandom(2**20) * (SIZE // 2**20 + 1)
    path.write_bytes(content[:SIZE])
    return path, StoredFile("weights", SIZE, hashlib.sha256(content[:SIZE]).hexdigest())


@pytest.fixture(params=["seaweedfs", "moto"])
def bucket(request: pytest.FixtureRequest, store: S3ArtifactStore) -> S3Bucket:
    """An empty bucket on each of the servers."""
    server = request.getfixturevalue(request.param)
    return attrs.evolve(store, endpoint_url=server.url).objects


@pytest.fixture
def proxy(store: S3ArtifactStore) -> Iterator[Proxy]:
    """A proxy in front of SeaweedFS."""
    with Proxy(str(store.endpoint_url)).serving() as serving:
        yield serving


@pytest.fixture
def spoilt(proxy: Proxy, store: S3ArtifactStore) -> S3Bucket:
    """The bucket behind the proxy."""
    return attrs.evolve(store, endpoint_url=proxy.url).objects


def unfinished(bucket: S3Bucket) -> list[str]:
    """List the ids of unfinished uploads."""
    return [upload_id for _, upload_id, _ in bucket.unfinished()]


def test_parts_cover_a_file_and_never_overlap() -> None:
    """Also where there would be too many of the usual length."""
    for size in (1, SHORT, SHORT + 1, SHORT * 10_000 + 1):
        cut = split(size)
        assert sum(part.size for part in cut) == size
        assert [part.start for part in cut[1:]] == [part.start + part.size for part in cut[:-1]]
        assert len(cut) <= 10_000


def test_a_window_is_a_file_of_its_own(tmp_path: Path) -> None:
    """It can be read again from its start, and ends where the part ends."""
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    with Window(path, 2, 5) as window:
        assert (window.read(), window.seek(0), window.read(3)) == (b"23456", 0, b"234")
        assert (window.seek(-1, os.SEEK_END), window.read(9), len(window)) == (4, b"6", 5)


def test_checksums_are_those_of_the_part(tmp_path: Path) -> None:
    """As S3 writes them, of nothing around the part."""
    path = tmp_path / "x"
    path.write_bytes(b"--123456789--")
    assert Part(1, 2, 9).crc32(path) == "y/Q5Jg=="  # cbf43926, the check value of CRC-32
    assert Part(1, 2, 9).md5(path) == "25f9e794323b453885f5181f1b624d0b"


def test_a_large_file_comes_back(
    bucket: S3Bucket, large: tuple[Path, StoredFile], tmp_path: Path
) -> None:
    """Its digest is kept with the object, and is that of the bytes."""
    path, file = large
    bucket.upload("weights", path, file)

    assert bucket.sha256("weights") == bucket.hashed("weights") == file.sha256
    bucket.download("weights", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert unfinished(bucket) == []


def test_a_new_upload_asks_for_no_parts(
    spoilt: S3Bucket, proxy: Proxy, large: tuple[Path, StoredFile]
) -> None:
    """Nobody can have sent any."""
    path, file = large
    spoilt.upload("weights", path, file)

    parts = [line for line in proxy.requests if "partNumber=" in line]
    listings = [line for line in proxy.requests if line.startswith("GET") and "uploadId=" in line]
    assert (len(parts), listings) == (4, [])


def test_an_object_is_never_replaced(bucket: S3Bucket, large: tuple[Path, StoredFile]) -> None:
    """Neither by an upload in parts, nor by a copy."""
    path, file = large
    bucket.swap("weights", b"first", None)

    with pytest.raises(FileExistsError):
        bucket.upload("weights", path, file)
    bucket.swap("other", b"other", None)
    with pytest.raises(FileExistsError):
        bucket.copy("other", "weights", StoredFile("", 5, hashlib.sha256(b"other").hexdigest()))
    assert bucket.read("weights", 100).content == b"first"
    assert unfinished(bucket) == []


def test_an_upload_of_other_content_is_not_gone_on_with(
    bucket: S3Bucket, large: tuple[Path, StoredFile]
) -> None:
    """The digest that is kept is the one of what was sent, whatever was begun there before."""
    path, file = large
    bucket._begin("weights", "0" * 64)
    bucket.upload("weights", path, file)

    assert bucket.sha256("weights") == file.sha256
    assert unfinished(bucket) == []


def test_a_byte_that_changes_in_a_part_is_refused_by_the_server(
    spoilt: S3Bucket, proxy: Proxy, large: tuple[Path, StoredFile]
) -> None:
    """The part's checksum goes with it; nothing comes to be of what arrived otherwise."""
    path, file = large
    proxy.faults += [Fault("spoil", times=100, matching=b"partNumber=2")]

    with pytest.raises(ClientError, match="BadDigest"):
        spoilt.upload("weights", path, file)
    assert list(spoilt.find("")) == []


def test_what_failed_for_good_gives_its_parts_back(
    spoilt: S3Bucket, proxy: Proxy, large: tuple[Path, StoredFile]
) -> None:
    """Parts that nobody goes on with are aborted: they cost as much as objects."""
    path, file = large
    proxy.faults += [Fault("deny", times=1, matching=b"partNumber=2")]

    with pytest.raises(DeliveryError, match="AWS denies it") as caught, explained("writing"):
        spoilt.upload("weights", path, file)
    assert not caught.value.transient
    assert unfinished(spoilt) == []


def test_a_lost_answer_to_a_commit_is_no_refusal(spoilt: S3Bucket, proxy: Proxy) -> None:
    """The client asks again by itself and meets its own first attempt."""
    proxy.faults += [Fault("cut", matching=b"PUT ", after=1)]
    spoilt.swap("artifact.json", b"{}", None)

    assert proxy.hits == ["cut"]
    assert spoilt.read("artifact.json", 10).content == b"{}"
    with pytest.raises(FileExistsError):
        spoilt.swap("artifact.json", b"[]", None)


def test_others_uploads_in_a_shared_bucket_are_left_alone(
    store: S3ArtifactStore, large: tuple[Path, StoredFile]
) -> None:
    """Without a prefix the store cannot tell them from its own."""
    path, file = large
    client = boto3.client("s3", endpoint_url=store.endpoint_url)
    named = {"Bucket": BUCKET, "Key": f"{store.prefix}-of-others"}
    upload_id = client.create_multipart_upload(**named)["UploadId"]
    attrs.evolve(store, prefix="").objects.upload(f"{store.prefix}/weights", path, file)

    assert client.list_parts(**named, UploadId=upload_id)["UploadId"] == upload_id
    client.abort_multipart_upload(**named, UploadId=upload_id)
