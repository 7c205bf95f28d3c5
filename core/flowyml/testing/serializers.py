"""What every serializer has to do.

Subclass `SerializerContract` and give its fixtures::

    class TestReportFormat(SerializerContract):
        @pytest.fixture
        def serializer(self):
            return ReportFormat()

        @pytest.fixture
        def values(self):
            return [Report("a", [1, 2]), Report("", [])]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from flowyml.errors import IntegrityError, SerializationError, TrustError
from flowyml.records import StoredArtifact
from flowyml.serialization.contract import Serializer
from flowyml.storage.files import FileSource, StoreRequest
from flowyml.storage.local_folders import LocalFolders
from flowyml.testing.artifacts import DRAFT
from flowyml.testing.contract import Contract

__all__ = ["SerializerContract"]


class _Stranger:
    """A value that no serializer but a pickle holds."""


class SerializerContract(Contract):
    """Tests of a serializer; a subclass may add its own beside them.

    Attributes:
        repeatable: Whether the same value is written as the same bytes, so that storing it again
            is no second artifact.
        holds_anything: Whether it holds values of every class, as a pickle does.
    """

    repeatable: ClassVar[bool] = True
    holds_anything: ClassVar[bool] = False

    @pytest.fixture
    def serializer(self) -> Serializer:
        """Return the serializer."""
        raise NotImplementedError

    @pytest.fixture
    def values(self) -> Sequence[object]:
        """Return values that it holds, the awkward ones among them."""
        raise NotImplementedError

    @pytest.fixture
    def strangers(self) -> Sequence[object]:
        """Return values that it must not take, because it could not give them back."""
        return [] if self.holds_anything else [_Stranger(), _Stranger, lambda: None]

    def same(self, one: Any, other: Any) -> bool:
        """Whether two values are equal, for classes that cannot tell by themselves."""
        return type(one) is type(other) and bool(one == other)

    def test_it_names_itself(self, serializer: Serializer) -> None:
        """Name, version and whether it runs code are what manifests can keep."""
        assert re.fullmatch(r"[\w.+-]+", serializer.name)
        assert isinstance(serializer.version, int)
        assert serializer.version >= 1
        assert isinstance(serializer.runs_code, bool)

    def test_values_come_back(
        self, serializer: Serializer, values: Sequence[object], tmp_path: Path
    ) -> None:
        """In value and in type, by a serializer that knows nothing of the one that wrote."""
        assert values, "give the values that it holds"
        for number, value in enumerate(values):
            stored = _stored(serializer, value, tmp_path, f"{number}")
            read = type(serializer)().read(_opened(tmp_path, stored), trusted=True)
            assert self.same(read, value), f"{value!r} came back as {read!r}"

    def test_a_value_is_written_as_often_as_asked(
        self, serializer: Serializer, values: Sequence[object], tmp_path: Path
    ) -> None:
        """Each attempt at a delivery writes it once more, and it is whole each time."""
        for number, value in enumerate(values):
            write = serializer.writer(value)
            for attempt in range(2):
                request = StoreRequest(f"{number}/{attempt}", _draft(serializer), write)
                stored = LocalFolders.at(tmp_path).store(request, key=None)
                read = serializer.read(_opened(tmp_path, stored), trusted=True)
                assert self.same(read, value)

    def test_the_same_value_has_the_same_digest(
        self, serializer: Serializer, values: Sequence[object], tmp_path: Path
    ) -> None:
        """No time and no address is in the files."""
        if not self.repeatable:
            pytest.skip("this format writes other bytes each time")
        for number, value in enumerate(values):
            stored = [_stored(serializer, value, tmp_path, f"{number}/{n}") for n in range(2)]
            assert stored[0].digest == stored[1].digest

    def test_strangers_are_refused(
        self, serializer: Serializer, strangers: Sequence[object], tmp_path: Path
    ) -> None:
        """What it could not give back it does not take, so that another format is tried."""
        if not strangers:
            pytest.skip("this format takes values of every class")
        for number, value in enumerate(strangers):
            with pytest.raises(SerializationError):
                _stored(serializer, value, tmp_path, str(number))

    def test_rubbish_is_no_value(
        self, serializer: Serializer, values: Sequence[object], tmp_path: Path
    ) -> None:
        """Files with something else in them are an error of ours, whatever library reads them."""
        for number, value in enumerate(values):
            stored = _stored(serializer, value, tmp_path, str(number))
            for rubbish in (b"\xff\x00rubbish\x00", b"\x80\x04garbage."):
                source = _Rubbish(_opened(tmp_path, stored), rubbish, tmp_path / "rubbish")
                if not source.manifest.files:
                    continue
                with pytest.raises((SerializationError, IntegrityError)):
                    serializer.read(source, trusted=True)

    def test_code_is_not_run_unasked(
        self, serializer: Serializer, values: Sequence[object], tmp_path: Path
    ) -> None:
        """Files that could run code are read only when the project vouches for them."""
        stored = _stored(serializer, values[0], tmp_path, "value")
        source = _opened(tmp_path, stored)
        if serializer.runs_code:
            with pytest.raises(TrustError):
                serializer.read(source, trusted=False)
        else:
            assert self.same(serializer.read(source, trusted=False), values[0])


@attrs.frozen
class _Rubbish:
    """A source whose files all hold something else, verified all the same."""

    _source: FileSource
    _content: bytes
    _path: Path

    @property
    def manifest(self) -> Any:
        return self._source.manifest

    def open(self, name: str) -> Any:
        return self.path(name).open("rb")

    def path(self, name: str) -> Path:
        del name
        self._path.write_bytes(self._content)
        return self._path


def _draft(serializer: Serializer) -> Any:
    return attrs.evolve(DRAFT, serializer=serializer.name, serializer_version=serializer.version)


def _stored(serializer: Serializer, value: object, folder: Path, path: str) -> StoredArtifact:
    draft = attrs.evolve(_draft(serializer), python_type=_place(type(value)))
    request = StoreRequest(path, draft, serializer.writer(value))
    return LocalFolders.at(folder).store(request, key=None)


def _place(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _opened(folder: Path, stored: StoredArtifact) -> FileSource:
    return LocalFolders.at(folder).load(stored.uri)
