"""Containers for tests: the command of a job, run as a process of this machine.

What a command names below a mount is brought into a folder first and taken out of it afterwards.
The image is a ``python`` that is this one, and whose pip only writes down what it is asked for.
Of the environment there is what the job names, and nothing of this machine's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, field
from tests.servers.processes import on_a_leash

__all__ = ["Container"]

PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then echo "$@" >> "{root}/pip.log"; exit 0; fi
exec "{python}" "$@"
"""

KILLED = 137
BROKEN = 255
"""Where the container itself went wrong; its log says how."""


@define(eq=False)
class Container:
    """One container.

    Attributes:
        command: What it runs.
        environment: Its environment variables.
        mounts: Beginnings of the paths that are brought in and taken out (``/gcs/``).
        bring: Puts what the command names into the folder that stands for ``/``.
        take: Is given the new files below the mounts.
        code: Exit code, when all that it wrote has been taken out.
        installed: What pip was asked to install.
        log: What it printed.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    mounts: Sequence[str]
    bring: Callable[[Path, list[str]], None]
    take: Callable[[Path, list[Path]], None]
    code: int | None = field(default=None, init=False)
    installed: str = field(default="", init=False)
    log: str = field(default="", init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _ended: bool = field(default=False, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def start(self) -> None:
        """Run in the background."""
        threading.Thread(target=self._run, daemon=True).start()

    def end(self) -> None:
        """Kill it."""
        with self._lock:
            self._ended = True
            if self._process is not None and self._process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _run(self) -> None:
        root = Path(tempfile.mkdtemp(prefix="container-"))
        try:
            code = self._run_in(root)
        except Exception:  # noqa: BLE001  # whoever waits for the container has to be told
            code = BROKEN
            self.log += traceback.format_exc()
        finally:
            shutil.rmtree(root, ignore_errors=True)
        self.code = code

    def _run_in(self, root: Path) -> int:
        self.bring(root, list(self.command))
        before = {path: path.stat().st_mtime_ns for path in self._mounted(root)}
        code = self._execute(root)
        if code != KILLED:
            new = [p for p in self._mounted(root) if before.get(p) != p.stat().st_mtime_ns]
            self.take(root, new)
        return code

    def _mounted(self, root: Path) -> list[Path]:
        roots = [root / mount.strip("/") for mount in self.mounts]
        return [path for each in roots for path in each.rglob("*") if path.is_file()]

    def _execute(self, root: Path) -> int:
        (root / "bin").mkdir()
        (root / "home").mkdir()
        program = root / "bin" / "python"
        program.write_text(PYTHON.format(root=root, python=sys.executable))
        program.chmod(0o755)
        with (root / "log").open("wb") as log, self._lock:
            if self._ended:
                return KILLED
            self._process = subprocess.Popen(
                on_a_leash([self._inside(word, root) for word in self.command]),
                cwd=root / "home",
                env={
                    "PATH": f"{root / 'bin'}:/usr/bin:/bin",
                    "HOME": str(root / "home"),
                    **self.environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        code = self._process.wait()
        self.log = (root / "log").read_text(errors="replace")
        pip = root / "pip.log"
        self.installed = pip.read_text() if pip.exists() else ""
        return KILLED if code < 0 else code

    def _inside(self, word: str, root: Path) -> str:
        for mount in self.mounts:
            if word.startswith(mount):
                return str(root) + word
        return word
