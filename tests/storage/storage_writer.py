"""A process that is killed at every step of its work on a store, for the tests of such ends.

It works in a new store below a folder again and again, each time in a child of its own. The child
is killed before its first operation on a file of the store, the next one before its second, and so
on until one comes to its end; their number is printed then.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.storage.storage_samples import put

from flowyml.storage.disks import DiskBucket
from flowyml.storage.files import FileSink, StoreRequest
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders
from flowyml.testing.artifacts import DRAFT, FILES

NEW: Mapping[str, bytes] = {"model.pkl": b"new weights" * 100, "extra.json": b"{}"}

FLAVOURS: Mapping[str, Callable[[Path], ArtifactFolders]] = {
    "local": LocalFolders.at,
    "bucket": lambda root: ArtifactFolders(DiskBucket(root)),
}


def store(folders: ArtifactFolders) -> None:
    """Store the files, and tell when each one is half written."""

    def write(sink: FileSink) -> None:
        for name, content in FILES.items():
            with sink.open(name) as file:
                file.write(content[:100])
                file.flush()
                sys.audit("storage_writer.half", folders.bucket.uri)
                file.write(content[100:])

    folders.store(StoreRequest("run-1/model", DRAFT, write), key="key-1")


def replace(folders: ArtifactFolders) -> None:
    """Store other files in place of those that are there."""
    put(folders, files=NEW, key="key-2", overwrite=True)


def delete(folders: ArtifactFolders) -> None:
    """Delete what is there."""
    folders.delete(f"{folders.uri}/run-1/model")


WORK: Mapping[str, Callable[[ArtifactFolders], None]] = {
    work.__name__: work for work in (store, replace, delete)
}


def die_at(step: int, root: Path) -> None:
    """Kill this process before it does something in the store for the given time."""
    seen = itertools.count(1)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" and not event.startswith(("os.", "storage_writer.")):
            return
        first = arguments[0] if arguments else None
        if isinstance(first, str) and str(root) in first and next(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    """Work as the command line says."""
    flavour, work, base = sys.argv[1:]
    for step in itertools.count(1):
        root = Path(base, str(step))
        folders = FLAVOURS[flavour](root)
        if work != "store":
            put(folders)
        child = os.fork()
        if not child:
            die_at(step, root)
            WORK[work](folders)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            print(step if status == 0 else f"failed: {status}", flush=True)  # noqa: T201
            return


if __name__ == "__main__":
    main()
