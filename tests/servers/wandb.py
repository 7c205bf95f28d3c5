"""As much of a W&B server as the history of runs needs, for W&B's own client.

The real server is no free software, so this one was written after what the client of W&B 0.31 asks
and does with the answers. It keeps the lines of a history at the places where the client puts them,
tells a resumed run how many there are, and gives them back to the public API. It refuses what it
does not know. What the real server does beside that (rows as Parquet after a while, quotas, charts)
is not here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import define, field

__all__ = ["WandbStub"]

OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")


@define
class WandbStub:
    """Answers W&B's client on 127.0.0.1.

    Attributes:
        history: The rows that arrived, by the id of their run.
        opened: Ids of the runs that a client opened, each time it did.
        refused: Names of operations that are refused.
    """

    history: dict[str, list[dict[str, Any]]] = field(factory=dict)
    opened: list[str] = field(factory=list)
    refused: set[str] = field(factory=set)
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

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """Answer a GraphQL operation by its name; None for one that is refused or not known."""
        found = OPERATION.search(query)
        name = found[1] if found else ""
        answers = {
            "GetDefaultEntity": self._viewer,
            "Viewer": self._viewer,
            "ServerFeaturesQuery": self._features,
            "RunResumeStatus": self._resumed,
            "UpsertBucket": self._opened,
            "CreateRunFiles": self._files,
            "Run": self._run,
            "RunHistoryKeys": self._run,
            "RunParquetHistory": self._parquet,
            "HistoryPage": self._page,
        }
        answer = None if name in self.refused else answers.get(name)
        return answer(variables) if answer else None

    def take(self, run_id: str, files: dict[str, Any]) -> None:
        """Keep the rows of a part of a run's stream, at the place where they belong."""
        part = files.get("wandb-history.jsonl")
        if part:
            rows = [json.loads(line) for line in part["content"]]
            start = part["offset"]
            self.history.setdefault(run_id, [])[start : start + len(rows)] = rows

    def _viewer(self, variables: dict[str, Any]) -> dict[str, Any]:
        del variables
        user = {"id": "u", "username": "u", "email": "u@example.org", "entity": "team"}
        return {"viewer": {**user, "flags": "{}", "teams": {"edges": []}, "admin": False}}

    def _features(self, variables: dict[str, Any]) -> dict[str, Any]:
        del variables
        return {"serverInfo": {"features": []}}

    def _resumed(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Tell where a run goes on: the client counts lines and steps from there."""
        name = variables["name"]
        rows = self.history.get(name, [])
        bucket = {
            "id": f"id-{name}",
            "name": name,
            "displayName": name,
            "summaryMetrics": "{}",
            "logLineCount": 0,
            "historyLineCount": len(rows),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
            "eventsTail": "[]",
            "config": "{}",
            "tags": [],
            "notes": "",
            "wandbConfig": "{}",
        }
        known = name in self.opened
        entity = {"id": "e", "name": "team"}
        project = {"id": "p", "name": variables["project"], "entity": entity}
        return {"model": {**project, "bucket": bucket if known else None}}

    def _opened(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables["name"]
        inserted = name not in self.opened
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
        return {"upsertBucket": {"inserted": inserted, "bucket": bucket}}

    def _files(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [
            {"name": name, "uploadUrl": f"{self.url}/upload"} for name in variables.get("files", ())
        ]
        made = {"runID": variables.get("run"), "uploadHeaders": [], "files": files}
        return {"createRunFiles": made}

    def _run(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables["name"]
        if name not in self.opened:
            return {"project": {"run": None}}
        rows = self.history.get(name, [])
        last = max((row["_step"] for row in rows), default=-1)
        run = {
            "id": f"id-{name}",
            "projectId": "1",
            "name": name,
            "displayName": name,
            "state": "running",
            "config": "{}",
            "summaryMetrics": "{}",
            "systemMetrics": "{}",
            "historyLineCount": len(rows),
            "historyKeys": {"lastStep": last, "keys": {}, "sets": []},
            "tags": [],
        }
        return {"project": {"run": run}}

    def _parquet(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Give the columns that are asked for; no row has become Parquet yet."""
        rows = self.history.get(variables["runName"], [])
        keys = variables["liveKeys"]
        live = [{key: row[key] for key in keys} for row in rows if all(key in row for key in keys)]
        return {"project": {"run": {"parquetHistory": {"liveData": live, "parquetUrls": []}}}}

    def _page(self, variables: dict[str, Any]) -> dict[str, Any]:
        steps = range(variables["minStep"], variables["maxStep"])
        rows = self.history.get(variables["run"], [])
        page = [json.dumps(row) for row in rows if row["_step"] in steps]
        return {"project": {"run": {"history": page}}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_stub: WandbStub

    def do_POST(self) -> None:
        asked = json.loads(self._body() or b"{}")
        if self.path == "/graphql":
            self._graphql(asked)
        elif self.path.endswith("/file_stream"):
            self.server_stub.take(self.path.split("/")[4], asked.get("files") or {})
            self._answer({})
        else:
            self._answer({"error": f"nothing at {self.path}"}, status=404)

    def _graphql(self, asked: dict[str, Any]) -> None:
        answer = self.server_stub.answer(asked["query"], asked.get("variables") or {})
        if answer is None:
            question = " ".join(asked["query"].split())
            self._answer({"errors": [{"message": f"refused: {question}"}]}, status=403)
        else:
            self._answer({"data": answer})

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, answer: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
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
