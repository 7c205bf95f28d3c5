"""What the tests of the local backends share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.local.local_samples import NOW, PRODUCER, a_context

from flowyml import Model
from flowyml.records import ModelVersion
from flowyml.serialization import pack
from flowyml.storage.files import StoreRequest
from flowyml_local.processes import Process
from flowyml_local.storage import LocalArtifactStore

ROOT = Path(__file__).parents[2]

PATIENCE = 30.0

StartWriters = Callable[..., list["subprocess.Popen[str]"]]

Register = Callable[..., ModelVersion]


@pytest.fixture
def start_writers() -> Iterator[StartWriters]:
    """Start processes that do one work on a registry at once; none outlives the test."""
    with ExitStack() as cleanup:

        def start(
            work: str, path: Path, *names: str, count: int = 0
        ) -> list[subprocess.Popen[str]]:
            writers = [cleanup.enter_context(_writer(work, path, name, count)) for name in names]
            for writer in writers:
                cleanup.callback(writer.kill)
            for writer in writers:
                assert writer.stdout
                assert writer.stdout.readline() == "ready\n"
            for writer in writers:
                assert writer.stdin
                writer.stdin.write("go\n")
                writer.stdin.flush()
            return writers

        yield start


def start_module(module: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a module of the tests as a process that finds what this process finds."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )


def _writer(work: str, path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return start_module("tests.local.registry_writer", work, str(path), name, str(count))


@pytest.fixture
def register(tmp_path: Path) -> Register:
    """Store a model, and return it as a registry would give it to a deployer."""
    return make_register(tmp_path)


def make_register(folder: Path) -> Register:
    """Return a function that stores models below a folder."""
    store = LocalArtifactStore(path=folder / "artifacts")

    def registered(data: object, version: str = "1", uri: str | None = None) -> ModelVersion:
        model = Model(data, name="fraud_detector", version=version)
        packed = pack(
            model, type_name="Model", name="model", producer=PRODUCER, key=None, format="pickle"
        )
        request = StoreRequest(f"models/{version}", packed.manifest, packed.write)
        stored = store.store_artifact(request, a_context(f"store-{version}"))
        return ModelVersion(
            name="fraud_detector",
            version=version,
            uri=uri or stored.uri,
            digest=stored.digest,
            registry="local",
            created_at=NOW,
        )

    return registered


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Give the name of an endpoint that nobody else has; its servers end with the test."""
    name = f"fraud-{uuid.uuid4().hex}"
    try:
        yield name
    finally:
        for server in servers_of(name):
            server.end(5)


def servers_of(endpoint: str) -> list[Process]:
    """Return the processes that serve an endpoint, or want to, whoever knows of them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"flowyml_local.server" in words and endpoint.encode() in words:
            found.append(Process.of(int(folder.name)))
    return [process for process in found if process is not None]


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait until something holds that another process brings about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
