"""What every store in a bucket does when the line is bad, the server busy or a byte changed.

A store is tested by a subclass that gives the fixture `backend`.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.servers.proxy import Fault, Proxy, refusal
from tests.storage.bucket_backends import BucketBackend
from tests.storage.storage_samples import put

from flowyml.errors import DeliveryError, IntegrityError
from flowyml.plugins import BucketStore
from flowyml.records import StoredFile
from flowyml.testing.artifacts import contents

__all__ = ["BucketChecksums", "BucketFaults"]

T = TypeVar("T")

FOREIGN = {
    "a page": refusal("200 OK", "<html>Sign in</html>", Content_Type="text/html"),
    "half a page": refusal("200 OK", "<html>Sign in<br>", Content_Type="text/html"),
    "nothing": refusal("201 Created", ""),
    "a table": refusal("200 OK", "{}", Content_Type="application/json"),
}
"""What a proxy, a gateway or a login page answers in place of the server: it looks like success."""

MANY = 6
"""Parts of a file, or objects, that a call is about."""

MOST_REQUESTS = 30
"""A store makes fewer requests, so that the next attempt finds nothing wrong any more."""


class BucketLine:
    """A store, and a proxy between it and its server."""

    @pytest.fixture
    def backend(self) -> BucketBackend:
        """Return the vendor, with nothing stored."""
        raise NotImplementedError

    @pytest.fixture
    def proxy(self, backend: BucketBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
        """Stand before the server."""
        backend.hasten(monkeypatch)
        with Proxy(backend.server).serving() as proxy:
            yield proxy

    @pytest.fixture
    def store(self, backend: BucketBackend, proxy: Proxy) -> Iterator[BucketStore]:
        """Return the store behind the proxy."""
        store = backend.store_at(proxy.url)
        yield store
        store.objects.client.close()  # type: ignore[attr-defined]  # every vendor's bucket has one

    @pytest.fixture
    def straight(self, backend: BucketBackend) -> Iterator[BucketStore]:
        """Return the store as it is without the proxy."""
        store = backend.store_at(backend.server)
        yield store
        store.objects.client.close()  # type: ignore[attr-defined]  # every vendor's bucket has one

    @pytest.fixture
    def files(self, backend: BucketBackend) -> Mapping[str, bytes]:
        """Return a small file, and one that goes up in parts."""
        return {"model.pkl": b"weights" * 100, "large.bin": os.urandom(backend.part + 777)}


class BucketFaults(BucketLine):
    """The tests of bad lines and of servers that refuse."""

    @pytest.mark.parametrize("kind", ["cut", "lose", "shorten", "trickle"])
    def test_every_request_may_meet_a_bad_line(
        self,
        kind: str,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        backend: BucketBackend,
        files: Mapping[str, bytes],
    ) -> None:
        """Cut on its way, carried out without an answer, half answered: it is one artifact."""
        proxy.faults = [Fault(kind, times=100, first=True, after=backend.part // 2)]  # type: ignore[arg-type]
        stores_one_artifact(store, straight, proxy, files)

    @pytest.mark.parametrize("code", ["503", "429"])
    def test_every_request_may_meet_a_busy_server(
        self,
        code: str,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        backend: BucketBackend,
        files: Mapping[str, bytes],
    ) -> None:
        """It costs time and nothing else."""
        proxy.faults = [Fault("refuse", times=100, first=True, answer=backend.busy[code])]
        stores_one_artifact(store, straight, proxy, files)

    @pytest.mark.parametrize("answer", FOREIGN)
    def test_every_request_may_be_answered_by_something_else(
        self,
        answer: str,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        files: Mapping[str, bytes],
    ) -> None:
        """Which says that all is well: what was not written is written again."""
        proxy.faults = [Fault("refuse", times=100, first=True, answer=FOREIGN[answer])]
        stores_one_artifact(store, straight, proxy, files)

    @pytest.mark.parametrize("answer", FOREIGN)
    def test_a_run_does_not_begin_where_something_else_answers(
        self, answer: str, store: BucketStore, proxy: Proxy
    ) -> None:
        """The place is named, and where to look; it may pass."""
        proxy.faults = [Fault("refuse", times=100, answer=FOREIGN[answer])]
        uri = re.escape(store.root_uri())
        said = rf"writing a probe to {uri} failed: .*; a proxy .* NO_PROXY and the address"
        with pytest.raises(DeliveryError, match=said) as caught:
            store.preflight()
        assert caught.value.transient
        (write,) = [check for check in store.diagnose() if check.name == "write"]
        assert not write.ok
        assert "NO_PROXY" in str(write.fix)

    @pytest.mark.parametrize("answer", ["a page", "half a page", "nothing"])
    def test_a_reader_is_told_that_something_else_answered(
        self,
        answer: str,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        files: Mapping[str, bytes],
    ) -> None:
        """Whichever request it is, also when a file is opened that was listed before."""
        source = store.load_artifact(put(straight.folders(), files=files).uri)
        proxy.faults = [Fault("refuse", times=1000, answer=FOREIGN[answer])]
        uri = re.escape(source.uri)  # type: ignore[attr-defined]  # every store's source has one
        readings: Mapping[str, Callable[[], object]] = {
            rf"reading {uri}/artifact.json": lambda: store.load_artifact(source.uri),  # type: ignore[attr-defined]
            rf"reading {uri}/model.pkl": lambda: source.open("model.pkl"),
            rf"listing {uri}/large.bin": lambda: source.path("large.bin"),
            rf"listing {re.escape(store.root_uri())}/": lambda: list(store.list_artifacts("")),
        }
        for doing, read in readings.items():
            with pytest.raises(DeliveryError, match=f"^{doing} failed: .* NO_PROXY") as told:
                read()
            assert told.value.transient

    @pytest.mark.parametrize("name", ["artifact.json", "model.pkl"])
    def test_a_small_file_is_read_again_where_the_line_breaks(
        self,
        name: str,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        files: Mapping[str, bytes],
    ) -> None:
        """Within the body of the answer, at once and without an error."""
        uri = put(straight.folders(), files=files).uri
        proxy.faults = [Fault("shorten", first=True, times=2, matching=name.encode())]
        assert store.load_artifact(uri).open("model.pkl").read() == files["model.pkl"]
        assert "shorten" in proxy.hits

    @pytest.mark.parametrize("kind", ["lose", "shorten", "flip", "trickle"])
    def test_what_is_read_is_what_was_stored(
        self,
        kind: str,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        files: Mapping[str, bytes],
    ) -> None:
        """Or it is an error, also where bytes change on their way, until the line is well again."""
        uri = put(straight.folders(), files=files).uri
        proxy.faults = [Fault(kind, times=100, first=True)]  # type: ignore[arg-type]
        for _ in range(MOST_REQUESTS):
            with suppress(DeliveryError, IntegrityError), store.explained("loading"):
                found = contents(store.load_artifact(uri))
                break
        assert len(proxy.hits) > 2
        assert found == files

    def test_wrong_bytes_are_never_handed_out(
        self,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        files: Mapping[str, bytes],
    ) -> None:
        """However often they are asked for."""
        source = store.load_artifact(put(straight.folders(), files=files).uri)
        proxy.faults = [Fault("flip", times=1000, matching=b"large.bin")]
        with pytest.raises((DeliveryError, IntegrityError)), store.explained("loading"):
            source.open("large.bin")
        assert "flip" in proxy.hits

    def test_a_server_that_hangs_is_given_up(self, backend: BucketBackend, proxy: Proxy) -> None:
        """After its patience and its attempts it is an error that may pass."""
        hasty = backend.store_at(proxy.url, timeout=0.2)
        proxy.faults = [Fault("hang", times=100)]
        with pytest.raises(DeliveryError) as caught:
            hasty.preflight()
        assert caught.value.transient
        assert 1 < len(proxy.hits) < 15
        hasty.objects.client.close()  # type: ignore[attr-defined]  # every vendor's bucket has one

    def test_a_refusal_is_final(
        self, store: BucketStore, proxy: Proxy, backend: BucketBackend, files: Mapping[str, bytes]
    ) -> None:
        """In the middle of an upload: nobody asks again, and nothing is left half sent."""
        proxy.faults = [Fault("refuse", times=100, least=backend.part // 2, answer=backend.denied)]
        with pytest.raises(DeliveryError) as caught, store.explained("storing"):
            put(store.folders(), files=files)
        assert not caught.value.transient
        assert len(proxy.hits) < 3, "each part is refused once"
        assert list(store.list_artifacts("")) == []

    @pytest.mark.parametrize("work", ["upload", "delete"])
    def test_after_a_refusal_no_other_request_is_begun(
        self,
        work: str,
        store: BucketStore,
        proxy: Proxy,
        backend: BucketBackend,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Of many parts, or objects: where nobody answers, each of them would wait for long."""
        refused, over = _one_thread_is_told(monkeypatch)
        (path := tmp_path / "large.bin").write_bytes(content := os.urandom(MANY * backend.part))
        file = StoredFile(path.name, len(content), hashlib.sha256(content).hexdigest())
        calls = {
            "upload": lambda: store.objects.upload(path.name, path, file),
            "delete": lambda: store.objects.delete([f"object-{number}" for number in range(MANY)]),
        }

        def wait_unless_first() -> None:
            if refused.is_set():
                over.wait(30)
            refused.set()

        hits: Mapping[str, list[dict[str, Any]]] = {
            "upload": [{"least": backend.part // 2}],
            "delete": [{"matching": b"DELETE /"}, {"matching": b"?delete"}],
        }
        proxy.faults = [
            Fault("refuse", times=99, answer=backend.denied, then=wait_unless_first, **hit)
            for hit in hits[work]
        ]
        with pytest.raises(DeliveryError), store.explained(work):
            calls[work]()
        assert 1 <= len(proxy.hits) <= 2


class BucketChecksums(BucketLine):
    """The test of a server that compares checksums, as every vendor's own does."""

    def test_a_byte_that_changes_on_its_way_up_is_noticed(
        self,
        store: BucketStore,
        straight: BucketStore,
        proxy: Proxy,
        backend: BucketBackend,
        files: Mapping[str, bytes],
    ) -> None:
        """By the server or after it; in the end the right bytes lie there."""
        proxy.faults = [Fault("spoil", times=100, first=True, least=backend.part // 2)]
        for _ in range(MOST_REQUESTS):
            with suppress(DeliveryError, IntegrityError), store.explained("storing"):
                uri = put(store.folders(), files=files).uri
                break
        assert proxy.hits
        assert contents(straight.load_artifact(uri)) == files


def _one_thread_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[threading.Event, threading.Event]:
    """Let one thread do what several would.

    Returns:
        What the test sets at the first refusal, and what is set once that thread gets nothing more
        to do after it.
    """
    refused, over = threading.Event(), threading.Event()
    begin, end = ThreadPoolExecutor.__init__, ThreadPoolExecutor.shutdown

    def begin_one(threads: ThreadPoolExecutor, _many: int | None = None, *rest: Any) -> None:
        begin(threads, 1, *rest)

    def shutdown(
        threads: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        end(threads, wait=False, cancel_futures=cancel_futures)
        if refused.is_set():
            over.set()
        end(threads, wait=wait, cancel_futures=cancel_futures)

    monkeypatch.setattr(ThreadPoolExecutor, "__init__", begin_one)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
    return refused, over


def stores_one_artifact(
    store: BucketStore, straight: BucketStore, proxy: Proxy, files: Mapping[str, bytes]
) -> None:
    """Store through a line with faults, and see that one whole artifact lies there."""
    uri = persistently(store, lambda: put(store.folders(), files=files)).uri
    assert len(proxy.hits) > 6
    (found,) = straight.list_artifacts("")
    assert (found.uri, contents(straight.load_artifact(uri))) == (uri, files)


def persistently(store: BucketStore, work: Callable[[], T]) -> T:
    """Do something again while it fails for reasons that may pass, as a run does."""
    for _ in range(MOST_REQUESTS):
        try:
            with store.explained("working"):
                return work()
        except DeliveryError as error:
            assert error.transient, str(error)  # noqa: PT017  # most attempts raise nothing
    raise AssertionError
