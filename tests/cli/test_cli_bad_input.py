"""Bad input gives a clear error on the standard error stream, the right code, and loses nothing."""

from __future__ import annotations

import os
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import Answer, Ask


def assert_refused(answer: Answer, code: int, *says: str) -> None:
    """Check that a command said what is wrong, and nothing else."""
    assert answer.code == code, answer
    assert answer.err.startswith("Error: ")
    assert "Traceback (most recent call last)" not in answer.err
    for text in says:
        assert text in answer.err


@pytest.fixture
def pipeline(project: Path) -> Path:
    """Give a project with one pipeline file."""
    path = project / "pipeline.py"
    path.write_text(cli_pipelines.MAIN)
    return path


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("def f(:\n", ["wrong.py:1:7: invalid syntax", "def f(:"]),
        ("answer = 42\n", ["no pipeline in wrong.py", "Pipeline('name')"]),
        (cli_pipelines.TWO, ["2 pipelines in wrong.py", "wrong.py:one", "wrong.py:other"]),
        ("import flowyml_no_such\n", ["ModuleNotFoundError", "wrong.py"]),
        ("raise SystemExit(7)\n", ["SystemExit: 7", "wrong.py"]),
        ("\x00", ["wrong.py", "null bytes"]),
    ],
)
def test_a_file_that_is_no_pipeline(
    flowyml: Ask, project: Path, verb: str, content: str, says: list[str]
) -> None:
    """The file is named, with the line where there is one; nothing ran."""
    (project / "wrong.py").write_text(content)

    answer = flowyml(verb, "wrong.py")

    if content.startswith(("import", "raise")):
        answer = Answer(answer.code, answer.out, answer.err.replace("Traceback (most", "(most"))
    assert_refused(answer, 2, *says)
    assert not (project / ".flowyml").exists()


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("missing.py", ["no file", "missing.py"]),
        ("nubmers", ["'nubmers'", "did you mean 'numbers'?"]),
        ("pipeline.py:pipelin", ["did you mean 'pipeline'?"]),
        ("pipeline.py:train", ["'train' in pipeline.py is of the type Step, not a pipeline"]),
        ("no_module:pipeline", ["no module 'no_module'"]),
        (".", ["'.'"]),
    ],
)
def test_a_target_that_matches_nothing(
    flowyml: Ask, verb: str, target: str, says: list[str]
) -> None:
    """The message says what was looked for, and what comes close."""
    assert_refused(flowyml(verb, target), 2, *says)


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("stacks:\n  a: { type: [}\n", ["flowyml.yaml:2:"]),
        ("stacks:\n\ta: {}\n", ["flowyml.yaml:2:", "spaces"]),
        ("", ["the file is empty"]),
        ("- a\n- b\n", ["flowyml.yaml:1:1", "mapping"]),
        ("stack:\n  a: {}\n", ["flowyml.yaml:1:1", "did you mean 'stacks'?"]),
        (
            "stacks:\n  a:\n    artifact_stroe: { type: local }\n",
            ["flowyml.yaml:3:5", "artifact_store"],
        ),
        ("stacks:\n  a:\n    artifact_store: { type: lokal }\n", ["flowyml.yaml:3:", "'local'"]),
        ("stacks:\n  a:\n    artifact_store: { path: x }\n", ["flowyml.yaml:3:", "type"]),
        (
            "stacks:\n  a:\n    artifact_store: { type: local, pth: x }\n",
            ["flowyml.yaml:3:", "'path'"],
        ),
        (
            "stacks:\n  a:\n    artifact_routing:\n      Model: { register: 'false' }\n",
            ["flowyml.yaml:4:", "register"],
        ),
        (
            "stacks:\n  a:\n    artifact_store: { type: local, path: '${UNSET_BY_ALL}' }\n",
            ["flowyml.yaml:3:", "UNSET_BY_ALL"],
        ),
    ],
)
def test_a_configuration_that_is_wrong(
    flowyml: Ask, project: Path, content: str, says: list[str]
) -> None:
    """File, line and column, and what was most likely meant; nothing ran."""
    (project / "flowyml.yaml").write_text(content)

    assert_refused(flowyml("run", "pipeline.py"), 2, *says)
    assert not (project / ".flowyml").exists()


