"""What a serializer is: one format for the values of one library.

A third party adds one through the entry-point group ``flowyml.serializer``: the entry point's name
is the qualified name of the class it is for (``lab.reports.Report``), its value a class with the
shape of `Serializer`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, TypeAlias

from flowyml.errors import SerializationError
from flowyml.storage.files import FileSink, FileSource

__all__ = ["PickleWarning", "RefusedError", "Serializer", "Write"]

Write: TypeAlias = Callable[[FileSink], None]


class Serializer(Protocol):
    """Turns values into files and back, exactly or not at all.

    Attributes:
        name: The format, as rules, `Dataset.format` and manifests name it.
        version: Counted up when older readers could not read what is written now.
        runs_code: Whether reading can run code that lies in the files. Such files are read only
            when the project vouches for them.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    runs_code: ClassVar[bool]

    def writer(self, value: object) -> Write:
        """Return the function that writes a value's files; it may be called more than once.

        Raises:
            SerializationError: This format cannot hold the value exactly. Another format is tried
                unless the user asked for this one.
            RefusedError: No other format is to be tried either.
        """

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Return the value again, in value and type.

        Args:
            source: The files, verified.
            trusted: Whether the project vouches for them.

        Raises:
            SerializationError: The files are not what this format writes.
            TrustError: Reading them could run code, and nobody vouches for them.
        """


class RefusedError(SerializationError):
    """This value is not stored unless the user asks for a format by name."""


class PickleWarning(UserWarning):
    """A value had no format of its own and was stored with cloudpickle."""
