"""Killed at any instant and resumed, a run ends with each backend holding exactly one of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.guarantees.kill_harness import ENTRY_POINTS
from tests.plugins.fake_distributions import Site

ROOT = Path(__file__).parents[2]

KILLS = int(os.environ.get("FLOWYML_KILLS", "25"))
"""``FLOWYML_KILLS=500`` repeats the count that docs/guarantees.md publishes."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks")
@pytest.mark.timeout(60 + 8 * KILLS)
def test_no_kill_loses_or_doubles_anything(tmp_path: Path) -> None:
    """And no reader ever saw a part of an artifact."""
    site, project = Site(tmp_path / "site"), tmp_path / "project"
    site.install("flaky", ENTRY_POINTS)
    project.mkdir()
    path = os.pathsep.join([str(site.folder), str(ROOT), *filter(None, sys.path)])

    done = subprocess.run(
        [sys.executable, "-m", "tests.guarantees.kill_harness", str(project), str(KILLS), "7"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["losses"] == [], found
    assert found["kills"] >= KILLS
