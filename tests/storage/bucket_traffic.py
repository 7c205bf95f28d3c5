"""What goes over the line between any store in a bucket and its server.

A store is tested by a subclass that gives the fixture `backend`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import attrs
from tests.servers.proxy import Proxy
from tests.storage.bucket_backends import BucketBackend
from tests.storage.bucket_faults import BucketLine

from flowyml.plugins import BucketStore
from flowyml.records import StoredFile
from flowyml.storage.transfers import Transfer, moving
from flowyml.testing.artifacts import a_request, contents

__all__ = ["BucketTraffic"]

FRACTION = 20
"""The same content again costs less than this part of it: requests and a manifest."""


class BucketTraffic(BucketLine):
    """The tests that count bytes."""

    def test_the_same_content_is_not_sent_again(
        self,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        files: Mapping[str, bytes],
    ) -> None:
        """The server copies it, small files and those that went up in parts, and it is whole."""
        first = store.folders().store(a_request("run-1/model", files), key="key-1")
        size = sum(map(len, files.values()))
        assert proxy.sent > size
        before = proxy.sent

        again = attrs.evolve(
            a_request("run-2/model", files), find_copy={first.digest: first.uri}.get
        )
        second = store.folders().store(again, key="key-2")

        assert proxy.sent - before < size / FRACTION
        straight.delete_artifact(first.uri)
        assert contents(straight.load_artifact(second.uri)) == files

    def test_an_artifact_that_is_stored_once_more_is_not_sent(
        self,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        files: Mapping[str, bytes],
    ) -> None:
        """The server copies what lies there, and nobody writes it anew."""
        first = store.folders().store(a_request("run-1/model", files), key="key-1")
        size = sum(map(len, files.values()))
        before = proxy.sent

        again = attrs.evolve(a_request("run-2/model", {}), copy_of=first)
        second = store.folders().store(again, key="key-2")

        assert proxy.sent - before < size / FRACTION
        assert second.digest == first.digest
        straight.delete_artifact(first.uri)
        assert contents(straight.load_artifact(second.uri)) == files

    def test_an_object_that_was_replaced_is_not_copied(
        self, straight: BucketStore, backend: BucketBackend, files: Mapping[str, bytes]
    ) -> None:
        """What somebody put in place of a file is found by its digest; the right bytes are sent."""
        first = straight.folders().store(a_request("run-1/model", files), key="key-1")
        backend.door.write("run-1/model/model.pkl", b"forgery" * 100)

        again = attrs.evolve(
            a_request("run-2/model", files), find_copy={first.digest: first.uri}.get
        )
        second = straight.folders().store(again, key="key-2")

        assert contents(straight.load_artifact(second.uri)) == files

    def test_the_parts_of_a_large_file_are_told_of(
        self, straight: BucketStore, backend: BucketBackend, proxy: Proxy, tmp_path: Path
    ) -> None:
        """As they arrive, before the file is whole."""
        assert proxy.url  # its fixture makes parts short
        path = tmp_path / "large.bin"
        path.write_bytes(content := os.urandom(backend.part * 2 + 777))
        file = StoredFile("large.bin", len(content), hashlib.sha256(content).hexdigest())

        with moving(going := Transfer("storing", file.size), file.size):
            straight.objects.upload("run-1/large.bin", path, file)
            assert going.done == file.size
