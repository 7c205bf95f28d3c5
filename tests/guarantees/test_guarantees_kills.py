"""Killed at any instant and resumed, a run ends with each backend holding exactly one of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.guarantees.kill_harness import ENTRY_POINTS
from tests.plugins.fake_distributions import Site

ROOT = Path(__file__).parents[2]

KILLS = int(os.environ.get("FLOWYML_KILLS", "25"))
"""``FLOWYML_KILLS=500`` repeats the count that docs/guarantees.md publishes."""


SERVED_KILLS = max(4, KILLS // 10)
"""Fewer, for every run of these starts a server."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks")
@pytest.mark.timeout(60 + 8 * KILLS)
def test_no_kill_loses_or_doubles_anything(tmp_path: Path) -> None:
    """And no reader ever saw a part of an artifact."""
    found = _harness("kill_harness", KILLS, tmp_path)

    assert found["losses"] == [], found
    assert found["kills"] >= KILLS


@pytest.mark.skipif(not Path("/proc").exists(), reason="the harness looks for servers in /proc")
@pytest.mark.timeout(120 + 30 * SERVED_KILLS)
def test_no_kill_leaves_a_server_behind_or_an_endpoint_without_one(tmp_path: Path) -> None:
    """The built-in registry has one version of each run, its endpoint one process that answers."""
    found = _harness("local_harness", SERVED_KILLS, tmp_path)

    assert found["losses"] == [], found
    assert found["kills"] >= SERVED_KILLS


def _harness(name: str, kills: int, folder: Path) -> dict[str, Any]:
    """Let a harness kill in a project of its own; return what it found."""
    site, project = Site(folder / "site"), folder / "project"
    site.install("flaky", ENTRY_POINTS)
    project.mkdir()
    path = os.pathsep.join([str(site.folder), str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", f"tests.guarantees.{name}", str(project), str(kills), "7"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
