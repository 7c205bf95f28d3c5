"""A TCP proxy that spoils connections on purpose: refusals, cuts, silence, changed bytes.

It also counts what goes through it, so that a test can tell how much was sent and how often.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, Self
from urllib.parse import urlsplit

from attrs import define, field, frozen

__all__ = ["Fault", "Proxy", "refusal"]

CHUNK = 65536

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

NAME = re.compile(rb'"name": *"([^"]+)"')
"""Cloud Storage is told in the body of a request which object it is about."""

CHANCE = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])|uploadId=[^& ]+")
"""Part of a name that is another one at each attempt."""

END = b"\r\n\r\n"

PAUSE = 0.02
"""Seconds between two pieces of an answer that comes slowly."""


def refusal(status: str, body: str, **headers: str) -> bytes:
    """Return a whole answer that refuses a request.

    Args:
        status: Number and words, as ``503 Slow Down``.
        body: What the vendor says.
        headers: Further headers, with ``_`` for ``-``.
    """
    further = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{further}\r\n"
    return (head + body).encode()


def _of_s3(status: str, code: str, message: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return refusal(status, body, Content_Type="application/xml")


REFUSALS = {
    "slow_down": _of_s3("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    "deny": _of_s3("403 Forbidden", "AccessDenied", "Access Denied"),
}
"""Whole answers, as S3 words them."""


@define
class Fault:
    """What happens to the next requests that match.

    Attributes:
        kind: What goes wrong.
            ``slow_down`` answers 503 SlowDown, ``deny`` 403 AccessDenied, ``refuse`` with `answer`;
            ``cut`` closes the connection once `after` bytes of the request have gone through;
            ``hang`` answers nothing at all;
            ``lose`` lets the server do its work and closes the connection without its answer;
            ``shorten`` closes it in the middle of the answer's body;
            ``trickle`` hands the answer over in small pieces;
            ``flip`` changes a bit in the middle of the answer's body, ``spoil`` in the request's.
        times: How many requests it hits.
        first: Whether it hits each request only when it is asked for the first time.
        skip: How many requests that match are let through before.
        matching: Bytes that the first piece of the request has to contain.
        least: Least length of the request's body.
        after: Bytes of the request to let through before a cut.
        answer: What ``refuse`` answers.
        then: What is called at the fault: for ``lose`` once the server has done its work, for all
            others before anything of the request goes through.
    """

    kind: Literal[
        "slow_down",
        "deny",
        "refuse",
        "cut",
        "hang",
        "lose",
        "shorten",
        "trickle",
        "flip",
        "spoil",
    ]
    times: int = 1
    first: bool = False
    skip: int = 0
    matching: bytes = b""
    least: int = 0
    after: int = 0
    answer: bytes = b""
    then: Callable[[], object] = lambda: None
    _known: set[tuple[object, ...]] = field(init=False, factory=set)

    def hits(self, request: _Request) -> bool:
        """Count a request, and say whether the fault happens to it."""
        matches = self.matching in request.start and request.length >= self.least
        if not matches or self.times <= 0:
            return False
        if self.first and request.identity in self._known:
            return False
        self._known.add(request.identity)
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@frozen
class _Request:
    """What is known of a request when its first pieces are there."""

    head: bytes
    body: bytes
    length: int

    @classmethod
    def received(cls, client: socket.socket) -> _Request | None:
        """Wait for the head of a request; None where none comes."""
        found = b""
        while END not in found:
            piece = client.recv(CHUNK)
            if not piece:
                return None
            found += piece
        head, _, body = found.partition(END)
        length = LENGTH.search(head)
        return cls(head, body, int(length[1]) if length else 0)

    @property
    def line(self) -> str:
        """Method and path."""
        return self.head.partition(b" HTTP/")[0].decode(errors="replace")

    @property
    def identity(self) -> tuple[object, ...]:
        """What a request has in common with its repetition, and with no other one."""
        line = CHANCE.sub("*", self.line)
        return line, self.length, *(CHANCE.sub("*", name) for name in self._names)

    @property
    def _names(self) -> list[str]:
        return [name.decode(errors="replace") for name in NAME.findall(self.body)]

    @property
    def start(self) -> bytes:
        """Return what is there of it, with the wish that both sides close after this request."""
        line, _, headers = self.head.partition(b"\r\n")
        return line + b"\r\nConnection: close\r\n" + headers + END + self.body


@define
class Proxy:
    """Stands before one server on 127.0.0.1; every connection carries one request.

    Attributes:
        server: URL of the server behind.
        faults: What is still to go wrong, in order.
        hits: How often each kind of fault happened.
        requests: Method and path of each request.
        sent: Bytes that went to the server.
        received: Bytes of its answers that were let through.
    """

    server: str
    faults: list[Fault] = field(factory=list)
    hits: list[str] = field(factory=list)
    requests: list[str] = field(factory=list)
    sent: int = 0
    received: int = 0
    _listener: socket.socket = field(init=False)
    _silent: list[socket.socket] = field(init=False, factory=list)
    _lock: threading.Condition = field(init=False, factory=threading.Condition)
    _accepted: set[object] = field(init=False, factory=set)
    _active: int = field(init=False, default=0)

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

    def settle(self) -> None:
        """Wait until everything that was asked for has been done."""
        # Connections are accepted in their order: this one comes after all that wait.
        with socket.create_connection(self._listener.getsockname()) as last:
            place = last.getsockname()
        with self._lock:
            assert self._lock.wait_for(lambda: place in self._accepted and not self._active, 30)

    def _accept(self) -> None:
        while True:
            try:
                client, place = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._accepted.add(place)
                self._active += 1
            threading.Thread(target=self._serve_one, args=(client,), daemon=True).start()

    def _serve_one(self, client: socket.socket) -> None:
        try:
            self._serve(client)
        finally:
            with self._lock:
                self._active -= 1
                self._lock.notify_all()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            request = _Request.received(client)
            if request is None:
                client.close()
                return
            fault = self._fault(request)
            if fault is None:
                self._forward(client, request, limit=None)
            else:
                self._spoil(client, request, fault)

    def _fault(self, request: _Request) -> Fault | None:
        with self._lock:
            self.requests.append(request.line)
            found = [fault for fault in self.faults if fault.hits(request)][:1]
            self.hits += [fault.kind for fault in found]
            return found[0] if found else None

    def _spoil(self, client: socket.socket, request: _Request, fault: Fault) -> None:
        if fault.kind != "lose":
            fault.then()
        answer = REFUSALS.get(fault.kind, fault.answer)
        if answer:
            _refuse(client, answer)
        elif fault.kind == "hang":
            self._silent.append(client)
        elif fault.kind == "cut":
            self._forward(client, request, limit=fault.after)
        elif fault.kind == "spoil":
            self._forward(client, request, limit=None, spoilt=request.length // 2)
        else:
            with client:
                _hand_over(client, self._answer(client, request), fault)

    def _connected(self) -> socket.socket:
        address = urlsplit(self.server)
        return socket.create_connection((address.hostname or "", address.port or 0))

    def _forward(
        self, client: socket.socket, request: _Request, *, limit: int | None, spoilt: int = -1
    ) -> None:
        """Let a request and its answer through.

        Args:
            client: Who asks.
            request: What is there of the request.
            limit: Bytes after which the connection is cut.
            spoilt: Place in the body whose byte is changed.
        """
        with client, self._connected() as server:
            back = threading.Thread(target=self._return, args=(server, client), daemon=True)
            back.start()
            passed, place = 0, spoilt + len(request.start) - len(request.body)
            piece = request.start
            try:
                while piece:
                    if spoilt >= 0 and 0 <= place - passed < len(piece):
                        piece = _flipped(piece, place - passed)
                    self._send(server, piece)
                    passed += len(piece)
                    if limit is not None and passed >= limit:
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    piece = client.recv(CHUNK)
                server.shutdown(socket.SHUT_WR)
            except OSError:
                return
            back.join(60)

    def _return(self, server: socket.socket, client: socket.socket) -> None:
        """Let an answer through."""
        with suppress(OSError):
            while piece := server.recv(CHUNK):
                client.sendall(piece)
                with self._lock:
                    self.received += len(piece)
            client.shutdown(socket.SHUT_RDWR)

    def _send(self, server: socket.socket, piece: bytes) -> None:
        server.sendall(piece)
        with self._lock:
            self.sent += len(piece)

    def _answer(self, client: socket.socket, request: _Request) -> bytes:
        """Return the whole answer of the server to a request."""
        with self._connected() as server:
            self._send(server, request.start)
            left = request.length - len(request.body)
            if left > 0 and b"100-continue" in request.head.lower():
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            while left > 0 and (piece := client.recv(CHUNK)):
                self._send(server, piece)
                left -= len(piece)
            pieces = []
            while piece := server.recv(CHUNK):
                pieces.append(piece)
        answer = b"".join(pieces)
        while answer.startswith(b"HTTP/1.1 100"):
            answer = answer.partition(END)[2]
        return answer


def _hand_over(client: socket.socket, answer: bytes, fault: Fault) -> None:
    """Give the client what the fault leaves of an answer."""
    head, _, body = answer.partition(END)
    middle = len(head) + len(END) + len(body) // 2
    if fault.kind == "lose":
        fault.then()
    elif fault.kind == "shorten":
        client.sendall(answer[:middle])
    elif fault.kind == "flip":
        client.sendall(_flipped(answer, middle) if body else answer)
    else:
        size = max(1, len(answer) // 10)
        for start in range(0, len(answer), size):
            client.sendall(answer[start : start + size])
            threading.Event().wait(PAUSE)


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _refuse(client: socket.socket, answer: bytes) -> None:
    """Answer, then read on, so that the answer is not lost in a reset."""
    with client, suppress(OSError):
        client.sendall(answer)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(2)
        while client.recv(CHUNK):
            pass
