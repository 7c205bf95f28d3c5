"""A process that stores and deletes in a bucket, each time in a child of its own.

It is told what to do in lines of JSON. Of each piece of work it prints the child's id when it
begins, and its exit code when it is over.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.storage.bucket_backends import named
from tests.storage.storage_samples import put

from flowyml.storage.folders import ArtifactFolders

__all__ = ["NEW", "OLD", "PATH", "WORK", "read_folder"]

PATH = "run-1/model"
OLD = "old"
NEW = "new"


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of an artifact."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def begin(folders: ArtifactFolders, files: Path) -> None:
    """Store the artifact that is there before."""
    put(folders, PATH, read_folder(files / OLD), key=OLD)


def store(folders: ArtifactFolders, files: Path) -> None:
    """Store the new one, in place of whatever is there."""
    put(folders, PATH, read_folder(files / NEW), key=NEW, overwrite=True)


def delete(folders: ArtifactFolders, files: Path) -> None:
    """Delete what is there."""
    del files
    folders.delete(f"{folders.uri}/{PATH}")


WORK: Mapping[str, Callable[[ArtifactFolders, Path], None]] = {
    work.__name__: work for work in (begin, store, delete)
}


def main() -> None:
    """Work as the lines say."""
    begun: dict[str, Any] = json.loads(sys.stdin.readline())
    make = named(begun["store"])
    for name, value in begun["parts"].items():
        module, _, constant = name.partition(":")
        setattr(importlib.import_module(module), constant, value)
    # Asks nobody, but imports what is slow to import, so that the children need not.
    assert make(**begun["settings"]).objects.client
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            WORK[asked["work"]](make(**asked["settings"]).folders(), Path(asked["files"]))
            os._exit(0)
        print(child, flush=True)  # noqa: T201
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
