"""Plain Python values: JSON that round-trips exactly, JSON lines, text and bytes."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.serialization.parts import PartReader, PartWriter
from flowyml.serialization.tagged import Decoder, Encoder, holds_class, no_form
from flowyml.storage.files import FileSink, FileSource

__all__ = ["Bytes", "Json", "JsonLines", "Text"]

_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@frozen
class Json:
    """``data.json``: what JSON can say plainly, and tagged objects for the rest.

    A value inside it that has a format of its own, such as a frame, lies beside it.
    """

    name: ClassVar[str] = "json"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.json"

    def writer(self, value: object) -> Write:
        """Encode at once: only then is it known whether JSON holds the value."""
        if not holds_class(type(value)):
            raise no_form(value)
        parts = PartWriter()
        content = _dump(Encoder(parts.take).encode(value)).encode()
        return lambda sink: self._write(sink, content, parts)

    def _write(self, sink: FileSink, content: bytes, parts: PartWriter) -> None:
        sink.put(self.FILE, content)
        parts.write(sink)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Parse and decode; parts are read as they come."""
        parts = PartReader(source, trusted)
        return Decoder(trusted=trusted, foreign=parts.read).loads(_read(source, self.FILE))


@frozen
class JsonLines:
    """``data.jsonl``: a list, one element a line."""

    name: ClassVar[str] = "jsonl"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.jsonl"

    def writer(self, value: object) -> Write:
        """Refuse what is no list; each line is encoded as it is written."""
        if type(value) is not list:
            message = f"jsonl holds a list, one element a line, not a {type(value).__qualname__}"
            raise SerializationError(message)
        return lambda sink: self._write_lines(sink, value)

    def _write_lines(self, sink: FileSink, items: list[Any]) -> None:
        encoder = Encoder()
        with sink.open(self.FILE) as file:
            for place, item in enumerate(items):
                try:
                    line = _dump(encoder.encode(item)).encode()
                except SerializationError as cause:
                    message = f"[{place}]{'' if str(cause).startswith('[') else ': '}{cause}"
                    raise SerializationError(message) from cause
                file.write(line + b"\n")

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Parse line by line; only a line feed ends a line."""
        decoder = Decoder(trusted=trusted)
        with source.open(self.FILE) as file:
            return [decoder.loads(line) for line in file]


@frozen
class Text:
    """``data.txt``: a string as UTF-8, byte for byte."""

    name: ClassVar[str] = "text"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.txt"

    def writer(self, value: object) -> Write:
        """Refuse subclasses of `str`, and strings that are not Unicode text."""
        if type(value) is not str:
            message = f"text holds a str, not a {type(value).__qualname__}"
            raise SerializationError(message)
        try:
            content = value.encode()
        except UnicodeEncodeError as cause:
            message = f"the text has a lone surrogate at position {cause.start}"
            raise SerializationError(message) from cause
        return lambda sink: sink.put(self.FILE, content)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Decode."""
        del trusted
        try:
            return _read(source, self.FILE).decode()
        except UnicodeDecodeError as cause:
            message = f"{self.FILE} is not UTF-8: {cause}"
            raise SerializationError(message) from cause


@frozen
class Bytes:
    """``data.bin``: bytes as they are."""

    name: ClassVar[str] = "bytes"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "data.bin"

    def writer(self, value: object) -> Write:
        """Refuse everything but `bytes`."""
        if type(value) is not bytes:
            message = f"bytes holds bytes, not a {type(value).__qualname__}"
            raise SerializationError(message)
        return lambda sink: sink.put(self.FILE, value)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Read."""
        del trusted
        return _read(source, self.FILE)


def _read(source: FileSource, name: str) -> bytes:
    with source.open(name) as file:
        return file.read()
