"""As much of a W&B server as a run needs that only logs: it keeps the lines of the history."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import define, field

__all__ = ["WandbStub"]


@define
class WandbStub:
    """Answers W&B's client on 127.0.0.1.

    Attributes:
        history: The rows that arrived, by the id of their run.
        opened: Ids of the runs that a client opened, each time it did.
    """

    history: dict[str, list[dict[str, Any]]] = field(factory=dict)
    opened: list[str] = field(factory=list)
    url: str = ""

    @contextmanager
    def serving(self) -> Iterator[WandbStub]:
        """Serve until the block ends."""
        stub = self

        class Handler(_Handler):
            server_stub = stub

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield self
            server.shutdown()
            thread.join(5)

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer a GraphQL query by what is in its text."""
        if "upsertBucket" in query:
            return self._opened(variables)
        if "createRunFiles" in query:
            files = [
                {"name": name, "uploadUrl": f"{self.url}/upload"}
                for name in variables.get("files", ())
            ]
            made = {"runID": variables.get("run"), "uploadHeaders": [], "files": files}
            return {"createRunFiles": made}
        user = {"id": "u", "username": "u", "email": "u@example.org", "entity": "team"}
        viewer = {**user, "flags": "{}", "teams": {"edges": []}, "admin": False}
        return {"viewer": viewer, "serverInfo": {"features": []}}

    def _opened(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables["name"]
        self.opened.append(name)
        project = {"id": "p", "name": variables.get("project") or "p"}
        bucket = {
            "id": f"id-{name}",
            "name": name,
            "displayName": variables.get("displayName") or name,
            "description": "",
            "config": "{}",
            "sweepName": None,
            "historyLineCount": len(self.history.get(name, ())),
            "project": {**project, "entity": {"id": "e", "name": "team"}},
        }
        return {"upsertBucket": {"inserted": True, "bucket": bucket}}

    def take(self, run_id: str, files: dict[str, Any]) -> None:
        """Keep the rows of a part of a run's stream."""
        part = files.get("wandb-history.jsonl", {})
        rows = [json.loads(line) for line in part.get("content", ())]
        self.history.setdefault(run_id, []).extend(rows)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_stub: WandbStub

    def do_POST(self) -> None:
        asked = json.loads(self._body() or b"{}")
        if self.path == "/graphql":
            answer = self.server_stub.answer(asked["query"], asked.get("variables") or {})
            self._answer({"data": answer})
        else:
            self.server_stub.take(self.path.split("/")[4], asked.get("files") or {})
            self._answer({})

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the client leaves when it has what it wants
            return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
