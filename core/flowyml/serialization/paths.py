"""A `pathlib.Path`: the file, or the whole folder, that it names.

``path.json`` says what was named and what bytes alone do not tell: empty folders, links within the
folder, which files may be executed. A link that leads out of the folder is refused, on the way in
and on the way out.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import FlowyMLError, SerializationError
from flowyml.serialization.contract import RefusedError, Write
from flowyml.storage.files import FileSink, FileSource
from flowyml.storage.scratch import scratch_home

__all__ = ["PathFiles"]

INDEX = "path.json"

BELOW = "files"


@frozen
class PathFiles:
    """``files/…``: the files themselves, each copied in pieces."""

    name: ClassVar[str] = "path"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    def writer(self, value: Any) -> Write:
        """Look through the folder; nothing in it is read yet."""
        path: Path = value
        try:
            index = _index(path)
        except OSError as cause:
            message = f"the path {path} cannot be stored: {cause}"
            raise RefusedError(message) from cause
        return lambda sink: _write(sink, path, index)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Copy the files into a folder that is removed when the process ends."""
        del trusted
        with source.open(INDEX) as file:
            try:
                index = json.loads(file.read())
                return _restore(source, index)
            except FlowyMLError:
                raise
            except (KeyError, TypeError, AttributeError, ValueError) as cause:
                message = f"{INDEX} is damaged: {cause!r}"
                raise SerializationError(message) from cause


def _index(path: Path) -> dict[str, Any]:
    name = path.name or path.resolve().name or "path"
    if path.is_dir():
        root = path.resolve()
        found = {"kind": "folder", "name": name, "files": [], "folders": [], "links": {}}
        for entry in _walk(root):
            _note(found, root, entry)
        found["executable"] = [one for one in found["files"] if os.access(root / one, os.X_OK)]
        return found
    if not path.is_file():
        what = "no file and no folder" if path.exists() else "nothing there"
        message = f"the path {path} cannot be stored: it is {what}; write it before you return it"
        raise RefusedError(message)
    executable = [name] if os.access(path, os.X_OK) else []
    return {"kind": "file", "name": name, "executable": executable}


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        yield entry
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)


def _note(found: dict[str, Any], root: Path, entry: Path) -> None:
    name = entry.relative_to(root).as_posix()
    mode = entry.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = entry.readlink()
        if target.is_absolute() or not entry.resolve().is_relative_to(root):
            message = f"{entry} is a link that leads out of the folder, to {target}; copy it in"
            raise RefusedError(message)
        found["links"][name] = target.as_posix()
    elif stat.S_ISDIR(mode):
        found["folders"].append(name)
    elif stat.S_ISREG(mode):
        found["files"].append(name)
    else:
        message = f"{entry} is neither a file nor a folder and cannot be stored"
        raise RefusedError(message)


def _write(sink: FileSink, path: Path, index: dict[str, Any]) -> None:
    sink.put(INDEX, json.dumps(index, ensure_ascii=True).encode())
    if index["kind"] == "file":
        sink.add(f"{BELOW}/{index['name']}", path)
    else:
        for name in index["files"]:
            sink.add(f"{BELOW}/{name}", path / name)


def _restore(source: FileSource, index: dict[str, Any]) -> Path:
    home = Path(tempfile.mkdtemp(dir=scratch_home()))
    root = home / _below(index["name"])
    if index["kind"] == "file":
        _copy(source, f"{BELOW}/{index['name']}", root, executable=bool(index["executable"]))
        return root
    root.mkdir()
    for name in index["folders"]:
        (root / _below(name)).mkdir(parents=True)
    for name in index["files"]:
        executable = name in index["executable"]
        _copy(source, f"{BELOW}/{name}", root / _below(name), executable=executable)
    for name, target in index["links"].items():
        (root / _below(name)).symlink_to(target)
    for name, target in index["links"].items():  # only now is it known where each one ends
        if not (root / name).resolve().is_relative_to(root.resolve()):
            shutil.rmtree(home)
            message = f"{INDEX} has a link to {target!r}, which leads out of the folder"
            raise SerializationError(message)
    return root


def _below(name: str) -> PurePosixPath:
    """Refuse a name that would lead somewhere else."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        message = f"{INDEX} names {name!r}, which leads out of the folder"
        raise SerializationError(message)
    return path


def _copy(source: FileSource, name: str, target: Path, *, executable: bool) -> None:
    with source.open(name) as stored, target.open("xb") as file:
        shutil.copyfileobj(stored, file, 2**20)
    if executable:
        target.chmod(target.stat().st_mode | stat.S_IXUSR)
