"""What holds for every command: cost, errors, streams, help."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import START, Ask

import flowyml as package
from flowyml.cli.program import COMMANDS, program

HEAVY = (
    "ruamel",
    "rich",
    "sqlite3",
    "cattrs",
    "fsspec",
    "cloudpickle",
    "tenacity",
    "flowyml_local",
)


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command of the tree with the words that call it."""
    ahead: list[tuple[str, click.Command]] = [("flowyml", program)]
    while ahead:
        words, current = ahead.pop(0)
        yield words, current
        if isinstance(current, click.Group):
            context = click.Context(current)
            for name in current.list_commands(context):
                found = current.get_command(context, name)
                assert found is not None
                ahead.append((f"{words} {name}", found))


COMMAND_TREE = dict(all_commands())


def imported_by(*arguments: str) -> set[str]:
    """Run a command and return the modules that it imported."""
    code = (
        "import sys; from flowyml.cli import main; main(); "
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(ended.stderr.split())


def test_the_version_costs_nothing(flowyml: Ask) -> None:
    """It is answered before click is imported."""
    assert flowyml("--version").out == f"flowyml {package.__version__}\n"
    assert imported_by("--version").isdisjoint({"click", "attrs", "json", "importlib.metadata"})


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["plugin", "list"]])
def test_nothing_heavy_is_imported_to_say_little(arguments: list[str]) -> None:
    """Help and lists of names import neither a YAML library nor rich nor a backend."""
    loaded = imported_by(*arguments)

    assert [name for name in HEAVY if name in loaded] == []


def test_stacks_are_listed_without_the_heavy_libraries(project: Path) -> None:
    """The names of the stacks need no component, no database and no table library."""
    (project / "flowyml.yaml").write_text(cli_pipelines.STACKS)
    loaded = imported_by("stack", "list")

    assert loaded.isdisjoint({"rich", "sqlite3", "cloudpickle", "tenacity", "flowyml_local"})


@pytest.mark.parametrize("words", COMMAND_TREE)
def test_every_command_has_help(flowyml: Ask, words: str) -> None:
    """It begins with a sentence, and every option says what it does."""
    answer = flowyml(*words.split()[1:], "--help")

    assert answer.code == 0
    assert answer.out.startswith(f"Usage: {words} ")
    asked = [item for item in COMMAND_TREE[words].params if isinstance(item, click.Argument)]
    named = answer.out.partition("\n")[0].replace("[ARGS]...", "").split("[OPTIONS]")[1]
    assert named.count("[") == sum(not item.required for item in asked)
    assert COMMAND_TREE[words].help
    options = [item for item in COMMAND_TREE[words].params if isinstance(item, click.Option)]
    assert all(option.help or option.name == "help" for option in options)


@pytest.mark.parametrize(
    "words", [words for words in COMMAND_TREE if words.split()[-1] in {"list", "show"}]
)
def test_whatever_lists_or_shows_prints_json(words: str) -> None:
    """``-o json`` is there without exception."""
    assert "output" in [option.name for option in COMMAND_TREE[words].params]


def test_every_command_is_where_the_table_says() -> None:
    """The names in the table are the names of the commands."""
    assert {words.split()[1] for words in COMMAND_TREE if " " in words} == set(COMMANDS)
    for name in COMMANDS:
        assert COMMAND_TREE[f"flowyml {name}"].name == name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], "no command 'rnu'; did you mean 'run'?"),
        (["stack", "lst"], "no command 'lst'; did you mean 'list'?"),
        (["frobnicate"], "no command 'frobnicate'; there are artifact, init,"),
        (["run"], "Missing argument 'TARGET'"),
        (["runs", "list", "--limit", "-3"], "-3 is not in the range"),
        (["runs", "list", "-o", "xml"], "'xml' is not one of 'table', 'json'"),
        (["run", "x.py", "--parm", "a=1"], "--param"),
    ],
)
def test_bad_usage(flowyml: Ask, arguments: list[str], says: str) -> None:
    """Exit code 2, the message on the standard error stream, nothing on the other."""
    answer = flowyml(*arguments)

    assert answer.code == 2
    assert answer.out == ""
    assert "Error: " in answer.err
    assert says in answer.err


def test_a_table_in_a_terminal_is_drawn(terminal: Ask, command: Ask) -> None:
    """The same list has colour and rules in a terminal, and neither in a pipe."""
    drawn = terminal("plugin", "list", COLUMNS="200")
    piped = command("plugin", "list")

    assert "─" in drawn.out
    assert "\x1b[" in drawn.out
    assert piped.out.isascii()
    assert "\x1b" not in piped.out
    assert "artifact_store" in drawn.out


def test_a_terminal_without_colour_is_respected(terminal: Ask) -> None:
    """``NO_COLOR`` and a dumb terminal get a table without colour."""
    coloured = "\x1b[3"
    assert coloured in terminal("plugin", "list").out
    assert coloured not in terminal("plugin", "list", NO_COLOR="1").out
    assert "\x1b" not in terminal("plugin", "list", TERM="dumb").out


@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_terminal_that_tells_no_width_is_written_to(
    terminal: Ask, project: Path, columns: str
) -> None:
    """``COLUMNS=0`` means that nobody knows; no name and no value is lost or broken."""
    (project / "flowyml.yaml").write_text("stacks: {only: {}}\n")

    shown = terminal("stack", "show", COLUMNS=columns, NO_COLOR="1").out

    assert "only (active)" in shown
    assert "config" in shown
    assert "Components" in shown


def test_a_reader_that_is_gone_is_no_error() -> None:
    """``flowyml --help | head -1`` ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    )
    assert process.stdout
    process.stdout.close()
    _, complaints = process.communicate(timeout=100)

    assert complaints == b""
    assert process.returncode == 0


def test_what_cannot_be_encoded_is_escaped(command: Ask, project: Path) -> None:
    """A name outside the terminal's encoding is shown as an escape, not as a traceback."""
    answer = command("run", "\u65e5.py", PYTHONIOENCODING="latin-1")

    assert answer.code == 2
    assert "\\u65e5.py" in answer.err
    assert "Traceback" not in answer.err


def test_what_nobody_expected_keeps_its_traceback(command: Ask, project: Path) -> None:
    """A fault of ours must be reported with all that is known about it."""
    (project / "sitecustomize.py").write_text(
        "import flowyml.stacks.project as p\n"
        "def broken(*_):\n    raise RuntimeError('a fault')\n"
        "p.find_project = broken\n"
    )
    answer = command("stack", "list", PYTHONPATH=os.pathsep.join([str(project), *sys.path]))

    assert answer.code == 1
    assert "Traceback" in answer.err
    assert "RuntimeError: a fault" in answer.err
