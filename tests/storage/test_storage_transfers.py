"""Whoever watches sees how far files are on their way."""

from __future__ import annotations

import os

import pytest
from attrs import define, field
from tests.storage.storage_samples import put

from flowyml.errors import DeliveryError
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders
from flowyml.storage.transfers import Transfer, moved, moving, watching_transfers
from flowyml.testing.artifacts import FILES, contents

LARGE = {"data.bin": os.urandom(5 * 2**20), **FILES}  # no file system compresses it
SIZE = sum(map(len, LARGE.values()))


@define
class Watcher:
    """Writes down how each transfer stood when it ended."""

    going: list[Transfer] = field(factory=list)
    ended: list[tuple[str, int, int | None]] = field(factory=list)

    def transfer_began(self, transfer: Transfer) -> None:
        self.going.append(transfer)

    def transfer_ended(self, transfer: Transfer) -> None:
        self.going.remove(transfer)
        self.ended.append((transfer.what, transfer.done, transfer.total))


def test_all_bytes_that_are_stored_are_counted(folders: ArtifactFolders) -> None:
    """Written first, then brought to where they belong; a disk brings them with one rename."""
    watcher = Watcher()
    with watching_transfers(watcher):
        put(folders, files=LARGE)

    arrived = 0 if isinstance(folders, LocalFolders) else SIZE
    assert watcher.ended == [("storing fraud", arrived, SIZE)]
    assert watcher.going == []


def test_what_is_read_is_counted(folders: ArtifactFolders) -> None:
    """A large file, while it is compared or fetched."""
    source = folders.load(put(folders, files=LARGE).uri)
    watcher = Watcher()
    with watching_transfers(watcher):
        assert contents(source) == LARGE

    (what, done, total) = watcher.ended[0]
    assert what in {"reading fraud", "loading fraud"}
    assert total == 5 * 2**20
    assert done >= total


def test_a_transfer_that_fails_has_ended(folders: ArtifactFolders) -> None:
    """Nothing is drawn for ever."""
    put(folders)
    watcher = Watcher()
    with watching_transfers(watcher), pytest.raises(DeliveryError, match="is to hold"):
        put(folders, files=LARGE, key=None)

    assert [what for what, *_ in watcher.ended] == ["storing fraud"]
    assert watcher.going == []


def test_a_part_is_counted_once() -> None:
    """What a bucket tells of need not be added when its file is there; else it is."""
    whole = Transfer("storing", 100)
    with moving(whole, 60):
        moved(40)
        assert whole.done == 40
    assert whole.done == 60
    with moving(whole, 40):
        pass
    assert whole.done == 100
    moved(5)
    assert whole.done == 100
