"""A folder that stands for a store, so that serializers are tested without one."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import pytest
from attrs import define, frozen

from flowyml.records import Manifest, StoredFile
from flowyml.serialization import Packed, PickleWarning, pack, unpack


@define
class FolderSink:
    """Writes data files below a folder."""

    folder: Path

    def _place(self, name: str) -> Path:
        place = self.folder / name
        assert not place.exists(), f"{name} is written twice"
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with self._place(name).open("xb") as file:
            yield file

    def put(self, name: str, content: bytes) -> None:
        with self.open(name) as file:
            file.write(content)

    def add(self, name: str, path: Path) -> None:
        self._place(name).write_bytes(path.read_bytes())

    @contextmanager
    def reserve(self, name: str) -> Iterator[Path]:
        yield self._place(name)


@frozen
class FolderSource:
    """Reads data files below a folder."""

    manifest: Manifest
    folder: Path

    def open(self, name: str) -> BinaryIO:
        return (self.folder / name).open("rb")

    def path(self, name: str) -> Path:
        return self.folder / name


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal in value and type, all the way down; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Mapping):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, set | frozenset):
        return len(left) == len(right) and all(any(same(a, b) for b in right) for a in left)
    if isinstance(left, numbers.Rational):  # its repr may be longer than Python prints
        return bool(left == right)
    return repr(left) == repr(right)  # tells -0.0, NaN, fold and zones apart where == does not


class Store:
    """Packs values into folders of their own and reads them back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def pack(self, value: object, format_: str | None = None) -> Packed:
        return pack(value, type_name="Thing", name="out", producer=None, key=None, format=format_)

    def write(self, packed: Packed) -> FolderSource:
        self.count += 1
        folder = self.root / str(self.count)
        folder.mkdir()
        packed.write(FolderSink(folder))
        files = tuple(
            StoredFile(path.relative_to(folder).as_posix(), path.stat().st_size, "")
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        )
        return FolderSource(attrs.evolve(packed.manifest, files=files), folder)

    def save(self, value: object, format_: str | None = None) -> FolderSource:
        return self.write(self.pack(value, format_))

    def again(self, value: object, format_: str | None = None, *, trusted: bool = False) -> Any:
        """Save and load; untrusted, so that no pickle gets through by accident."""
        return unpack(self.save(value, format_), trusted=trusted)

    same = staticmethod(same)

    def keeps(self, value: object, format_: str | None = None) -> bool:
        """Whether a value comes back equal in value and type."""
        return same(self.again(value, format_), value)

    def pickled(self, value: object) -> Any:
        """Save and load what only cloudpickle holds."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            source = self.save(value)
        assert [found.category for found in caught] == [PickleWarning]
        assert type(value).__qualname__ in str(caught[0].message)
        assert source.manifest.serializer == "cloudpickle"
        return unpack(source, trusted=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a temporary folder."""
    return Store(tmp_path)
