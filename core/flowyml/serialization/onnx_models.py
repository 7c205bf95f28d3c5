"""ONNX models."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource

__all__ = ["Onnx"]


@frozen
class Onnx:
    """``model.onnx``: an `onnx.ModelProto` with its weights inside."""

    name: ClassVar[str] = "onnx"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "model.onnx"

    def writer(self, value: Any) -> Write:
        """Refuse a model whose weights lie in files of their own."""
        import onnx

        for tensor in value.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                message = (
                    f"the weights {tensor.name!r} lie outside of the model; read them in with "
                    "onnx.load_external_data_for_model, or return the folder as a Path"
                )
                raise SerializationError(message)
        return lambda sink: self._write(sink, value)

    def _write(self, sink: FileSink, model: Any) -> None:
        sink.put(self.FILE, model.SerializeToString(deterministic=True))

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Parse it; nothing outside of the file is read."""
        del trusted
        import onnx
        from google.protobuf.message import DecodeError

        with source.open(self.FILE) as file:
            try:
                return onnx.load_model_from_string(file.read())
            except DecodeError as cause:
                message = f"{self.FILE} is not an ONNX model: {cause}"
                raise SerializationError(message) from cause
