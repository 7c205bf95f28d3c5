"""How a server is started so that it outlives its starter, and never without being wanted.

The starter and the server share two pipes. The server tells on the one when it serves, or why it
cannot. The other is its leash: until it has been told to stay, it ends as soon as the starter does,
unless the record names it by then. So a starter that is killed, at whatever instant, leaves no
server behind that nobody knows of.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import frozen

from flowyml.errors import DeliveryError
from flowyml_local.endpoints import EndpointFiles
from flowyml_local.processes import Process

__all__ = ["ENDING", "STAY", "Launch", "Started", "is_wanted", "start"]

STAY: Final = b"stay\n"
"""What the starter says when the record names the server."""

ENDING: Final = 10.0
"""Seconds for a server to finish the requests that it is answering."""

SHOWN: Final = 2000
"""Characters of a server's log that an error repeats."""


@frozen
class Launch:
    """All that a server is told.

    Attributes:
        launch: Names this start, and no other ever.
        uri: Where the stored model lies.
        digest: What it has to be.
        port: 0 for any.
        shared: Whether the server that holds the port is its predecessor.
        insists: Whether it may not take another port when this one is taken.
        record: File that names the server once it is wanted.
        patience: Seconds after which it ends if nobody has said that it is wanted.
        code: Folders to import from, after those of the starter.
    """

    launch: str
    endpoint: str
    model: str
    version: str
    uri: str
    digest: str
    host: str
    port: int
    shared: bool
    insists: bool
    record: str
    patience: float
    code: Sequence[str] = ()

    def to_json(self) -> str:
        """Return it on one line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Launch:
        """Return what one line says."""
        return cls(**json.loads(line))


@frozen
class Started:
    """A server that serves.

    Attributes:
        process: The server.
        port: Where it listens.
    """

    process: Process
    port: int


def is_wanted(launch: Launch) -> bool:
    """Whether the record of the endpoint names this start of a server."""
    endpoint = EndpointFiles(Path(launch.record)).read()
    return endpoint is not None and endpoint.launch == launch.launch


@contextmanager
def start(launch: Launch, log: Path) -> Iterator[Started]:
    """Start a server; the block puts it on record. It is ended again if the block fails before.

    Args:
        launch: What it is told.
        log: Where it writes what goes wrong.

    Raises:
        DeliveryError: It does not serve, for the reason that it gave.
    """
    began = log.stat().st_size if log.exists() else 0
    pid, leash, news = _spawn(launch, log)
    process = Process.of(pid) or Process(pid, "ended at once")
    try:
        os.write(leash, launch.to_json().encode() + b"\n")
        said = _listen(news, time.monotonic() + launch.patience)
        yield Started(process, _port(launch, said, log, began))
        with suppress(BrokenPipeError):  # it has ended since, which its status will show
            os.write(leash, STAY)
    except BaseException:
        if not is_wanted(launch):
            process.end(ENDING)
        raise
    finally:
        os.close(leash)
        os.close(news)


def _spawn(launch: Launch, log: Path) -> tuple[int, int, int]:
    """Start the process; return its number, our end of its leash, our end of its news."""
    folders = map(os.path.abspath, sys.path)
    orders, leash = os.pipe()
    news, voice = os.pipe()
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # Not subprocess: it warns of a child that is still running, which is what this one is for.
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "flowyml_local.server", launch.endpoint],
            {**os.environ, "PYTHONPATH": os.pathsep.join([*folders, *launch.code])},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, orders, 0),
                (os.POSIX_SPAWN_DUP2, voice, 1),
                (os.POSIX_SPAWN_DUP2, written, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM),
        )
    except BaseException:
        os.close(leash)
        os.close(news)
        raise
    finally:
        for descriptor in (orders, voice, written):
            os.close(descriptor)
    return pid, leash, news


def _listen(news: int, deadline: float) -> dict[str, Any] | None:
    """Return what the server says; nothing if it ends without a word, None if time runs out."""
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([news], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return None
        part = os.read(news, 65536)
        if not part:
            return {}
        line += part
    said: dict[str, Any] = json.loads(line)
    return said


def _port(launch: Launch, said: dict[str, Any] | None, log: Path, began: int) -> int:
    if said and "port" in said:
        return int(said["port"])
    what = f"the model {launch.model!r} version {launch.version!r} cannot be served"
    if said is None:
        message = (
            f"{what}: its server was not ready after {launch.patience:g} s; "
            "raise `start_timeout` of the model deployer if the model needs longer to load"
        )
        raise DeliveryError(message)
    reason = said.get("error") or _last_words(log, began)
    message = f"{what} at the endpoint {launch.endpoint!r}: {reason}"
    raise DeliveryError(message)


def _last_words(log: Path, began: int) -> str:
    with log.open("rb") as file:
        file.seek(began)
        words = file.read().decode(errors="replace").strip()
    return f"its server ended without a word ({log} says: {words[-SHOWN:] or 'nothing'})"
