"""scikit-learn models as skops files, which name the classes in them instead of running code."""

from __future__ import annotations

import zipfile
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError, TrustError
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource

__all__ = ["Skops"]


@frozen
class Skops:
    """``model.skops``, on request.

    Unless the project vouches for the file it may hold nothing but the classes that skops itself
    trusts; a list of trusted classes that comes with the file counts for nothing.
    """

    name: ClassVar[str] = "skops"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "model.skops"

    def writer(self, value: object) -> Write:
        """See first that skops is there."""
        _skops()
        return lambda sink: self._write(sink, value)

    def _write(self, sink: FileSink, value: object) -> None:
        sink.put(self.FILE, _skops().dumps(value))

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Let skops list what it does not trust, and refuse it or, if told so, trust it."""
        skops = _skops()
        with source.open(self.FILE) as file:
            try:
                unknown = skops.get_untrusted_types(file=file)
                if unknown and not trusted:
                    message = (
                        f"{self.FILE} holds {', '.join(unknown)}, which skops does not trust, and "
                        "this project did not store it; say `trust: pickle` in the stack if you "
                        "know where it comes from"
                    )
                    raise TrustError(message)
                file.seek(0)
                return skops.load(file, trusted=unknown)
            except (
                zipfile.BadZipFile,
                AttributeError,
                LookupError,
                TypeError,
                ValueError,
            ) as cause:
                if isinstance(cause, TrustError):
                    raise
                message = f"{self.FILE} is not a skops file: {cause}"
                raise SerializationError(message) from cause


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as cause:
        message = "`format: skops` needs skops; install it with `pip install skops`"
        raise SerializationError(message) from cause
    return skops.io
