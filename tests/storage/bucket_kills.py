"""A writer to a bucket that is killed with SIGKILL at any of its requests.

A store is tested by a subclass that gives the fixture `backend`.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import frozen
from tests.servers.proxy import Fault, Proxy
from tests.storage.bucket_backends import BucketBackend, Worker
from tests.storage.bucket_worker import NEW, OLD, PATH, WORK, read_folder

from flowyml.errors import NotFoundError
from flowyml.plugins import BucketStore

__all__ = ["BucketKills", "BucketResumes"]

PARTS = 6
"""Parts of a large file."""


@frozen
class Scene:
    """A bucket whose writers are killed.

    Attributes:
        backend: The vendor.
        proxy: What the writers go through.
        worker: Where they run.
        store: The store without the proxy.
        files: Folder of the artifacts that they write.
    """

    backend: BucketBackend
    proxy: Proxy
    worker: Worker
    store: BucketStore
    files: Path

    def artifact(self, name: str) -> dict[str, bytes]:
        """Return the files of an artifact that is written."""
        return read_folder(self.files / name)

    def kill(self, work: str, fault: Fault) -> bool:
        """Let a writer begin, and kill it at a fault; False when it came to its end before."""
        victim: Future[int] = Future()
        fault.then = lambda: os.kill(victim.result(30), signal.SIGKILL)
        self.proxy.faults = [fault]
        victim.set_result(
            self.worker.begin(work, self.backend.settings(self.proxy.url), self.files)
        )
        code = self.worker.end()
        self.proxy.settle()
        assert code in (0, -signal.SIGKILL)
        return code != 0

    def each(self, work: str, *, before: bool) -> Iterator[None]:
        """Kill writers at their first request, at their second, and so on.

        Args:
            work: What they do.
            before: Whether the old artifact is there when they begin.
        """
        for number in itertools.count():
            if before:
                self.do("begin")
            killed = self.kill(work, Fault("lose", skip=number))
            yield
            if not killed:
                assert number > 3, "there is nothing to be killed at"
                return
            self.do("delete")
            assert self.backend.door.names() == []

    def do(self, work: str) -> None:
        """Do a piece of work in this process, without the proxy."""
        WORK[work](self.store.folders(), self.files)

    def found(self) -> dict[str, bytes] | None:
        """Return what a reader meets."""
        try:
            source = self.store.load_artifact(f"{self.store.root_uri()}/{PATH}")
        except NotFoundError:
            return None
        found = {}
        for file in source.manifest.files:
            with source.open(file.name) as opened:
                found[file.name] = opened.read()
        return found

    def listed(self) -> int:
        """Count what a listing shows."""
        return len(list(self.store.list_artifacts("")))

    def left(self) -> list[str]:
        """Return what lies in the bucket once leftovers are removed."""
        self.store.folders().sweep(timedelta(0))
        return self.backend.door.names()


class BucketScene:
    """What the tests that kill writers need."""

    @pytest.fixture
    def backend(self) -> BucketBackend:
        """Return the vendor, with nothing stored."""
        raise NotImplementedError

    @pytest.fixture
    def files(self, tmp_path: Path, backend: BucketBackend) -> Path:
        """Write an old artifact, and a new one with a file that goes up in parts."""
        for name, size in ((OLD, 100), (NEW, backend.part + 1)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "model.pkl").write_bytes(name.encode() * 100)
            (tmp_path / name / "weights.bin").write_bytes(os.urandom(size))
        return tmp_path

    @pytest.fixture
    def scene(
        self, backend: BucketBackend, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Scene]:
        """Set it up."""
        backend.hasten(monkeypatch)
        store = backend.store_at(backend.server)
        with Proxy(backend.server).serving() as proxy, Worker.of(backend) as worker:
            yield Scene(backend, proxy, worker, store, files)
        store.objects.client.close()  # type: ignore[attr-defined]  # every vendor's bucket has one


class BucketKills(BucketScene):
    """The tests that kill writers at each of their requests."""

    @pytest.mark.parametrize("before", [False, True], ids=["on a free path", "on a taken path"])
    def test_a_killed_writer_leaves_one_artifact(self, scene: Scene, *, before: bool) -> None:
        """A reader meets the new one whole or what was there, and trying again succeeds."""
        old, new = scene.artifact(OLD) if before else None, scene.artifact(NEW)
        met = set()
        for _ in scene.each("store", before=before):
            found = scene.found()
            assert found in (old, new)
            assert scene.listed() == (found is not None)
            met.add(found == new)
            scene.do("store")
            assert scene.found() == new
            left = scene.left()
            assert len(left) == 3, left  # two files and the manifest
            # What replaces goes to a folder by chance, so that nobody goes on with its parts.
            assert before or scene.backend.door.unfinished() == []
        assert met == {True, False}

    def test_a_killed_deletion_leaves_all_or_nothing(self, scene: Scene) -> None:
        """And deleting again leaves nothing."""
        for _ in scene.each("delete", before=True):
            found = scene.found()
            assert found in (None, scene.artifact(OLD))
            assert scene.listed() == (found is not None)
            left = scene.left()
            assert len(left) == (3 if found else 0), left
            scene.do("delete")
            assert scene.left() == []


class BucketResumes(BucketScene):
    """The test that counts what goes over the line after a kill."""

    @pytest.fixture
    def large(self, files: Path, backend: BucketBackend) -> Mapping[str, bytes]:
        """Let the new artifact have a file of many parts."""
        (files / NEW / "weights.bin").write_bytes(os.urandom(PARTS * backend.part))
        return read_folder(files / NEW)

    def test_what_a_killed_writer_sent_is_not_sent_again(
        self, large: Mapping[str, bytes], scene: Scene
    ) -> None:
        """Counted by the bytes on the line: only the parts that were not there are sent."""
        part = scene.backend.part
        assert scene.kill("store", Fault("lose", skip=3, least=part // 2))
        assert scene.found() is None
        before = scene.proxy.sent
        store = scene.backend.store_at(scene.proxy.url)
        WORK["store"](store.folders(), scene.files)
        store.objects.client.close()  # type: ignore[attr-defined]  # every vendor's bucket has one
        assert scene.proxy.sent - before < (PARTS - 4) * part + part // 2
        assert scene.found() == large
        assert len(scene.left()) == 3
