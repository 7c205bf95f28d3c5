"""What the tests start as processes of their own."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from tests.servers.containers import BROKEN, KILLED, Container
from tests.servers.processes import ServerProcess, free_ports

FORKS: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def _counted() -> None:
    """Count each fork of this process; subprocess tells of it where it has a ``preexec_fn``."""
    os.register_at_fork(before=lambda: FORKS.append("forked"))


def container(*words: str, wrong: bool = False) -> Container:
    """Return a container of a command."""

    def bring(_root: Path, _command: list[str]) -> None:
        if wrong:
            message = "the bucket does not answer"
            raise OSError(message)

    return Container(words, {"WORD": "told"}, ("/gcs/",), bring, lambda _root, _new: None)


def run(one: Container) -> Container:
    """Run a container to its end."""
    thread = threading.Thread(target=one._run)
    thread.start()
    thread.join()
    return one


def test_a_container_is_not_forked_from_this_process() -> None:
    """A child of a process that has a gRPC server may abort before it runs anything."""
    before = len(FORKS)
    ended = run(container("sh", "-c", 'python -m pip install x && echo "$WORD"'))
    assert (ended.code, ended.log, ended.installed) == (0, "told\n", "-m pip install x\n")
    assert len(FORKS) == before


def test_a_server_is_not_forked_from_this_process(tmp_path: Path) -> None:
    """The same holds for servers."""
    before = len(FORKS)
    (port,) = free_ports(1)
    server = ServerProcess.start(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        url=f"http://127.0.0.1:{port}",
        ready="/",
        folder=tmp_path,
        environment={},
    )
    server.kill()
    assert len(FORKS) == before


def test_a_process_ends_with_the_thread_that_started_it(tmp_path: Path) -> None:
    """Nothing of a test run is left behind, whatever it dies of."""
    (port,) = free_ports(1)
    started: list[ServerProcess] = []

    def start() -> None:
        started.append(
            ServerProcess.start(
                [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                url=f"http://127.0.0.1:{port}",
                ready="/",
                folder=tmp_path,
                environment={},
            )
        )

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert started[0].process.wait() < 0


def test_a_container_that_was_ended_before_it_began_never_runs() -> None:
    """It is killed as one that runs."""
    one = container("sh", "-c", "echo never")
    one.end()
    assert (run(one).code, one.log) == (KILLED, "")


def test_a_container_that_went_wrong_says_how() -> None:
    """Nobody waits for it in vain."""
    ended = run(container("sh", "-c", "echo never", wrong=True))
    assert ended.code == BROKEN
    assert "the bucket does not answer" in ended.log
