"""When the process that holds a run counts as ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowyml.metadata.owners import is_dead, is_living, new_owner

FIRST_THREAD_ENDS = """
import ctypes, pathlib, sys, threading
def outlast():
    while pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    print("the first thread has ended", flush=True)
    sys.stdin.read()
threading.Thread(target=outlast).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_a_process_lives_as_long_as_one_of_its_threads() -> None:
    """The first thread may end before the others, who still write."""
    command = [sys.executable, "-c", FIRST_THREAD_ENDS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout
        assert started.stdout.readline().endswith(b"ended\n")
        owner = f"{new_owner().partition(' ')[0]} {started.pid} x"

        assert is_living(owner)
        assert not is_dead(owner)

        started.kill()
    assert is_dead(owner)
