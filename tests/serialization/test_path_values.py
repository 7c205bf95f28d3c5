"""A path is stored as the file or the folder that it names."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from flowyml.errors import SerializationError


def _tree(root: Path) -> dict[str, Any]:
    """Describe a folder: content, executable files, empty folders, links."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (path.read_bytes(), os.access(path, os.X_OK))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything that a folder may have in it."""
    root = tmp_path / "model dir"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "sub" / "ä.txt").write_bytes(b"\x00\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "nothing").touch()
    (root / "link").symlink_to("sub/ä.txt")
    (root / "sub" / "up").symlink_to("../sub")
    return root


def test_a_file_comes_back_under_its_name(tmp_path: Path, store: Any) -> None:
    """In a folder of its own, so that writing to it changes nothing that is stored."""
    path = tmp_path / "report ü.pdf"
    path.write_bytes(b"%PDF")
    source = store.save(path)
    assert (source.folder / "files" / "report ü.pdf").read_bytes() == b"%PDF"
    again = store.again(path)
    assert type(again) is type(path)
    assert again.name == path.name
    assert again != path
    again.write_bytes(b"changed")
    assert (store.root / "2" / "files" / path.name).read_bytes() == b"%PDF"


def test_a_folder_comes_back_whole(folder: Path, store: Any) -> None:
    """Content, empty folders, links within it, and what may be executed."""
    again = store.again(folder)
    assert again.name == folder.name
    assert _tree(again) == _tree(folder)


def test_a_large_file_is_copied_in_pieces(tmp_path: Path, store: Any) -> None:
    """Reading it back never has it whole in memory."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    source = store.save(path)
    tracemalloc.start()
    from flowyml.serialization import unpack  # noqa: PLC0415  # not measured

    again: Any = unpack(source, trusted=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert again.stat().st_size == 64 * 2**20
    assert peak < 8 * 2**20


def test_what_is_not_there_is_an_error(tmp_path: Path, store: Any) -> None:
    """A path without a file is most likely a slip."""
    with pytest.raises(SerializationError, match="nothing there; write it before"):
        store.pack(tmp_path / "missing")


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside"])
def test_links_that_lead_out_are_refused(folder: Path, target: str, store: Any) -> None:
    """Nothing beside the folder is stored by accident."""
    (folder.parent / "outside").write_text("secret")
    (folder / "out").symlink_to(target)
    with pytest.raises(SerializationError, match="leads out of the folder"):
        store.pack(folder)


def test_other_things_in_a_folder_are_refused(folder: Path, store: Any) -> None:
    """A pipe would wait for ever."""
    os.mkfifo(folder / "pipe")
    with pytest.raises(SerializationError, match="neither a file nor a folder"):
        store.pack(folder)
