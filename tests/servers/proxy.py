"""A TCP proxy that spoils connections on purpose: refusals, cuts in the middle, silence."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Self
from urllib.parse import urlsplit

from attrs import define, field

__all__ = ["Fault", "Proxy"]

CHUNK = 65536

REFUSALS = {
    "slow_down": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    "deny": ("403 Forbidden", "AccessDenied", "Access Denied"),
}
"""Status, code and message, as S3 words them."""


@define
class Fault:
    """What happens to the next connections that match.

    Attributes:
        kind: ``slow_down`` answers 503 SlowDown, ``deny`` 403 AccessDenied, ``cut`` closes the
            connection once ``after`` bytes of the request have gone through, ``hang`` answers
            nothing at all.
        times: How many connections it hits.
        matching: Bytes that the first piece of the request has to contain.
        after: Bytes of the request to let through before a cut.
    """

    kind: Literal["slow_down", "deny", "cut", "hang"]
    times: int = 1
    matching: bytes = b""
    after: int = 0


@define
class Proxy:
    """Stands before one server on 127.0.0.1; every connection carries one request.

    Attributes:
        server: URL of the server behind.
        faults: What is still to go wrong, in order.
        hits: How often each kind of fault happened.
    """

    server: str
    faults: list[Fault] = field(factory=list)
    hits: list[str] = field(factory=list)
    _listener: socket.socket = field(init=False)
    _silent: list[socket.socket] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for connection in self._silent:
                connection.close()
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            head = _one_request(client.recv(CHUNK))
        except OSError:
            head = b""
        fault = self._fault(head)
        if not head:
            client.close()
        elif fault is None:
            self._forward(client, head, limit=None)
        elif fault.kind in REFUSALS:
            _refuse(client, *REFUSALS[fault.kind])
        elif fault.kind == "hang":
            self._silent.append(client)
        else:
            self._forward(client, head, limit=fault.after)

    def _fault(self, head: bytes) -> Fault | None:
        for fault in self.faults:
            if head and fault.times > 0 and fault.matching in head:
                fault.times -= 1
                self.hits.append(fault.kind)
                return fault
        return None

    def _forward(self, client: socket.socket, head: bytes, *, limit: int | None) -> None:
        address = urlsplit(self.server)
        with (
            client,
            socket.create_connection((address.hostname or "", address.port or 0)) as server,
        ):
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            passed = 0
            piece = head
            try:
                while piece:
                    server.sendall(piece)
                    passed += len(piece)
                    if limit is not None and passed >= limit:
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    piece = client.recv(CHUNK)
                server.shutdown(socket.SHUT_WR)
            except OSError:
                return
            back.join(60)


def _one_request(head: bytes) -> bytes:
    """Ask both sides to close after this request, so that every request is a connection."""
    line, separator, rest = head.partition(b"\r\n")
    return line + separator + b"Connection: close\r\n" + rest if separator else head


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(CHUNK):
            target.sendall(piece)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _refuse(client: socket.socket, status: str, code: str, message: str) -> None:
    """Answer as S3 does, then read on, so that the answer is not lost in a reset."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    try:
        client.sendall(head.encode() + body)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(2)
        while client.recv(CHUNK):
            pass
    except OSError:
        pass
    finally:
        client.close()
