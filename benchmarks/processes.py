"""Programs of their own: how long they take, what they cost, what they print."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import frozen

__all__ = ["PROGRAMS", "ROOT", "Cost", "cost_of", "environment", "report_of"]

ROOT = Path(__file__).parents[1]

PROGRAMS = ROOT / "benchmarks" / "programs"

_UNWANTED = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "FLOWYML_CONFIG"})
"""Nobody measures a program that is compiled anew at every start, or another one's settings."""

PATIENCE = 300
"""Seconds after which a program is given up."""


@frozen
class Cost:
    """What one run of a program cost, as the operating system counts it.

    Attributes:
        wall: Seconds from start to end.
        cpu: Seconds of processor time, user and system.
        peak: Peak resident memory in MiB.
    """

    wall: float
    cpu: float
    peak: float


def cost_of(command: Sequence[str], folder: Path, **variables: str) -> Cost:
    """Run a program to its end and return its cost; it has to succeed, and not to take for ever.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        variables: Further environment variables.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=_surroundings(**variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    too_long = threading.Timer(PATIENCE, process.kill)
    too_long.start()
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    too_long.cancel()
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = (
            f"{' '.join(command)} exited {process.returncode}: {said.decode(errors='replace')}"
        )
        raise RuntimeError(message)
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def report_of(
    program: str,
    *arguments: object,
    python: str = sys.executable,
    folder: Path | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
    patience: float = PATIENCE,
) -> dict[str, Any]:
    """Run one of the programs beside this module; return what it reports.

    Args:
        program: Its file name; it prints one JSON object on its last line.
        arguments: What it is told.
        python: The interpreter, that of another environment where another product is measured.
        folder: Where it runs; an empty folder of its own where none is given.
        variables: Further environment variables.
        patience: Seconds after which it is given up.

    Raises:
        RuntimeError: It failed.
        TimeoutExpired: It was given up.
    """
    command = [python, "-W", "ignore", str(PROGRAMS / program), *map(str, arguments)]
    surroundings = _surroundings(PYTHONPATH=str(ROOT), **variables)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty:
        code, printed, said = _ended(command, folder or Path(empty), surroundings, patience)
    if code:
        message = f"{program} exited {code}: {said[-2000:]}"
        raise RuntimeError(message)
    report: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return report


def _ended(
    command: Sequence[str], folder: Path, surroundings: Mapping[str, str], patience: float
) -> tuple[int, str, str]:
    """Run a program to its end; return its exit code and what it wrote to both streams.

    One that is given up takes the servers along that it has started.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, said = process.communicate(timeout=patience)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, printed, said


def environment(folder: Path, *requirements: str) -> str:
    """Make an environment for another product; return its interpreter."""
    python = folder / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "-p", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "-q", "--python", str(python), *requirements]
        subprocess.run(install, check=True)
    return str(python)


def _surroundings(**more: str) -> dict[str, str]:
    """Return the environment variables of a program that is measured."""
    return {name: value for name, value in os.environ.items() if name not in _UNWANTED} | more
