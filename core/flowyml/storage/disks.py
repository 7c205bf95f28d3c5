"""A folder on a local disk: a bucket that can also rename.

Everything goes straight to the operating system, because fsspec alone would cost more than the
whole write of a small artifact.

A process that is killed at any instant leaves nothing half done, because every change that counts
is one rename or one link. After a power cut the operating system may have kept a rename and lost
bytes that were written shortly before it. Such an artifact is recognised when it is read, since
its sizes or digests differ, and it may be stored again; a store with ``fsync`` waits for the disk
before every commit and has no such window.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from attrs import define, field

from flowyml.errors import DeliveryError, IntegrityError
from flowyml.records import StoredFile
from flowyml.storage.buckets import Listed, Snapshot
from flowyml.storage.durability import Waiting
from flowyml.storage.hashing import hash_file
from flowyml.storage.links import give_name, refuse_links
from flowyml.storage.locks import locked
from flowyml.storage.names import STAGING

__all__ = ["DiskBucket"]

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)

_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})

_TRIES = 5


@define(eq=False)
class DiskBucket:
    """Files below a root folder.

    Attributes:
        root: The folder, absolute; made when the first artifact is stored.
        fsync: Whether to wait for the disk before a file counts as written.
    """

    root: Path
    fsync: bool = False
    uri: str = field(init=False)
    _place: str = field(init=False)
    _waiting: Waiting = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Keep the root as text, which is quicker to join."""
        self._place = str(self.root)
        self._waiting = Waiting(self._place, self.fsync)
        self.uri = self.root.as_uri()

    def address(self, name: str) -> str:
        """Return the path of a file.

        Raises:
            DeliveryError: A symbolic link lies on the way to it.
        """
        refuse_links(self._place, name)
        return f"{self._place}/{name}"

    def read(self, name: str, limit: int) -> Snapshot:
        """Read a small file; its version is a digest of its content."""
        try:
            file = os.open(self.address(name), os.O_RDONLY | _NO_FOLLOW)
        except NotADirectoryError as cause:
            raise FileNotFoundError(*cause.args) from cause
        with io.FileIO(file) as stream:
            if os.fstat(file).st_size > limit:
                message = f"{self.root / name} is longer than the {limit} bytes that it may have"
                raise IntegrityError(message)
            content = stream.readall()
        return Snapshot(content, hashlib.sha256(content).hexdigest())

    def swap(self, name: str, content: bytes, version: str | None) -> None:
        """Write a small file if it is in a known state."""
        place = self.address(name)
        draft = f"{self._staging()}/{secrets.token_hex(8)}.draft"
        with open(draft, "xb") as file:  # noqa: PTH123  # as everywhere here
            file.write(content)
            file.flush()
            self._waiting.for_file(file)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
            if version is None:
                give_name(draft, place)
            else:
                self._replace(draft, place, name, version)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft)  # noqa: PTH108
        self._waiting.for_folders(name)

    def _replace(self, draft: str, place: str, name: str, version: str) -> None:
        with locked(os.path.dirname(place)):  # noqa: PTH120
            try:
                found = self.read(name, 2**40).version
            except FileNotFoundError:
                found = None
            if found != version:
                raise FileExistsError(name)
            os.replace(draft, place)  # noqa: PTH105

    def upload(self, name: str, path: Path, file: StoredFile) -> None:  # noqa: ARG002
        """Take over a file that was staged below the same root, or copy another one."""
        place = self.address(name)
        os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
        if path.is_relative_to(self.root / STAGING):
            self._waiting.for_path(str(path))
            give_name(str(path), place)
        else:
            self._copy(str(path), place)

    def copy(self, source: str, target: str, file: StoredFile) -> None:  # noqa: ARG002
        """Copy a file into a new one."""
        place = self.address(target)
        os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
        self._copy(self.address(source), place)

    def _copy(self, source: str, place: str) -> None:
        draft = f"{self._staging()}/{secrets.token_hex(8)}.draft"
        try:
            shutil.copyfile(source, draft, follow_symlinks=False)
            self._waiting.for_path(draft)
            give_name(draft, place)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft)  # noqa: PTH108

    def sha256(self, name: str) -> str:
        """Read the file and hash it."""
        with open(self.address(name), "rb", buffering=0) as file:  # noqa: PTH123
            return hash_file(file)[1]

    def download(self, name: str, path: Path) -> None:
        """Copy a file out of the store."""
        shutil.copyfile(self.address(name), path, follow_symlinks=False)

    def find(self, prefix: str) -> Iterator[Listed]:
        """List the files whose names begin with a prefix; links are left out."""
        folder = prefix.rpartition("/")[0]
        top = self.address(folder).rstrip("/")
        for parent, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = f"{parent}/{name}"
                below = path[len(self._place) + 1 :]
                if below.startswith(prefix) and (found := _listed(path, below)):
                    yield found

    def delete(self, names: Sequence[str]) -> None:
        """Delete files, and the folders that this leaves empty."""
        for name in names:
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(self.address(name))  # noqa: PTH108
        for folder in {name.rpartition("/")[0] for name in names}:
            self._prune(folder)

    def _prune(self, folder: str) -> None:
        while folder and folder != STAGING:
            try:
                os.rmdir(f"{self._place}/{folder}")  # noqa: PTH106
            except FileNotFoundError:
                pass
            except OSError:
                return
            folder = folder.rpartition("/")[0]

    @contextmanager
    def stage(self) -> Iterator[str]:
        """Give a new folder for files that nobody sees yet; it is gone when the block ends.

        It is locked as long as its writer lives, which is how `sweep` tells it from a leftover.
        """
        folder = f"{self._place}/{STAGING}/{secrets.token_hex(8)}"
        try:
            os.mkdir(folder)  # noqa: PTH102
        except FileNotFoundError:
            os.makedirs(folder)  # noqa: PTH103
        try:
            with locked(folder):
                yield folder
        finally:
            if os.access(folder, os.F_OK):  # after a commit it has been renamed away
                shutil.rmtree(folder)

    def publish(self, folder: str, path: str) -> bool:
        """Rename a staged folder to its path, if nothing lies there.

        Returns:
            Whether it did. A path below which anything lies is taken.
        """
        target = self.address(path)
        self._waiting.for_tree(folder)
        for _ in range(_TRIES):
            try:
                os.rename(folder, target)  # noqa: PTH104
            except FileNotFoundError:  # no parent yet, or it was just emptied and removed
                _make_folder(target.rpartition("/")[0])
            except OSError as error:
                if error.errno in _TAKEN:
                    return False
                raise
            else:
                self._waiting.for_folders(path)
                return True
        message = f"{target} cannot be made: its folder is removed again and again"
        raise DeliveryError(message, transient=True)

    def sweep(self, before: datetime) -> int:
        """Remove what killed writers left in the staging folder; return how many there were.

        Args:
            before: Nothing that was changed later is touched, nor what a living writer has locked.
        """
        removed = 0
        with suppress(FileNotFoundError), os.scandir(f"{self._place}/{STAGING}") as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    removed += _sweep_folder(entry.path, before)
                elif entry.name.endswith(".draft") and _newest([entry.path]) < before:
                    os.unlink(entry.path)  # noqa: PTH108
                    removed += 1
        return removed

    def _staging(self) -> str:
        staging = f"{self._place}/{STAGING}"
        os.makedirs(staging, exist_ok=True)  # noqa: PTH103
        return staging


def _make_folder(folder: str) -> None:
    try:
        os.mkdir(folder)  # noqa: PTH102  # one call where the one above it is there
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except FileExistsError:
        return


def _listed(path: str, name: str) -> Listed | None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Listed(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _sweep_folder(folder: str, before: datetime) -> bool:
    paths = [folder]
    for parent, folders, names in os.walk(folder):
        paths += [f"{parent}/{name}" for name in folders + names]
    if _newest(paths) >= before:
        return False
    try:
        with locked(folder, wait=False):
            shutil.rmtree(folder)
    except (BlockingIOError, FileNotFoundError):  # its writer lives, or has just published it
        return False
    return True


def _newest(paths: Sequence[str]) -> datetime:
    times = []
    for path in paths:
        with suppress(FileNotFoundError):
            times.append(os.lstat(path).st_mtime)
    return datetime.fromtimestamp(max(times, default=0), UTC)
