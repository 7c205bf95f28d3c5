"""A hostile place to run in: a locale, a folder or a disk that does not play along."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import START, Ask
from tests.servers.processes import without_privileges

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale that knows no letter but those of ASCII, in which Python believes it."""


def test_what_the_code_names_needs_no_locale(command: Ask, project: Path) -> None:
    """Names in other letters are run, recorded and listed where the terminal has none of them."""
    text = cli_pipelines.MAIN.replace('"numbers"', '"größe"').replace('outputs=["report"]', "")
    (project / "pipeline.py").write_text(text, encoding="utf-8")

    ran = command("run", "pipeline.py", **ASCII)
    listed = command("runs", "list", "-o", "json", PYTHONIOENCODING="utf-8")

    assert (ran.code, ran.err) == (0, "")
    assert listed.objects[0]["pipeline"] == "größe"


@pytest.mark.parametrize("command_line", [["run", "größe.py"], ["artifact", "show", "größe"]])
def test_an_argument_that_the_locale_cannot_tell_is_refused(
    command: Ask, project: Path, command_line: list[str]
) -> None:
    """With what to set; it is neither taken for another name nor a traceback."""
    (project / "größe.py").write_text(cli_pipelines.MAIN)

    answer = command(*command_line, **ASCII)

    assert answer.code == 2
    assert "has bytes that are no letters here" in answer.err
    assert "hint: set PYTHONUTF8=1, or LC_ALL=C.UTF-8" in answer.err


def test_a_folder_that_the_locale_cannot_tell_is_refused(tmp_path: Path) -> None:
    """Before anything is written there."""
    folder = tmp_path / "größe"
    folder.mkdir()
    (folder / "pipeline.py").write_text(cli_pipelines.MAIN)

    answer = _run(["run", "pipeline.py"], folder, ASCII)

    assert answer.returncode == 2
    assert "hint: set PYTHONUTF8=1" in answer.stderr
    assert [path.name for path in folder.iterdir()] == ["pipeline.py"]
    assert _run(["run", "pipeline.py"], folder, {"PYTHONUTF8": "1"}).returncode == 0


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    """Latin-1, where everything else is UTF-8."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()

    answer = _run(["runs", "list"], folder, {"PYTHONUTF8": "1"})

    assert answer.returncode == 2
    assert "hint: rename it: not all of its bytes are UTF-8" in answer.stderr


def test_a_working_directory_that_was_deleted_is_told(tmp_path: Path) -> None:
    """Not by a traceback."""
    folder = tmp_path / "gone"
    folder.mkdir()
    start = f"import os; os.rmdir({str(folder)!r}); {START}"

    answer = _run(["runs", "list"], folder, {}, start)

    assert answer.returncode == 2
    assert answer.stderr == (
        "Error: the working directory was deleted; change to one that is there\n"
    )


def test_an_interruption_before_the_command_is_no_traceback(project: Path) -> None:
    """Ctrl-C while the program is still being imported."""
    start = (
        "import sys, flowyml.cli\n"
        "class Impatient:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'flowyml.cli.program':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "sys.exit(flowyml.cli.main())\n"
    )

    answer = _run(["runs", "list"], project, {}, start)

    assert (answer.returncode, answer.stderr) == (130, "Interrupted\n")


@pytest.fixture
def read_only(project: Path, command: Ask) -> Iterator[Path]:
    """Give a project with a run in it, of which nothing may be written."""
    (project / "pipeline.py").write_text(cli_pipelines.MAIN)
    assert command("run", "pipeline.py").code == 0
    folders = [project, *(path for path in project.rglob("*") if path.is_dir())]
    for folder in folders:
        for path in folder.iterdir():
            path.chmod(0o555 if path.is_dir() else 0o444)
    project.chmod(0o555)
    yield project
    for folder in folders:
        folder.chmod(0o755)


READING = (
    "runs list",
    "runs show {run}",
    "artifact list",
    "artifact show report.report",
    "artifact lineage report.report",
    "artifact verify --all",
    "artifact gc --dry-run",
)


def test_a_project_that_may_not_be_written_is_read(read_only: Path) -> None:
    """A colleague's project or a mounted backup: a command that reads needs to write nothing."""
    (run,) = (path.name for path in (read_only / ".flowyml" / "artifacts").glob("2*"))

    answers = {said: _humbly(said.format(run=run), read_only) for said in READING}

    assert {said: (ended.returncode, ended.stderr) for said, ended in answers.items()} == (
        dict.fromkeys(READING, (0, ""))
    )
    assert run in answers["runs list"].stdout


def test_what_changes_a_project_that_may_not_be_written_is_refused(read_only: Path) -> None:
    """Before it has done anything."""
    for said in ("artifact gc", "runs forgive 2 --comment gone"):
        answer = _humbly(said, read_only)

        assert answer.returncode == 1
        assert "metadata.db may not be written; change the permissions" in answer.stderr


def test_a_new_package_that_cannot_be_written_is_told(read_only: Path) -> None:
    """As for the files of `flowyml init`: no traceback."""
    answer = _humbly("plugin new lab", read_only)

    assert answer.returncode == 2
    assert answer.stderr.startswith("Error: flowyml-lab cannot be written: ")


def test_a_value_is_loaded_where_nothing_was_ever_run(read_only: Path, tmp_path: Path) -> None:
    """By its URI, in a folder that may not be written either; nothing needs to be made there."""
    (report,) = (read_only / ".flowyml" / "artifacts").glob("2*/report*")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    store = f"{{ type: local, path: {read_only / '.flowyml' / 'artifacts'} }}"
    (folder / "flowyml.yaml").write_text(f"plugins:\n  artifact_store: {store}\n")
    folder.chmod(0o555)
    start = "import sys, flowyml; print(flowyml.load(sys.argv[1]))"

    answer = _humbly(report.as_uri(), folder, start)

    assert (answer.stdout, answer.stderr) == ("{'metrics': {'mean': 1.0}}\n", "")


def _humbly(
    command_line: str, folder: Path, start: str = START
) -> subprocess.CompletedProcess[str]:
    command = without_privileges([sys.executable, "-c", start, *command_line.split()], folder)
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("limit", [1024, 4096])
def test_init_leaves_nothing_half_written(project: Path, limit: int) -> None:
    """Where the disk is full, no empty flowyml.yaml is in the way of the next command.

    The larger limit is above what a user edits, and below the schema.
    """
    answer = _run(["init"], project, {}, limit=limit)

    assert answer.returncode == 2
    assert "none was left there" in answer.stderr
    assert [path for path in project.rglob("*") if path.is_file()] == []
    assert _run(["init"], project, {}).returncode == 0


def _run(
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    start: str = START,
    limit: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; with a limit no file may grow above it, as on a full disk."""

    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-B", "-c", start, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        preexec_fn=restrict,
        timeout=100,
        check=False,
    )
