"""The store on two S3 servers, which refuse in different words."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import boto3
import pytest
from attrs import frozen
from botocore.exceptions import ClientError
from tests.servers.aws import BUCKET, a_model, stored
from tests.servers.processes import ServerProcess
from tests.servers.proxy import Fault, Proxy, refusal
from tests.servers.s3 import S3Objects
from tests.storage.storage_samples import BackDoor, put

from flowyml.errors import ConfigurationError, DeliveryError, IntegrityError, NotFoundError
from flowyml_aws.buckets import S3Bucket
from flowyml_aws.sessions import Account
from flowyml_aws.storage import S3ArtifactStore


@pytest.fixture(params=["seaweedfs", "moto"])
def either(request: pytest.FixtureRequest) -> S3ArtifactStore:
    """An empty store on each of the servers."""
    server: ServerProcess = request.getfixturevalue(request.param)
    return S3ArtifactStore(BUCKET, prefix=uuid.uuid4().hex, endpoint_url=server.url)


@pytest.fixture
def door(either: S3ArtifactStore) -> BackDoor:
    """Past the store."""
    client = boto3.client("s3", endpoint_url=either.endpoint_url)
    return S3Objects(client, BUCKET, either.prefix)


def test_the_uri_of_the_root_asks_nobody() -> None:
    """A plan can name it without credentials and network."""
    store = S3ArtifactStore("bucket", prefix="/a/b/", endpoint_url="http://127.0.0.1:9")

    assert store.root_uri() == "s3://bucket/a/b"
    assert S3ArtifactStore("bucket").root_uri() == "s3://bucket"


def test_a_changed_byte_is_noticed(either: S3ArtifactStore, door: BackDoor) -> None:
    """Whatever changes a file behind the store's back, nobody gets to read it."""
    artifact = stored(either, a_model())
    content = door.read("run-1/model/model.pkl")
    door.write("run-1/model/model.pkl", bytes([content[0] ^ 1]) + content[1:])

    with pytest.raises(IntegrityError):
        either.load_artifact(artifact.uri).open("model.pkl")


def test_a_listing_has_no_end_at_a_thousand(store: S3ArtifactStore) -> None:
    """That is where a server ends a page."""
    client = boto3.client("s3", endpoint_url=store.endpoint_url)
    door = S3Objects(client, BUCKET, store.prefix)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: door.write(f"x/{number}", b""), range(1001)))

    assert len(list(store.objects.find("x/"))) == 1001


def test_objects_carry_what_the_stack_says(moto: ServerProcess) -> None:
    """Encryption, storage class and tags go to every object."""
    store = S3ArtifactStore(
        BUCKET,
        prefix=uuid.uuid4().hex,
        endpoint_url=moto.url,
        kms_key_id="key-of-ours",
        storage_class="STANDARD_IA",
        tags={"team": "risk and fraud"},
    )
    stored(store, a_model())
    client = boto3.client("s3", endpoint_url=moto.url)
    named = {"Bucket": BUCKET, "Key": f"{store.prefix}/run-1/model/artifact.json"}
    head = client.head_object(**named)

    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == "key-of-ours"
    assert head["StorageClass"] == "STANDARD_IA"
    tags = client.get_object_tagging(**named)["TagSet"]
    assert tags == [{"Key": "team", "Value": "risk and fraud"}]


def test_a_store_reads_its_neighbours(store: S3ArtifactStore) -> None:
    """What lies in the same bucket but elsewhere is reached with the same settings."""
    artifact = stored(store, a_model())
    other = S3ArtifactStore(BUCKET, prefix="elsewhere", endpoint_url=store.endpoint_url)

    found = other.covering(artifact.uri).load_artifact(artifact.uri)
    assert found.manifest.digest == artifact.digest
    assert store.covering(artifact.uri) is store


