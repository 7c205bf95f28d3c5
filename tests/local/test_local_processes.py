"""When the process behind an endpoint counts as ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.local.conftest import eventually

from flowyml_local.processes import Process

FIRST_THREAD_ENDS = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_a_process_has_ended_when_its_last_thread_has() -> None:
    """The first thread may end before the others, who still hold the port that is waited for."""
    command = [sys.executable, "-c", FIRST_THREAD_ENDS]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as started:
        process = Process.of(started.pid)
        assert process
        stat = Path(f"/proc/{started.pid}/stat")
        assert eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")

        assert process.is_running
        assert Process.of(started.pid) == process

        process.end(patience=10)
        assert not process.is_running
