"""With ``-o json`` the standard output is the answer and nothing else, whoever prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import START, Ask, Install

NOISE = """\
import os
import subprocess

print("a print")
os.write(1, b"a library\\n")
subprocess.run(["echo", "a program"], check=True)
"""

PLUGIN = f"""\
{NOISE}
from typing import ClassVar

from attrs import define
from flowyml.plugins import ExperimentTracker, hookimpl


@define(slots=False)
class Loud(ExperimentTracker):
    \"\"\"Prints when it is imported.\"\"\"

    flowyml_api: ClassVar[str] = ">=1,<2"

    @hookimpl
    def log_metrics(self, metrics):
        return None
"""

PIPELINE = f"""\
{NOISE}
from flowyml import Pipeline, step


@step
def one() -> int:
    print("in the step")
    return 1


pipeline = Pipeline("loud").add_step(one)
"""

STACK = "plugins: { experiment_tracker: { type: loud } }\n"


@pytest.fixture
def site(install: Install, project: Path) -> str:
    """Give a project whose file and whose plugin print; return where the plugin is."""
    (project / "pipeline.py").write_text(PIPELINE)
    (project / "flowyml.yaml").write_text(STACK)
    entry_points = "[flowyml.experiment_tracker]\nloud = loud_plugin:Loud\n"
    return str(install("loud", {"loud_plugin": PLUGIN}, entry_points))


@pytest.mark.parametrize(
    "words",
    [
        "run pipeline.py",
        "plan pipeline.py",
        "stack show",
        "stack validate",
        "stack doctor",
        "plugin show loud",
        "plugin check",
    ],
)
def test_what_others_print_is_kept_out_of_json(command: Ask, site: str, words: str) -> None:
    """A file, a plugin, what is no Python, a program that is started: all go to standard error."""
    answer = command(*words.split(), "-o", "json", PYTHONPATH=site)

    assert answer.code == 0, answer.err
    assert answer.objects
    assert {"a print", "a library", "a program"} <= set(answer.err.splitlines())


BUFFERED = """\
import ctypes
import sys

from flowyml import Pipeline, step


@step
def one() -> int:
    sys.__stdout__.write("a buffer\\n")
    ctypes.CDLL(None).printf(b"a buffer of C\\n")
    return 1


pipeline = Pipeline("buffered").add_step(one)
"""


def test_what_waits_in_a_buffer_is_kept_out_of_json(project: Path) -> None:
    """Into a pipe, Python and C write only when their buffers are full, or at the very end."""
    (project / "pipeline.py").write_text(BUFFERED)
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    ended = subprocess.run(
        [sys.executable, "-c", START, "run", "pipeline.py", "-o", "json"],
        capture_output=True,
        cwd=project,
        env=environment,
        text=True,
        check=True,
    )

    assert [run["status"] for run in json.loads(ended.stdout)] == ["done"]
    assert {"a buffer", "a buffer of C"} <= set(ended.stderr.splitlines())


def test_the_schema_is_json_whatever_a_plugin_prints(command: Ask, site: str) -> None:
    """It is for editors, which read all of it."""
    answer = command("stack", "schema", PYTHONPATH=site)

    assert "loud" in json.dumps(json.loads(answer.out))
    assert "a program" in answer.err.splitlines()


def test_people_are_shown_what_is_printed(command: Ask, site: str) -> None:
    """A table keeps nothing apart."""
    answer = command("plan", "pipeline.py", PYTHONPATH=site)

    assert "a program" in answer.out.splitlines()
    assert answer.err == ""


@pytest.mark.parametrize(
    "words", ["plugin list -o json", "--version", "--help", "run --help", "stack schema"]
)
def test_an_answer_that_cannot_be_written_is_told_once(project: Path, words: str) -> None:
    """Also where it had a descriptor of its own, and where it is help."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", START, *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=project,
            env=dict(os.environ),
            text=True,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr == "Error: the standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize(("closed", "printed"), [("2>&-", True), (">&-", False)])
def test_a_stream_that_was_closed_is_written_to_by_nobody(
    project: Path, site: str, closed: str, printed: bool
) -> None:
    """The command does its work, and the other stream has what is for it."""
    command = [sys.executable, "-c", START, "run", "pipeline.py", "-o", "json"]
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        capture_output=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": site},
        text=True,
        check=False,
    )

    assert ended.returncode == 0
    assert bool(ended.stdout) is printed
    assert "Traceback" not in ended.stderr
    assert [run["status"] for run in json.loads(ended.stdout or '[{"status": "done"}]')] == ["done"]


@pytest.mark.parametrize("words", ["--version", "--help"])
def test_a_closed_output_is_no_traceback(project: Path, words: str) -> None:
    """Nobody wants to read it."""
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", START, words],
        stderr=subprocess.PIPE,
        cwd=project,
        env=dict(os.environ),
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("words", ["run --stak", "runs show nothing"])
def test_an_error_that_cannot_be_written_keeps_its_exit_code(project: Path, words: str) -> None:
    """A full disk under the standard error stream: the mistake is still one of usage."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", START, *words.split()],
            stderr=full,
            cwd=project,
            env=dict(os.environ),
            check=False,
        )

    assert ended.returncode == 2
