"""Server processes for tests: ports of their own on 127.0.0.1, gone with the test run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from attrs import define

__all__ = [
    "ServerProcess",
    "free_ports",
    "need_module",
    "need_program",
    "on_a_leash",
    "without_privileges",
]

ROOT = Path(__file__).parents[2]

LEASH = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    os._exit(137)
for ignored in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # by Python, or by a shell
    signal.signal(ignored, signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def on_a_leash(command: Sequence[str]) -> list[str]:
    """Return a command that ends with the thread that starts it, whatever that one dies of.

    The new process asks for it by itself. With a ``preexec_fn`` it would be forked from this one,
    and where this one has a gRPC server, such a child now and then aborts before it runs anything:
    gRPC begins to poll again in it while its descriptors are being closed.
    """
    return [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid()), *command]


HUMBLE = """\
import ctypes, os, sys
if os.geteuid() == 0:
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_privileges(command: Sequence[str], unwritable: Path) -> list[str]:
    """Return a command that keeps to the permissions of files, also where root runs the tests.

    Root gives up that one privilege for good, and stays the owner of its files. Where the system
    has no such thing, the test is skipped.

    Args:
        command: The command.
        unwritable: A file or folder whose permissions say that nobody may write it.
    """
    humble = [sys.executable, "-I", "-S", "-c", HUMBLE]
    probe = "import os, sys; sys.exit(os.access(sys.argv[1], os.W_OK))"
    asked = [*humble, sys.executable, "-I", "-S", "-c", probe, str(unwritable)]
    if subprocess.run(asked, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("root cannot be kept from writing what is read-only here")
    return [*humble, *command]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def need_program(name: str, package: str) -> str:
    """Return the path of a program of this environment; where it is missing, skip the test.

    Under ``CI=true`` a missing server is a failure: there nothing is skipped unnoticed.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts"))
    return found or _missing(f"the program {name!r} is not installed (pip install {package})")


def need_module(name: str, package: str) -> None:
    """Skip the test where a server's module is missing; fail it under ``CI=true``."""
    if importlib.util.find_spec(name) is None:
        _missing(f"the module {name!r} is not installed (pip install {package})")


def _missing(reason: str) -> str:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@define
class ServerProcess:
    """One server process; killed with the thread that started it, whatever happens to the tests."""

    url: str
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        url: str,
        ready: str,
        folder: Path,
        environment: Mapping[str, str],
        seconds: float = 60,
    ) -> ServerProcess:
        """Start a server and wait until it answers at the path ``ready``."""
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                on_a_leash(command),
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = cls(url, process)
        deadline = time.monotonic() + seconds
        while not _answers(url + ready):
            if process.poll() is not None or time.monotonic() > deadline:
                server.kill()
                message = f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}"
                raise RuntimeError(message)
            time.sleep(0.02)
        return server

    @classmethod
    def start_module(
        cls,
        module: str,
        *,
        ready: str,
        folder: Path,
        environment: Mapping[str, str],
    ) -> ServerProcess:
        """Start ``python -m module PORT``."""
        (port,) = free_ports(1)
        return cls.start(
            [sys.executable, "-m", module, str(port)],
            url=f"http://127.0.0.1:{port}",
            ready=ready,
            folder=folder,
            environment=environment,
        )

    def kill(self) -> None:
        """End the server at once; none of them has anything to save."""
        self.process.kill()
        self.process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