@pytest.mark.usefixtures("pipeline")
def test_a_stack_that_does_not_exist(flowyml: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option and by variable."""
    assert_refused(flowyml("run", "pipeline.py", "--stack", "lcal"), 2, "did you mean 'local'?")
    monkeypatch.setenv("FLOWYML_STACK", "lcal")
    assert_refused(flowyml("run", "pipeline.py"), 2, "no stack 'lcal'")


@pytest.mark.usefixtures("pipeline")
def test_a_configuration_that_does_not_exist(flowyml: Ask) -> None:
    """The option that named it is in the message."""
    assert_refused(flowyml("run", "pipeline.py", "--config", "no.yaml"), 2, "--config", "no.yaml")


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize("arguments", [["run", "pipeline.py"], ["runs", "list"]])
def test_a_metadata_file_that_is_none(flowyml: Ask, project: Path, arguments: list[str]) -> None:
    """It is named and left as it is."""
    path = project / ".flowyml" / "metadata.db"
    path.parent.mkdir()
    path.write_text("my notes, not a database")

    assert_refused(flowyml(*arguments), 1, str(path))
    assert path.read_text() == "my notes, not a database"


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize("arguments", [["run", "pipeline.py"], ["artifact", "list"]])
def test_a_metadata_file_of_a_newer_version(
    flowyml: Ask, project: Path, arguments: list[str]
) -> None:
    """The message says what to upgrade."""
    assert flowyml("run", "pipeline.py").code == 0
    path = project / ".flowyml" / "metadata.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    assert_refused(flowyml(*arguments), 1, "schema version 99", "pip install --upgrade flowyml")


@pytest.mark.usefixtures("pipeline")
def test_an_artifact_folder_that_cannot_be_written(flowyml: Ask, project: Path) -> None:
    """A file where the folder should be: said before any step has run."""
    (project / "taken").write_text("a file")
    (project / "flowyml.yaml").write_text(
        "stacks:\n  a:\n    artifact_store: { type: local, path: taken/artifacts }\n"
    )

    answer = flowyml("run", "pipeline.py")

    assert answer.code in {1, 2}
    assert answer.err.startswith("Error: ")
    assert str(project / "taken") in answer.err
    assert "train: running" not in answer.out
    assert (project / "taken").read_text() == "a file"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
@pytest.mark.usefixtures("pipeline")
def test_an_artifact_folder_without_permission(flowyml: Ask, project: Path) -> None:
    """The folder is named, before any step has run."""
    folder = project / "locked"
    folder.mkdir(mode=0o500)
    (project / "flowyml.yaml").write_text(
        "stacks:\n  a:\n    artifact_store: { type: local, path: locked/artifacts }\n"
    )

    answer = flowyml("run", "pipeline.py")

    assert answer.code in {1, 2}
    assert str(folder) in answer.err


@pytest.mark.parametrize(
    "words",
    [
        "run pipeline.py --stack=",
        "plan pipeline.py --config=",
        "run ''",
        "run pipeline.py -p ''",
        "resume ''",
        "artifact list --run=",
        "artifact get numbers --to=",
        "model deploy m --version 1 --endpoint=",
        "model list ''",
        "stack validate ''",
        "init ''",
    ],
)
@pytest.mark.usefixtures("pipeline")
def test_what_is_empty_is_not_taken_as_left_out(flowyml: Ask, project: Path, words: str) -> None:
    """A script's variable that is not set: nothing goes to another stack, endpoint or folder."""
    answer = flowyml(*shlex.split(words))

    assert (answer.code, answer.out) == (2, "")
    assert "it is empty; say what is meant, or leave it out" in answer.err
    assert sorted(path.name for path in project.iterdir()) == ["pipeline.py"]


@pytest.mark.usefixtures("project")
def test_a_comment_may_be_empty(flowyml: Ask) -> None:
    """A script that has none to give gives an empty one."""
    answer = flowyml("model", "approve", "fraud", "--version", "1", "--comment", "")

    assert "has no model 'fraud@1'" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        "runs list -n {many}",
        "artifact list --limit {many}",
        "artifact lineage numbers -n {many}",
        "artifact lineage numbers --depth {many}",
        "artifact gc --dry-run --keep-runs {many}",
    ],
)
@pytest.mark.usefixtures("pipeline")
def test_more_than_can_be_counted_is_all(flowyml: Ask, words: str) -> None:
    """Whatever the database can count to."""
    assert flowyml("run", "pipeline.py").code == 0

    answer = flowyml(*words.format(many=10**30).split())

    assert (answer.code, answer.err) == (0, "")
