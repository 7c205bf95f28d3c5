"""Empty environments, and what is built to be installed into them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import uv
from attrs import frozen

__all__ = ["ROOT", "Environment", "build_wheel"]

ROOT = Path(__file__).parents[2]


@frozen
class Environment:
    """A Python that has only what a test installs."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        """Make an environment in which there is nothing."""
        _run([uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder)])
        return cls(folder)

    def install(self, *requirements: str, wheels: Sequence[Path] = ()) -> None:
        """Install requirements as a user would; files are found where these wheels lie."""
        links = [word for wheel in wheels for word in ("--find-links", str(wheel.parent))]
        python = ["--python", str(self.folder)]
        _run([uv.find_uv_bin(), "pip", "install", "--quiet", *python, *links, *requirements])

    def run(
        self, *command: str, folder: Path, code: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in a folder; its exit code has to be this one."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV", "FLOWYML", "PYTEST", "COV"))
        }
        own = self.folder / "bin" / command[0]
        program = own if own.exists() else command[0]
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return _run(
            [str(program), *command[1:]],
            folder=folder,
            code=code,
            environment={**kept, "PATH": path, **variables},
        )

    def stand_in_for_pip(self, *wheels: Path) -> None:
        """Let ``pip install`` in this environment be uv's, which finds these wheels."""
        links = " ".join(f"--find-links '{wheel.parent}'" for wheel in wheels)
        command = f"exec '{uv.find_uv_bin()}' pip install --python '{self.folder}' {links}"
        pip = self.folder / "bin" / "pip"
        pip.write_text(f'#!/bin/sh\n[ "$1" = install ] || exit 2\nshift\n{command} "$@"\n')
        pip.chmod(0o755)


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of a project with the backend itself."""
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], project)
    (built,) = set(folder.iterdir()) - before
    return built


def _run(
    command: list[str],
    folder: Path | None = None,
    code: int = 0,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done
