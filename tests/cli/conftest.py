"""What the tests of the command line share."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from flowyml.cli import main
from flowyml.metadata.store import MetadataStore
from flowyml.plugins import discovery

START = "import sys; from flowyml.cli import main; sys.exit(main())"


@frozen
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The standard output as the list of objects that ``-o json`` prints."""
        parsed: list[dict[str, Any]] = json.loads(self.out)
        assert isinstance(parsed, list)
        return parsed


Ask = Callable[..., Answer]
Install = Callable[[str, Mapping[str, str], str], Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder that commands work in."""
    for variable in ("FLOWYML_STACK", "FLOWYML_CONFIG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def metadata(project: Path) -> Iterator[MetadataStore]:
    """Give the metadata store of the project."""
    with MetadataStore.open(project / ".flowyml" / "metadata.db") as store:
        yield store


@pytest.fixture
def flowyml(project: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command in this process."""

    def ask(*arguments: str) -> Answer:
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return ask


@pytest.fixture
def command(project: Path) -> Ask:
    """Run a command in a process of its own, its output in pipes."""

    def ask(*arguments: str, **environment: str) -> Answer:
        ended = subprocess.run(
            [sys.executable, "-c", START, *arguments],
            cwd=project,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return Answer(ended.returncode, ended.stdout, ended.stderr)

    return ask


@pytest.fixture
def terminal(project: Path) -> Ask:
    """Run a command in a process whose standard output is a terminal of 200 columns."""

    def ask(*arguments: str, **environment: str) -> Answer:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            cwd=project,
            env={**os.environ, "TERM": "xterm-256color", "CI": "", **environment},
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(theirs)
        shown = read_all(ours)
        _, complaints = process.communicate(timeout=100)
        return Answer(process.returncode, shown, complaints)

    return ask


def read_all(terminal: int) -> str:
    """Read until the other side is closed, which Linux reports as an error."""
    pieces: list[bytes] = []
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            pieces.append(piece)
    os.close(terminal)
    return b"".join(pieces).decode().replace("\r\n", "\n")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution: its name, its modules, its entry points; gone after the test."""
    imported: list[str] = []

    def install_one(name: str, modules: Mapping[str, str], entry_points: str) -> Path:
        site = tmp_path / f"site-{name}"
        facts = site / f"{name}-1.5.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (facts / "entry_points.txt").write_text(entry_points)
        for module, content in modules.items():
            (site / f"{module}.py").write_text(content)
        monkeypatch.syspath_prepend(str(site))
        imported.extend(modules)
        discovery.installed.cache_clear()
        return site

    yield install_one
    discovery.installed.cache_clear()
    for module in imported:
        sys.modules.pop(module, None)
