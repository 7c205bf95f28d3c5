"""Matplotlib figures and PIL images."""

from __future__ import annotations

import io
import json
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.serialization.pickles import Pickle
from flowyml.serialization.tagged import Decoder, encode
from flowyml.storage.files import FileSink, FileSource

__all__ = ["Figure", "Image"]

INFO = "image.json"


@frozen
class Figure(Pickle):
    """``figure.png`` and ``figure.svg`` for people, and a pickle from which it comes back."""

    name: ClassVar[str] = "figure"

    def file(self) -> str:
        """Name the pickle."""
        return "figure.pkl"

    def _write(self, sink: FileSink, value: Any) -> None:
        super()._write(sink, value)
        for kind in ("png", "svg"):
            with sink.open(f"figure.{kind}") as file:
                # No date: the same figure gives the same bytes.
                metadata = {"Date": None} if kind == "svg" else None
                value.savefig(file, format=kind, metadata=metadata)


@frozen
class Image:
    """``image.png``: a PIL image, where PNG has its mode; one that was opened loses its file."""

    name: ClassVar[str] = "png"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "image.png"

    def writer(self, value: Any) -> Write:
        """Write it to memory and see that it comes back."""
        import PIL.Image

        info = json.dumps(encode(dict(value.info))).encode()
        file = io.BytesIO()
        try:
            value.save(file, format="PNG")
            again = _opened(PIL.Image.open(file, formats=["PNG"]), value.info)
        except (OSError, ValueError) as cause:
            message = f"PNG does not hold a picture of the mode {value.mode}: {cause}"
            raise SerializationError(message) from cause
        if again != value.copy():
            message = f"PNG would change this picture of the mode {value.mode}"
            raise SerializationError(message)
        return lambda sink: self._write(sink, file.getvalue(), info)

    def _write(self, sink: FileSink, picture: bytes, info: bytes) -> None:
        sink.put(self.FILE, picture)
        sink.put(INFO, info)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Decode it as PNG and nothing else; PIL refuses a decompression bomb."""
        del trusted
        import PIL.Image

        with source.open(INFO) as file:
            info = Decoder().loads(file.read())
        with source.open(self.FILE) as file:
            content = file.read()
        try:
            return _opened(PIL.Image.open(io.BytesIO(content), formats=["PNG"]), info)
        except (OSError, ValueError, PIL.Image.DecompressionBombError) as cause:
            message = f"{self.FILE} is not a PNG that FlowyML wrote: {cause}"
            raise SerializationError(message) from cause


def _opened(picture: Any, info: dict[str, Any]) -> Any:
    again = picture.copy()
    again.info = dict(info)
    return again
