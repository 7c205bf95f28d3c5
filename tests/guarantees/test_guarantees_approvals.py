"""Deciding, deploying, resuming: killed at any moment, or two at once, a model is deployed once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen
from tests.guarantees.kill_harness import ENTRY_POINTS
from tests.plugins.fake_distributions import Site
from tests.servers.flaky import Outbox

START = "from flowyml.cli import main; raise SystemExit(main())"

ROOT = Path(__file__).parents[2]

CONFIG = """
stacks:
  killed:
    artifact_store: {{ type: flaky, path: store, outbox: store.jsonl }}
    model_registry: {{ type: flaky, outbox: registry.jsonl, faults: "{fault}" }}
    model_deployer: {{ type: flaky, outbox: deployer.jsonl, faults: "{fault}" }}
    artifact_routing:
      Model: {{ deploy: true, deploy_condition: on_approval }}
"""

FLOW = """
from flowyml import Model, Pipeline, step

@step(outputs=["model"])
def train() -> Model:
    return Model({"w": 1}, name="fraud", version="1")

pipeline = Pipeline("killed").add_step(train)
"""

DECIDE = ("model", "approve", "fraud", "--version", "1")
RESUME = ("resume", "--all")


@frozen
class Terminal:
    """A project of its own, and commands in it."""

    folder: Path
    path: str

    def enter(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Enter a command and wait for its end."""
        process = self.start(*command)
        out, err = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Enter a command."""
        return subprocess.Popen(
            [sys.executable, "-c", START, *command],
            env={**os.environ, "PYTHONPATH": self.path},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """Give a project with components that kill the process where they are told to."""
    site, project = Site(tmp_path / "site"), tmp_path / "project"
    site.install("flaky", ENTRY_POINTS)
    project.mkdir()
    (project / "flow.py").write_text(FLOW)
    return Terminal(
        project, os.pathsep.join([str(site.folder), str(ROOT), *filter(None, sys.path)])
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("point", "then"),
    [
        # Killed before the decision is in the ledger, nothing is decided; and resume has no task.
        ("set_approval:before", DECIDE),
        ("set_approval:after", DECIDE),
        ("deploy_model:before", DECIDE),
        ("deploy_model:before", RESUME),
        ("deploy_model:after", DECIDE),
        ("deploy_model:after", RESUME),
    ],
    ids=lambda value: value if isinstance(value, str) else f"then {value[0]}",
)
def test_a_killed_approval_is_gone_on_with_at_once(
    terminal: Terminal, point: str, then: tuple[str, ...]
) -> None:
    """Nobody waits for the dead process's lease; one decision, one deployment, nothing owed."""
    (terminal.folder / "flowyml.yaml").write_text(CONFIG.format(fault=""))
    assert terminal.enter("run", "flow.py").returncode == 0
    (terminal.folder / "flowyml.yaml").write_text(CONFIG.format(fault=f"{point}:kill:1"))
    killed = terminal.enter(*DECIDE)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    again = terminal.enter(*then)

    assert again.returncode == 0, again.stderr
    assert len(Outbox(terminal.folder / "deployer.jsonl").effects("deploy_model")) == 1
    history = json.loads(terminal.enter("model", "history", "fraud", "-o", "json").stdout)
    kinds = [entry["kind"] for entry in reversed(history)]
    assert kinds == ["registered", "requested", "approved", "deployed"]
    (run,) = json.loads(terminal.enter("runs", "list", "-o", "json").stdout)
    assert run["status"] == "done"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "commands",
    [(RESUME, RESUME, RESUME), (DECIDE, RESUME, RESUME), (DECIDE, DECIDE, RESUME)],
    ids=lambda commands: ", ".join(command[-1] for command in commands),
)
def test_of_several_at_once_one_deploys(
    terminal: Terminal, commands: tuple[tuple[str, ...], ...]
) -> None:
    """The others are refused, or find that there is nothing left to do."""
    (terminal.folder / "flowyml.yaml").write_text(CONFIG.format(fault=""))
    assert terminal.enter("run", "flow.py").returncode == 0
    fault = "deploy_model:before:permanent:1"
    (terminal.folder / "flowyml.yaml").write_text(CONFIG.format(fault=fault))
    assert terminal.enter(*DECIDE).returncode == 1, "approved, and owed from now on"

    started = [terminal.start(*command) for command in commands]
    said = [process.communicate()[1] for process in started]

    codes = [process.returncode for process in started]
    assert 0 in codes, said
    assert all(
        code == 0 or "another process" in err or "already" in err
        for code, err in zip(codes, said, strict=True)
    ), said
    assert len(Outbox(terminal.folder / "deployer.jsonl").effects("deploy_model")) == 1
    (run,) = json.loads(terminal.enter("runs", "list", "-o", "json").stdout)
    assert run["status"] == "done"
