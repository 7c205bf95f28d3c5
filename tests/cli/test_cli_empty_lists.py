"""A list that is empty because of its filters says so."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import Ask


@pytest.fixture
def used(flowyml: Ask, project: Path) -> Path:
    """Give a project in which something ran and was stored and registered."""
    (project / "pipeline.py").write_text(cli_pipelines.MAIN)
    assert flowyml("run", "pipeline.py").code == 0
    return project


@pytest.mark.usefixtures("used")
def test_what_the_filters_left_nothing_of_is_told(flowyml: Ask) -> None:
    """Not that there is nothing at all; JSON is an empty list all the same."""
    commands = {
        "runs list --status failed": "No run matches --status failed.\n",
        "runs list --pipeline x --status done": "No run matches --pipeline x --status done.\n",
        "artifact list --type Modell": "No artifact matches --type Modell.\n",
        "artifact list --step train --name x": "No artifact matches --step train --name x.\n",
        "model list ghost": "No model matches ghost.\n",
        "plugin list --role nothing": "No plugin matches --role nothing.\n",
    }
    for command, says in commands.items():
        answer = flowyml(*shlex.split(command))
        assert (answer.code, answer.out) == (0, says)
        assert flowyml(*shlex.split(command), "-o", "json").objects == []
