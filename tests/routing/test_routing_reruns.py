"""A rerun that makes the same bytes sends none to an object store."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import attrs
import pytest
from attrs import define, field
from fsspec.implementations.memory import MemoryFileSystem
from tests.routing.routing_samples import RUN, Workshop, a_run

from flowyml.metadata.rows import ArtifactRecord
from flowyml.plugins import BucketStore
from flowyml.records import RunInfo, StoredFile
from flowyml.routing.splitting import take_apart
from flowyml.storage.buckets import Bucket
from flowyml.storage.filesystems import FilesystemBucket

VALUE = b"weights" * 1000


@define(slots=False)
class CountingBucket(FilesystemBucket):
    """A bucket in memory that counts the bytes of data files that are sent to it."""

    sent: int = 0

    def upload(self, name: str, path: Path, file: StoredFile) -> None:
        super().upload(name, path, file)
        self.sent += file.size


@define(slots=False)
class CountingStore(BucketStore):
    """A store over a counting bucket."""

    bucket: CountingBucket = field(
        factory=lambda: CountingBucket(
            MemoryFileSystem(global_store=False, skip_instance_cache=True), "memory://bucket/prefix"
        )
    )

    @property
    def objects(self) -> Bucket:
        return self.bucket

    def root_uri(self) -> str:
        return self.bucket.uri

    def explained(self, doing: str) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def store(shop: Workshop) -> CountingStore:
    """The store of the workshop's stack."""
    made = CountingStore()
    shop.components = {"artifact_store": made}
    return made


def rerun(shop: Workshop, value: object) -> ArtifactRecord:
    """Route a value in a second run of the pipeline."""
    run = attrs.evolve(RUN, run_id="run-2")
    a_run(shop.metadata, run)
    return route_in(shop, run, value)


def route_in(shop: Workshop, run: RunInfo, value: object) -> ArtifactRecord:
    """Route the output of a step of a run."""
    shop.metadata.add_steps(run.run_id, ["train"])
    shop.metadata.start_step(run.run_id, "train")
    leaves = take_apart(value, object, step="train", output="model")
    (artifact,) = shop.courier(run).route_step("train", leaves, ()).artifacts
    return artifact


def test_the_same_bytes_are_not_sent_again(shop: Workshop, store: CountingStore) -> None:
    """The server copies them; what lies there is whole and does not depend on the first."""
    first = route_in(shop, RUN, VALUE)
    sent = store.bucket.sent

    second = rerun(shop, VALUE)

    assert sent == len(VALUE)
    assert store.bucket.sent == sent
    assert second.uri != first.uri
    store.delete_artifact(uri=first.uri)
    source = store.load_artifact(uri=second.uri)
    with source.open(source.manifest.files[0].name) as file:
        assert file.read() == VALUE


def test_other_bytes_are_sent(shop: Workshop, store: CountingStore) -> None:
    """Only the digest decides."""
    route_in(shop, RUN, VALUE)
    sent = store.bucket.sent

    rerun(shop, VALUE + b"!")

    assert store.bucket.sent - sent == len(VALUE) + 1


def test_what_was_collected_is_sent_again(shop: Workshop, store: CountingStore) -> None:
    """The records stay when the files go."""
    first = route_in(shop, RUN, VALUE)
    store.delete_artifact(uri=first.uri)
    shop.metadata.collect_artifact(first.uri)

    second = rerun(shop, VALUE)

    assert store.bucket.sent == 2 * len(VALUE)
    assert store.load_artifact(uri=second.uri).manifest.digest == first.digest


def test_an_address_is_only_looked_for_in_the_store_itself(shop: Workshop) -> None:
    """A store whose root begins alike, and a digest that nobody stored, have none."""
    first = route_in(shop, RUN, VALUE)
    root = shop.stack().store_uri("artifact_store")

    assert shop.metadata.address_of(first.digest, below=root) == first.uri
    assert shop.metadata.address_of(first.digest, below=root[:-1]) is None
    assert shop.metadata.address_of("sha256:0", below=root) is None
