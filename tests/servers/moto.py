"""moto's server: S3 without credentials, fast, and with the bodies of errors that AWS sends."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from tests.servers.processes import ServerProcess, free_ports, need_module, need_program

__all__ = ["reset_moto", "start_moto"]


def start_moto(folder: Path) -> ServerProcess:
    """Start ``moto_server``; its state is global to the process, see `reset_moto`."""
    need_module("moto", "moto[s3] flask flask-cors")
    program = need_program("moto_server", "moto[s3]")
    (port,) = free_ports(1)
    return ServerProcess.start(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        url=f"http://127.0.0.1:{port}",
        ready="/moto-api/",
        folder=folder,
        environment={"S3_UPLOAD_PART_MIN_SIZE": "1"},  # files of tests are small
    )


def reset_moto(url: str) -> None:
    """Forget everything that the server was told."""
    request = urllib.request.Request(url + "/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass
