"""SageMaker for tests: a server that a test steers; what it does is told in `sagemaker_server`."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from tests.servers.processes import ServerProcess, need_module

__all__ = ["CONTROL", "SageMakerServer", "start_sagemaker"]

CONTROL: Final = "/flowyml-test/"


@frozen
class SageMakerServer:
    """The server, as its tests steer it."""

    process: ServerProcess

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self.process.url

    def steer(self, **script: Any) -> None:
        """Change what happens next; `tests.servers.sagemaker_server.Script` has the names."""
        self._ask("steer", script)

    def calls(self) -> list[str]:
        """Return the operations that were asked for so far."""
        found: list[str] = self._ask("state", {})["calls"]
        return found

    def jobs(self) -> list[dict[str, Any]]:
        """Return the processing jobs: name, tags, status, exit code, what pip installed, log."""
        found: list[dict[str, Any]] = self._ask("state", {})["jobs"]
        return found

    def holds(self) -> bool:
        """Whether an operation is held back right now."""
        return bool(self._ask("state", {})["held"])

    def reset(self) -> None:
        """Forget everything, also what was steered."""
        self._ask("reset", {})

    def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self.url + CONTROL + what, json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def start_sagemaker(folder: Path, *, s3: str | None = None) -> SageMakerServer:
    """Start the server.

    Args:
        folder: Where its log goes.
        s3: URL of the S3 server that models lie in; None for its own.
    """
    need_module("moto", "moto[s3] flask flask-cors")
    process = ServerProcess.start_module(
        "tests.servers.sagemaker_server",
        ready="/moto-api/",
        folder=folder,
        environment={"AWS_ENDPOINT_URL_S3": s3} if s3 else {},
    )
    return SageMakerServer(process)
