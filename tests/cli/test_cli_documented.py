"""docs/cli.md says what the commands are, and every command is in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from tests.cli.conftest import Ask
from tests.cli.test_cli_program import COMMAND_TREE
from tests.metadata.metadata_samples import (
    NOW,
    a_delivery,
    a_run,
    an_artifact,
    an_event,
)

from flowyml.cli import objects
from flowyml.cli.plugins import plugin_object
from flowyml.errors import FlowyMLError
from flowyml.metadata.rows import StepRecord
from flowyml.plugins.discovery import installed
from flowyml.records import Deployment, ModelVersion

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
HEADING = re.compile(r"^### `(flowyml [a-z ]+?)(?: [A-Z\[-].*)?`$", re.MULTILINE)
LEAVES = {
    words: command
    for words, command in COMMAND_TREE.items()
    if not isinstance(command, click.Group)
}
MODEL = ModelVersion("m", "1", "file:///m", "sha256:0", "local", NOW)


def sections() -> Mapping[str, str]:
    """Return the text below the heading of each command."""
    found = list(HEADING.finditer(TEXT))
    ends = [*(match.start() for match in found[1:]), len(TEXT)]
    return {match[1]: TEXT[match.end() : end] for match, end in zip(found, ends, strict=True)}


def documented_keys(kind: str) -> set[str]:
    """Return the keys that the table names for an object, without those of a shown one."""
    row, *_ = re.findall(rf"^\| {kind} \| (.*) \|$", TEXT, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row.partition(";")[0]))


def test_every_command_is_documented() -> None:
    """No command is missing, and none is there that does not exist."""
    assert set(sections()) == set(LEAVES)


@pytest.mark.parametrize("words", LEAVES)
def test_every_option_of_a_command_is_documented(words: str) -> None:
    """In the section of the command, under the name that it has there."""
    section = sections()[words]
    names = {
        name
        for parameter in LEAVES[words].params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    written = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", section))

    assert written == names


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("run", objects.run_object(a_run())),
        ("step", objects.step_object(StepRecord("r", "s"))),
        ("artifact", objects.artifact_object(an_artifact())),
        ("delivery", objects.delivery_object(a_delivery())),
        ("model", objects.model_object(MODEL)),
        (
            "deployment",
            objects.deployment_object(Deployment("e", "m", "1", "sha256:0", "local", NOW)),
        ),
        ("event", objects.event_object(an_event())),
        ("plugin", plugin_object(installed().find("artifact_store", "local"), installed())),
    ],
)
def test_the_keys_of_every_object_are_documented(kind: str, made: Mapping[str, object]) -> None:
    """Scripts rely on them."""
    assert documented_keys(kind) == set(made)


def test_every_exit_code_is_documented() -> None:
    """Those of the errors, and that of an interrupted command."""
    table = TEXT.partition("### Exit codes")[2].partition("###")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    ahead: list[type[FlowyMLError]] = [FlowyMLError]
    raised = {0, 130}
    while ahead:
        error = ahead.pop()
        raised.add(error.exit_code)
        ahead += error.__subclasses__()

    assert documented == raised


@pytest.mark.usefixtures("project")
def test_the_commands_of_the_page_work(flowyml: Ask) -> None:
    """In the order of the page, in an empty folder."""
    lines = [
        line
        for block in re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    assert lines
    for line in lines:
        dollar, name, *arguments = shlex.split(line)
        assert (dollar, name) == ("$", "flowyml")
        answer = flowyml(*arguments)
        assert answer.code == 0, (line, answer)
