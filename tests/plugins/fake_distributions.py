"""Distributions that are really on disk: modules, and metadata as an installer writes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["Site"]


@frozen
class Site:
    """A folder on the path of Python that holds fake distributions."""

    folder: Path

    def install(
        self,
        name: str,
        entry_points: str,
        modules: Mapping[str, str] | None = None,
        *,
        version: str = "1.2",
        requires: str = "flowyml>=3,<4",
    ) -> None:
        """Install a distribution.

        Args:
            name: Its name.
            entry_points: The text of its ``entry_points.txt``.
            modules: Source of its modules, by name.
            version: Its version.
            requires: What it requires.
        """
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: {requires}\n"
        )
        (info / "entry_points.txt").write_text(entry_points)
        for module, source in (modules or {}).items():
            (self.folder / f"{module}.py").write_text(source)

    def run(self, code: str, **variables: str) -> Any:
        """Run code in a Python of its own that has the distributions; return what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
