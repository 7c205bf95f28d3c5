"""``flowyml init`` writes a project that works as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Ask


def test_what_is_written_runs(flowyml: Ask, project: Path) -> None:
    """The configuration is valid, the pipeline runs under its name, the model waits."""
    assert flowyml("init").code == 0
    assert flowyml("stack", "validate").code == 0
    assert flowyml("plan", "example").err == ""

    ran = flowyml("run", "example", "--param", "count=4")

    assert ran.code == 0, ran.err
    assert "flowyml model deploy line --version 1" in ran.out
    assert (project / ".flowyml" / "artifacts").is_dir()


def test_its_model_serves(flowyml: Ask) -> None:
    """What the run says is waiting does what it says."""
    flowyml("init")
    flowyml("run", "example")
    try:
        deployed = flowyml("model", "deploy", "line", "--version", "1")
        assert deployed.code == 0, deployed.err
        assert "deployed line@1 to line (serving)" in deployed.out
    finally:
        flowyml("model", "undeploy", "line")


def test_an_editor_finds_the_schema(flowyml: Ask, project: Path) -> None:
    """The first line names a file with what `stack schema` prints."""
    flowyml("init")

    first = (project / "flowyml.yaml").read_text().splitlines()[0]
    header, _, path = first.partition("$schema=")
    assert header == "# yaml-language-server: "
    schema = json.loads((project / path).read_text())
    assert schema == json.loads(flowyml("stack", "schema").out)


@pytest.mark.parametrize("name", ["flowyml.yaml", "pipeline.py"])
def test_nothing_is_overwritten(flowyml: Ask, project: Path, name: str) -> None:
    """One file in the way, and neither is written."""
    (project / name).write_text("mine")

    answer = flowyml("init")

    assert answer.code == 2
    assert f"there is a {name} already" in answer.err
    assert [path.name for path in project.iterdir()] == [name]
    assert (project / name).read_text() == "mine"


def test_another_folder(flowyml: Ask, project: Path) -> None:
    """It is made where it is missing."""
    assert flowyml("init", "new/one").code == 0
    assert (project / "new" / "one" / "pipeline.py").is_file()
    (project / "file").touch()
    refused = flowyml("init", "file/below")
    assert refused.code == 2
    assert "cannot be written into file/below" in refused.err