class TestFaults:
    """What is wrong is found before any work is done, and told with what to do."""

    def test_all_is_well(self, either: S3ArtifactStore, door: BackDoor) -> None:
        """The start of a run leaves nothing behind."""
        either.preflight()
        assert all(check.ok for check in either.diagnose())
        assert door.names() == []

    def test_there_is_no_bucket(self, moto: ServerProcess) -> None:
        """The bucket is named, and that it may be misspelt; SeaweedFS would just make it."""
        store = S3ArtifactStore("arti-facts", endpoint_url=moto.url)

        with pytest.raises(DeliveryError, match=r"s3://arti-facts .*there is no such bucket"):
            store.preflight()
        bucket, *_ = store.diagnose()
        assert not bucket.ok
        assert "correct `bucket:`" in str(bucket.fix)

    def test_nobody_knows_the_credentials(
        self, store: S3ArtifactStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A wrong key is told apart from a missing permission."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")

        with pytest.raises(DeliveryError, match="does not accept these credentials") as caught:
            store.preflight()
        assert not caught.value.transient

    def test_there_are_no_credentials(
        self, store: S3ArtifactStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What to run is said."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

        with pytest.raises(DeliveryError, match="`aws configure`"):
            store.preflight()

    def test_there_is_no_such_profile(self) -> None:
        """The profile is named."""
        store = S3ArtifactStore(BUCKET, region="us-east-1", profile="nobody")

        with pytest.raises(ConfigurationError, match="no profile 'nobody'"):
            store.preflight()

    def test_nobody_answers(self) -> None:
        """A server that is not there may be there later."""
        store = S3ArtifactStore(BUCKET, endpoint_url="http://127.0.0.1:9")

        with pytest.raises(DeliveryError, match="nobody answers there") as caught:
            store.preflight()
        assert caught.value.transient

    def test_no_region_is_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What to say is said."""
        monkeypatch.delenv("AWS_DEFAULT_REGION")

        with pytest.raises(ConfigurationError, match="say `region:`"):
            S3ArtifactStore(BUCKET).preflight()

    @pytest.mark.parametrize("bucket", ["s3://bucket", "bucket/folder"])
    def test_a_bucket_is_a_name(self, bucket: str) -> None:
        """A pasted URI is refused where it stands."""
        with pytest.raises(ConfigurationError, match="`prefix: FOLDER`"):
            S3ArtifactStore(bucket)

    @pytest.mark.parametrize("prefix", ["a/../b", "./a", "a//b", "tail/."])
    def test_a_prefix_leads_nowhere_else(self, prefix: str) -> None:
        """What a client takes out of an address before it asks is refused where it stands."""
        with pytest.raises(ConfigurationError, match=f"the prefix {prefix!r} cannot be used: it"):
            S3ArtifactStore(BUCKET, prefix=prefix)

    def test_another_store_s_uri_is_not_found(self, store: S3ArtifactStore) -> None:
        """It is never looked for in this bucket; what to change is said."""
        with pytest.raises(NotFoundError, match=r"`prefix`\), keep the old place under"):
            store.load_artifact("s3://other/run/model")

    def test_a_redirect_to_nowhere_asks_for_the_region(self, store: S3ArtifactStore) -> None:
        """A server that is somewhere else and does not say where: that is not tried for ever."""
        gone = "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
        answer = refusal("301 Moved Permanently", gone, Content_Type="application/xml")
        with Proxy(str(store.endpoint_url)).serving() as proxy:
            proxy.faults = [Fault("refuse", times=10_000, answer=answer)]
            astray = attrs.evolve(store, endpoint_url=proxy.url)
            with pytest.raises(DeliveryError, match="say that one as `region:`") as caught:
                astray.preflight()
        assert not caught.value.transient
        assert len(proxy.requests) < 5


@frozen
class Unconditional:
    """A client of a server that knows no conditional writes."""

    client: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def put_object(self, **fields: Any) -> Any:
        return self._call("put_object", fields)

    def copy_object(self, **fields: Any) -> Any:
        return self._call("copy_object", fields)

    def complete_multipart_upload(self, **fields: Any) -> Any:
        return self._call("complete_multipart_upload", fields)

    def _call(self, name: str, fields: dict[str, Any]) -> Any:
        if fields.keys() & {"IfMatch", "IfNoneMatch"}:
            error = {"Error": {"Code": "NotImplemented", "Message": "a header you provided"}}
            raise ClientError(error, name)
        return getattr(self.client, name)(**fields)


def test_a_server_without_conditions_is_enough(store: S3ArtifactStore) -> None:
    """What the server does not compare is compared by hand."""
    folders = store.folders()
    store.objects.__dict__["client"] = Unconditional(store.objects.client)
    put(folders, files={"x": b"1"})

    assert put(folders, files={"x": b"1"}).digest == put(folders, files={"x": b"1"}).digest
    with pytest.raises(DeliveryError):
        put(folders, files={"x": b"2"}, key="other")
    put(folders, files={"x": b"2"}, key="other", overwrite=True)
    (found,) = folders.list()
    assert folders.load(found.uri).open("x").read() == b"2"


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(value: float) -> None:
    """The client would say that a proxy answers in place of S3."""
    with pytest.raises(ValueError, match=f"timeout is a number above 0, not {value}"):
        S3ArtifactStore(BUCKET, timeout=value)


def test_deleting_tells_what_it_may_not() -> None:
    """A refusal hidden in a batch's answer is raised as any other."""

    @frozen
    class Refusing:
        def delete_objects(self, **_: Any) -> dict[str, Sequence[dict[str, str]]]:
            return {"Errors": [{"Key": "x", "Code": "AccessDenied", "Message": "no"}]}

    bucket = S3Bucket(Account(), BUCKET)
    bucket.__dict__["client"] = Refusing()
    with pytest.raises(ClientError, match="AccessDenied"):
        bucket.delete(["x"])
