"""The event files of one TensorBoard run."""

from __future__ import annotations

import io
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen

from flowyml.errors import DeliveryError, PluginError

__all__ = ["EventLog", "Picture", "Point", "Text", "beginning", "framed", "sdk"]

NUMBERS: Final = itertools.count()
"""Tells the files apart that one process begins within a second."""


@frozen
class Point:
    """One number of a curve."""

    tag: str
    step: int
    time: int
    value: float

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes a point in a file this one; TensorBoard keeps numbers in 32 bits."""
        return (self.tag, self.step, self.time, _four_bytes(self.value))

    def summary(self, message: Any) -> Any:
        """Return the number as TensorBoard's message."""
        return message.Value(tag=self.tag, simple_value=self.value)


@frozen
class Text:
    """A text, shown as Markdown."""

    tag: str
    time: int
    text: str
    step: int = 0

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes a text in a file this one."""
        return (self.tag, self.step, self.time)

    def summary(self, message: Any) -> Any:
        """Return the text as TensorBoard's message."""
        del message
        from tensorboard.plugins.text.summary_v2 import text_pb

        (value,) = text_pb(self.tag, self.text).value
        return value


@frozen
class Picture:
    """A PNG."""

    tag: str
    time: int
    png: bytes
    step: int = 0

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes a picture in a file this one."""
        return (self.tag, self.step, self.time)

    def summary(self, message: Any) -> Any:
        """Return the picture, with the size that stands in its header, as TensorBoard's message."""
        width, height = struct.unpack(">II", self.png[16:24])
        image = message.Image(width=width, height=height, encoded_image_string=self.png)
        return message.Value(tag=self.tag, image=image)


@define
class EventLog:
    """Adds events to a run's folder, each one once, whichever process wrote the others.

    Attributes:
        folder: Folder of the run; made with its first event.
    """

    folder: Path
    _file: Path | None = field(init=False, default=None)
    _seen: set[tuple[Any, ...]] = field(init=False, factory=set)
    _turn: threading.Lock = field(init=False, factory=threading.Lock)

    def add(self, events: Iterable[Point | Text | Picture]) -> None:
        """Write the events that are not there yet; they are in the file when this returns.

        Raises:
            DeliveryError: The folder cannot be written.
        """
        with self._turn:
            try:
                self._write(events)
            except OSError as cause:
                message = f"no TensorBoard events can be written to {self.folder}: {cause}"
                raise DeliveryError(message) from cause

    def close(self) -> None:
        """Leave the file; the next event begins another."""
        with self._turn:
            self._forget()

    def _new(self, events: Iterable[Point | Text | Picture]) -> Iterator[Any]:
        """Yield TensorBoard's messages for what is not in the folder, and remember them."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for event in events:
            identity = event.identity
            if identity not in self._seen:
                self._seen.add(identity)
                summary = Summary(value=[event.summary(Summary)])
                yield Event(wall_time=event.time / 1000, step=event.step, summary=summary)

    def _write(self, events: Iterable[Point | Text | Picture]) -> None:
        try:
            file, head = self._begun()
            if content := framed(self._new(events)):
                with file.open("ab") as stream:
                    stream.write(head + content)
                self._file = file
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """Read the folder again before the next event: what is in it is not certain any more."""
        self._file = None
        self._seen.clear()

    def _begun(self) -> tuple[Path, bytes]:
        """Return the file, and what it begins with where it is a new one."""
        if self._file is not None:
            return self._file, b""
        self._seen.update(identity for file in self._files() for identity in _identities(file))
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / _new_name(), framed([beginning(time.time())])

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("events.out.tfevents.*")) if self.folder.is_dir() else []


def beginning(moment: float) -> Any:
    """Return the event that every file begins with."""
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=moment, file_version="brain.Event:2")


def framed(events: Iterable[Any]) -> bytes:
    """Return events as they lie in a file, each framed the way TensorBoard's own writer does."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    stream = io.BytesIO()
    writer = RecordWriter(stream)
    for event in events:
        writer.write(event.SerializeToString())
    return stream.getvalue()


def _new_name() -> str:
    """Return a name for a file; TensorBoard reads the files of a folder in the order of theirs."""
    place = f"{socket.gethostname()}.{os.getpid()}.{next(NUMBERS)}"
    return f"events.out.tfevents.{int(time.time()):010d}.{place}"


def _identities(file: Path) -> Iterator[tuple[Any, ...]]:
    """Read what a file holds, as far as whoever wrote it came."""
    from tensorboard.compat.proto.event_pb2 import Event

    for raw in _records(file):
        event = Event.FromString(raw)
        time = round(event.wall_time * 1000)
        for value in event.summary.value:
            known = (value.tag, event.step, time)
            is_point = value.WhichOneof("value") == "simple_value"
            yield (*known, _four_bytes(value.simple_value)) if is_point else known


def _records(file: Path) -> Iterator[bytes]:
    """Yield the records of an event file: length, checksum, content, checksum.

    A record that a killed process left half written is the last one, and is nothing yet.
    """
    content = file.read_bytes()
    place = 0
    while place + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        end = place + 12 + length + 4
        if end > len(content):
            return
        yield content[place + 12 : end - 4]
        place = end


def _four_bytes(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # infinity, once it is in the file
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def sdk() -> None:
    """Make sure that TensorBoard is here.

    Raises:
        PluginError: It is not installed.
    """
    try:
        import tensorboard  # noqa: F401  # only whether it is there
    except ImportError as cause:
        message = (
            f"TensorBoard cannot be imported: {cause}; `pip install 'flowyml[tensorboard]'` "
            "brings it"
        )
        raise PluginError(message) from cause
