"""Pickle: what scikit-learn documents for its models, and what is left where nothing else fits.

Reading a pickle runs whatever is in it, so these formats are read only when the project vouches for
the file. Both are written by cloudpickle, which also takes along classes and functions that cannot
be imported elsewhere; protocol 5 writes large buffers without copying them.
"""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any, BinaryIO, ClassVar, cast

import cloudpickle
from attrs import define, frozen

from flowyml.errors import SerializationError, TrustError
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource

__all__ = ["CloudPickle", "ModelPickle", "Pickle", "take_along"]

PROTOCOL = 5


def take_along(module: ModuleType) -> None:
    """Let what a module defines, which no other process finds, lie in each pickle itself."""
    cloudpickle.register_pickle_by_value(module)


@define
class _Watched:
    """A file that knows whether it failed: what pickling itself raises may be of any class."""

    file: BinaryIO
    has_failed: bool = False

    def write(self, content: Any) -> int:
        """Write."""
        try:
            return self.file.write(content)
        except BaseException:
            self.has_failed = True
            raise


@frozen
class Pickle:
    """``data.pkl``: a pickle that was asked for."""

    name: ClassVar[str] = "pickle"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = True

    def file(self) -> str:
        """Name the data file."""
        return "data.pkl"

    def writer(self, value: object) -> Write:
        """Refuse what would come back as something else; else only pickling tells if it works."""
        if type(value) is memoryview:  # below an object it is for that to say what it makes of it
            message = "it would come back as bytes; return bytes(...) of it"
            raise SerializationError(message)
        return lambda sink: self._write(sink, value)

    def _write(self, sink: FileSink, value: object) -> None:
        with sink.open(self.file()) as file:
            watched = _Watched(file)
            try:
                cloudpickle.dump(value, cast("BinaryIO", watched), protocol=PROTOCOL)
            except Exception as cause:
                if watched.has_failed:
                    raise
                cls = type(value)
                why = str(cause) or type(cause).__name__
                message = (
                    f"a {cls.__module__}.{cls.__qualname__} cannot be stored: {why}; "
                    "return what it was made from, or register a serializer for its class"
                )
                raise SerializationError(message) from cause

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Unpickle a file that the project vouches for."""
        if not trusted:  # asked for once more where it happens
            message = f"{source.manifest.name!r} is a pickle that nobody vouches for"
            raise TrustError(message)
        names = [file.name for file in source.manifest.files if file.name.endswith(".pkl")]
        with source.open(names[0] if names else self.file()) as file:
            return _load(file)


@frozen
class ModelPickle(Pickle):
    """``model.pkl``: a model as its library documents it."""

    def file(self) -> str:
        """Name the data file."""
        return "model.pkl"


@frozen
class CloudPickle(Pickle):
    """``data.pkl``: a value that no other format holds."""

    name: ClassVar[str] = "cloudpickle"


def _load(file: Any) -> object:
    try:
        return pickle.load(file)  # noqa: S301  # only what the project vouches for
    except (ImportError, AttributeError) as cause:
        message = f"the pickle needs code that is not here: {cause}; install or restore it"
        raise SerializationError(message) from cause
    except (EOFError, IndexError, pickle.UnpicklingError) as cause:
        message = f"this is not a whole pickle: {type(cause).__name__}: {cause}"
        raise SerializationError(message) from cause
