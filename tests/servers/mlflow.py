"""MLflow's own server on SQLite, in one process."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

from tests.servers.processes import ServerProcess, free_ports, need_module

__all__ = ["start_mlflow"]

PATIENCE = 300.0
"""Seconds for a machine that does much else, and compiles MLflow first."""


def start_mlflow(folder: Path) -> ServerProcess:
    """Start MLflow with its database and its artifacts in a folder; it takes up to 20 seconds.

    The names that begin with an underscore are how ``mlflow server`` tells its workers what to do;
    with them the application runs without the processes around it.
    """
    need_module("uvicorn", "mlflow")
    need_module("flask", "mlflow")  # mlflow-skinny, which is enough for a client, lacks it
    (port,) = free_ports(1)
    database = f"sqlite:///{folder}/mlflow.db"
    command = [sys.executable, "-m", "uvicorn", "mlflow.server.fastapi_app:app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    server = ServerProcess.start(
        command,
        url=f"http://127.0.0.1:{port}",
        ready="/health",
        folder=folder,
        environment={
            "_MLFLOW_SERVER_FILE_STORE": database,
            "_MLFLOW_SERVER_REGISTRY_STORE": database,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # To compile all of MLflow takes a minute of a busy machine: once is enough.
            "PYTHONDONTWRITEBYTECODE": "",
        },
        seconds=PATIENCE,
    )
    _make_database(server)
    return server


def _make_database(server: ServerProcess) -> None:
    """Ask for what is in the database: the first who does waits until all its tables are made.

    A client would give up after 30 seconds, and a delivery that is told of one attempt take two.
    """
    question = f"{server.url}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        with urllib.request.urlopen(question, timeout=PATIENCE):
            pass
    except OSError:
        server.kill()
        raise
