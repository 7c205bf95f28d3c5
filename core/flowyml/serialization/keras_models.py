"""Keras models, in Keras's own archive."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource

__all__ = ["KerasArchive"]


@frozen
class KerasArchive:
    """``model.keras``: architecture, weights and the optimizer's state.

    The architecture names classes and functions that are called when it is read, and Keras's safe
    mode has been got round before, so the project has to vouch for the file.
    """

    name: ClassVar[str] = "keras"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = True

    FILE: ClassVar[str] = "model.keras"

    def writer(self, value: Any) -> Write:
        """Refuse a model that has no weights yet, for Keras would store none."""
        if not value.built:
            message = "the model is not built; call it once, or give its first layer an input shape"
            raise SerializationError(message)
        return lambda sink: self._write(sink, value)

    def _write(self, sink: FileSink, model: Any) -> None:
        with sink.reserve(self.FILE) as path:
            model.save(path)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Build the architecture and load the weights into it."""
        import keras

        try:
            return keras.saving.load_model(source.path(self.FILE), safe_mode=not trusted)
        except (OSError, LookupError, TypeError, ValueError) as cause:
            message = f"{self.FILE} is not a model that this Keras reads: {cause}"
            raise SerializationError(message) from cause
