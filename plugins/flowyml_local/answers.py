"""The HTTP face of a server: ``GET /health`` and ``POST /predict``.

Every answer is JSON, and every error is ``{"error": "..."}`` in words; tracebacks go to the log.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final

from flowyml.errors import DeliveryError
from flowyml_local.launching import Launch
from flowyml_local.serving import Predict, plain
from flowyml_local.takeover import lead_to_successor

__all__ = ["ModelServer", "open_server"]

MOST_BYTES: Final = 32 * 2**20
"""Length of the longest request that is read."""

SILENCE: Final = 30.0
"""Seconds after which a client that says nothing is not waited for."""

DRAINING: Final = 2.0
"""Seconds for which connections that are in line already are still answered at the end."""

ON_THE_WAY: Final = 0.2
"""Seconds without another connection after which none is on its way any more."""

PORT_PATIENCE: Final = 3.0
"""Seconds for the server of a starter that was killed to give its port back."""


class _AnswerError(Exception):
    """Ends a request with a status and a message."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class ModelServer(ThreadingHTTPServer):
    """Answers for one model.

    It shares its port with its predecessor while it takes over from it, so that no client ever
    finds the port closed; whoever comes from then on is led to it, for a connection that reaches
    the predecessor when that closes is lost.
    """

    allow_reuse_port = True
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, launch: Launch, port: int, predict: Predict) -> None:
        self.launch = launch
        self.predict = predict
        self.address_family = _family(launch.host)
        super().__init__((launch.host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking the name service who this host is, which can take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.launch.host, self.server_address[1]

    def server_activate(self) -> None:
        """Listen, and take over from a predecessor."""
        super().server_activate()
        if self.launch.shared:
            lead_to_successor(self.socket)

    def finish(self) -> None:
        """Answer those who are in line, close the port, and wait for the answers to be out."""
        self.shutdown()
        deadline = time.monotonic() + DRAINING
        while time.monotonic() < deadline and select.select([self], [], [], ON_THE_WAY)[0]:
            self.handle_request()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a connection; a client that went away is not worth a line."""
        del request, client_address
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            traceback.print_exc()


def open_server(launch: Launch, predict: Predict) -> ModelServer:
    """Listen where the launch says, or, if it does not insist, at any port.

    Raises:
        DeliveryError: The port is not to be had.
    """
    try:
        if launch.port and not launch.shared:
            _make_sure_it_is_free(launch)
        return ModelServer(launch, launch.port, predict)
    except OSError as cause:
        if not launch.insists and cause.errno == errno.EADDRINUSE:
            return ModelServer(launch, 0, predict)
        message = (
            f"it cannot listen at port {launch.port} of {launch.host}: {cause.strerror}; give the "
            "model deployer another `port` or `host`, or no port, and a free one is taken"
        )
        raise DeliveryError(message) from cause


def _make_sure_it_is_free(launch: Launch) -> None:
    """Bind once without sharing: a shared port would let two strangers in one project meet."""
    deadline = time.monotonic() + (PORT_PATIENCE if launch.insists else 0)
    while True:
        with socket.socket(_family(launch.host)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((launch.host, launch.port))
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    raise
        time.sleep(0.05)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    server_version = "flowyml"
    sys_version = ""
    timeout = SILENCE

    def do_GET(self) -> None:
        """Say what serves here."""
        if self.path != "/health":
            self._refuse_path()
            return
        launch = self.server.launch
        said = {"status": "serving", "endpoint": launch.endpoint, "launch": launch.launch}
        model = {"model": launch.model, "version": launch.version, "digest": launch.digest}
        self._answer(HTTPStatus.OK, {**said, **model})

    def do_POST(self) -> None:
        """Predict."""
        if self.path != "/predict":
            self._refuse_path()
            return
        try:
            predictions = _predictions(self.server.predict, _instances(self._body()))
        except _AnswerError as error:
            self._answer(error.status, {"error": str(error)})
        else:
            self._answer(HTTPStatus.OK, {"predictions": predictions})

    def _refuse_path(self) -> None:
        error = f"there is nothing at {self.path!r}; ask GET /health or POST /predict"
        self._answer(HTTPStatus.NOT_FOUND, {"error": error})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            message = "say with Content-Length how many bytes of JSON follow"
            raise _AnswerError(HTTPStatus.LENGTH_REQUIRED, message)
        if int(length) > MOST_BYTES:
            self._skip(int(length))
            message = (
                f"{length} bytes are more than {MOST_BYTES}; ask with fewer instances at a time"
            )
            raise _AnswerError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        return self.rfile.read(int(length))

    def _skip(self, length: int) -> None:
        """Read on for a while: a client that is cut off while it sends never sees the answer."""
        left = min(length, 8 * MOST_BYTES)
        while left > 0 and (part := self.rfile.read1(min(left, 2**16))):
            left -= len(part)

    def _answer(self, status: HTTPStatus, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in JSON to what is not understood; the library itself answers in HTML."""
        del explain
        status = HTTPStatus(code)
        self._answer(status, {"error": message or status.phrase})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Keep no list of requests."""


def _instances(body: bytes) -> list[Any]:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        message = f"the request is not JSON: {error}"
        raise _AnswerError(HTTPStatus.BAD_REQUEST, message) from error
    instances = asked.get("instances") if isinstance(asked, dict) else None
    if not isinstance(instances, list):
        message = 'the request has to be {"instances": [...]}, with one entry for each prediction'
        raise _AnswerError(HTTPStatus.BAD_REQUEST, message)
    return instances


def _predictions(predict: Predict, instances: list[Any]) -> list[Any]:
    """Return one prediction for each instance; what the model cannot take is the asker's fault."""
    if not instances:
        return []
    try:
        found = predict(instances)
    except (LookupError, TypeError, ValueError) as error:
        message = f"the model refuses these instances: {type(error).__name__}: {error}"
        raise _AnswerError(HTTPStatus.BAD_REQUEST, message) from error
    except Exception as error:
        traceback.print_exc()
        message = f"the model fails with {type(error).__name__}; the log of its server says more"
        raise _AnswerError(HTTPStatus.INTERNAL_SERVER_ERROR, message) from error
    return _one_each(found, len(instances))


def _one_each(found: Any, count: int) -> list[Any]:
    try:
        predictions = plain(found)
    except (TypeError, ValueError) as error:
        raise _AnswerError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
    if not isinstance(predictions, list) or len(predictions) != count:
        given = f"{len(predictions)}" if isinstance(predictions, list) else "something else"
        message = f"the model was asked for {count} predictions and gave {given}"
        raise _AnswerError(HTTPStatus.INTERNAL_SERVER_ERROR, message)
    return predictions
