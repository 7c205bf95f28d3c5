"""Vertex AI for tests: the vendor's protocol buffers over REST and gRPC, on a port of 127.0.0.1.

The service has no emulator. This one takes what the generated clients of google-cloud-aiplatform
send, by the routes that those clients carry, and parses it into the vendor's messages: an unknown
field or a wrong type is refused before `VertexState` looks at it.
"""

from __future__ import annotations

import http.server
import importlib
import inspect
import json
import re
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import grpc
from attrs import frozen
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import json_format
from tests.servers.vertex_state import VertexState, VertexStatus

__all__ = ["VertexServer", "vertex_server"]

SERVICES = {
    "ModelService": "model_service",
    "EndpointService": "endpoint_service",
    "PredictionService": "prediction_service",
    "JobService": "job_service",
}

OPERATION = re.compile(r"/(?:v1|ui)/(projects/.*/operations/[^/:]+)")
OPERATIONS = re.compile(r"/(?:v1|ui)/(projects/.*)/operations")

HTTP_STATUS = {
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNIMPLEMENTED: 501,
}
"""Every other status is 400, as on Google's own front end."""


@frozen
class VertexServer:
    """A running server.

    Attributes:
        url: Where REST is spoken.
        grpc_address: Where gRPC is spoken.
        state: What it knows, and what it is told to fail.
    """

    url: str
    grpc_address: str
    state: VertexState


@contextmanager
def vertex_server(storage_url: str = "") -> Iterator[VertexServer]:
    """Run a server for a while.

    Args:
        storage_url: The Cloud Storage emulator that models are loaded from.
    """
    state = VertexState(storage_url)
    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _rest_handler(state))
    thread = threading.Thread(target=rest.serve_forever, args=(0.05,), daemon=True)
    rpc = grpc.server(futures.ThreadPoolExecutor(4), handlers=(_RpcHandler(state),))
    rpc_port = rpc.add_insecure_port("127.0.0.1:0")
    thread.start()
    rpc.start()
    try:
        yield VertexServer(f"http://127.0.0.1:{rest.server_port}", f"127.0.0.1:{rpc_port}", state)
    finally:
        state.end_jobs()
        rest.shutdown()
        rest.server_close()
        rpc.stop(None)
        thread.join()


@frozen
class _Route:
    method: str
    path: re.Pattern[str]
    call: str
    body: str | None


def _routes() -> Iterator[_Route]:
    """Read the routes out of the generated clients."""
    for service, module in SERVICES.items():
        place = f"google.cloud.aiplatform_v1.services.{module}.transports.rest_base"
        base: Any = getattr(importlib.import_module(place), f"_Base{service}RestTransport")
        rpcs: list[tuple[str, Any]] = inspect.getmembers(base, inspect.isclass)
        for name, rpc in rpcs:
            call = name.removeprefix("_Base")
            if not name.startswith("_Base") or not hasattr(VertexState, call):
                continue
            if call in {"GetOperation", "ListOperations"}:
                continue
            for option in rpc._get_http_options():
                yield _Route(
                    option["method"].upper(), _pattern(option["uri"]), call, option.get("body")
                )


def _pattern(uri: str) -> re.Pattern[str]:
    def group(found: re.Match[str]) -> str:
        name, value = found[1].replace(".", "__"), found[2].replace("*", "[^/:]+")
        return f"(?P<{name}>{value})"

    return re.compile(re.sub(r"\{([a-z_.]+)=(.*?)\}", group, uri) + "$")


def _rest_handler(state: VertexState) -> type[http.server.BaseHTTPRequestHandler]:
    routes = list(_routes())

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: Any) -> None:
            """Keep the tests' output clean."""

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            try:
                response = _dispatch(state, routes, self.command, self.path, body)
                status, text = 200, json_format.MessageToJson(_raw(response))
            except VertexStatus as refusal:
                status, text = _refusal(refusal.code, refusal.message)
            except json_format.ParseError as error:
                status, text = _refusal(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815  # http.server's names

    return Handler


def _dispatch(
    state: VertexState, routes: list[_Route], method: str, address: str, body: Any
) -> Any:
    parts = urlsplit(address)
    path = unquote(parts.path)
    if found := OPERATION.fullmatch(path):
        return state.answer("GetOperation", operations_pb2.GetOperationRequest(name=found[1]))
    if found := OPERATIONS.fullmatch(path):
        return state.answer("ListOperations", operations_pb2.ListOperationsRequest(name=found[1]))
    for route in routes:
        found = route.path.match(path) if route.method == method else None
        if found:
            request = _request(route, found, dict(parse_qsl(parts.query)), body)
            return state.answer(route.call, request)
    message = f"{method} {path} is not served here"
    raise VertexStatus(grpc.StatusCode.UNIMPLEMENTED, message)


def _request(route: _Route, found: re.Match[str], query: dict[str, str], body: Any) -> Any:
    kind = getattr(types, f"{route.call}Request")
    message = kind.pb(kind())
    said = body if route.body == "*" else {route.body: body} if route.body else {}
    json_format.ParseDict(said, message)
    options = {key: value for key, value in query.items() if not key.startswith("$")}
    json_format.ParseDict(options, message)
    for place, value in found.groupdict().items():
        *holders, last = place.split("__")
        target = message
        for holder in holders:
            target = getattr(target, holder)
        setattr(target, last, value)
    return kind.wrap(message)


def _refusal(code: grpc.StatusCode, message: str) -> tuple[int, str]:
    status = HTTP_STATUS.get(code, 400)
    return status, json.dumps({"error": {"code": status, "message": message, "status": code.name}})


def _raw(message: Any) -> Any:
    return type(message).pb(message) if hasattr(type(message), "pb") else message


@frozen
class _RpcHandler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types here
    state: VertexState

    def service(self, details: Any) -> Any:
        """Return what answers one method, or None: the client gets UNIMPLEMENTED."""
        _, service, call = details.method.split("/")
        if service == "google.longrunning.Operations":
            reader = getattr(operations_pb2, f"{call}Request").FromString
        elif service.rpartition(".")[2] in SERVICES and hasattr(self.state, call):
            reader = getattr(types, f"{call}Request").deserialize
        else:
            return None

        def answer(request: Any, context: Any) -> Any:
            try:
                return self.state.answer(call, request)
            except VertexStatus as refusal:
                context.abort(refusal.code, refusal.message)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=reader,
            response_serializer=lambda message: _raw(message).SerializeToString(),
        )
