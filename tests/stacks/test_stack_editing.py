"""`flowyml stack set` changes one value and not one other character."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flowyml.errors import ConfigurationError
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.editing import set_active_stack
from flowyml.stacks.project import Project

FILE = """\
# what we run on      (do not touch)
stacks:
    local:   { orchestrator: { type: local } }   # laptop


    "prod eu":
      experiment_tracker: { type: mlflow, tracking_uri: ${MLFLOW_URI} }
      model_registry:
        type:    'local'
    'true': {}
    on:
active_stack:   local    # the default
x-end:   [1,   2]
"""


def edited(project: Project, text: str, name: str) -> str:
    """Return what becomes of a text when a stack is set."""
    assert project.config
    project.config.write_bytes(text.encode())
    set_active_stack(project, name)
    assert Configuration.read(project).active_stack == name
    return project.config.read_bytes().decode()


def test_only_the_value_changes(project: Project) -> None:
    """Comments, blank lines, quotes, odd spaces and variables stay byte for byte."""
    assert edited(project, FILE, "on") == FILE.replace("   local    #", "   on    #")


def test_windows_line_ends_and_a_byte_order_mark_stay(project: Project) -> None:
    """What an editor put there is none of our business."""
    text = "\ufeff" + FILE.replace("\n", "\r\n")
    assert edited(project, text, "on") == text.replace("   local    #", "   on    #")


@pytest.mark.parametrize(("name", "written"), [("prod eu", '"prod eu"'), ("true", '"true"')])
def test_a_name_that_yaml_would_take_otherwise_is_quoted(
    project: Project, name: str, written: str
) -> None:
    """A stack may have any name."""
    assert f"active_stack:   {written}    # the default" in edited(project, FILE, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stacks:\n  a:\n  b:\n", "stacks:\n  a:\n  b:\nactive_stack: b\n"),
        ("stacks:\n  a:\n  b:", "stacks:\n  a:\n  b:\nactive_stack: b\n"),
        ("stacks:\r\n  b:\r\n# end\r\n", "stacks:\r\n  b:\r\n# end\r\nactive_stack: b\r\n"),
        ("stacks:\n  b:\n...\n", "stacks:\n  b:\nactive_stack: b\n...\n"),
        ("{stacks: {b: {}}}\n", "{stacks: {b: {}}, active_stack: b}\n"),
        ("active_stack:\nstacks:\n  b:\n", "active_stack: b\nstacks:\n  b:\n"),
        ("stacks:\n  b: {}\nactive_stack: 'b'\n", "stacks:\n  b: {}\nactive_stack: b\n"),
    ],
)
def test_it_is_added_where_it_is_missing(project: Project, text: str, expected: str) -> None:
    """The key comes last; a document end stays the end."""
    assert edited(project, text, "b") == expected


@pytest.mark.parametrize("active", ["", ', "active_stack": "a"'])
def test_json_stays_json(project: Project, active: str) -> None:
    """It is YAML too, and what else reads it does not know names without quotes."""
    text = f'{{"stacks": {{"a": {{}}, "größe": {{}}}}{active}}}\n'

    changed = edited(project, text, "größe")

    assert changed == '{"stacks": {"a": {}, "größe": {}}, "active_stack": "größe"}\n'


def test_the_plugins_shape_has_one_stack(project: Project) -> None:
    """Its name is default."""
    assert edited(project, "plugins: {}\n", "default") == "plugins: {}\nactive_stack: default\n"


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (FILE, "onn", "there is no stack 'onn'"),
        ("stacks: {a: {}, b: {}}\nactive_stack: &x a\nx-y: *x\n", "b", "by hand"),
        ("stacks: [\n", "b", "not valid YAML"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    project: Project, text: str, name: str, said: str
) -> None:
    """An unknown stack, a value that is used elsewhere, a broken file."""
    assert project.config
    project.config.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        set_active_stack(project, name)
    assert project.config.read_text() == text
    assert os.listdir(project.folder) == ["flowyml.yaml"]  # noqa: PTH208


def test_without_a_file_there_is_nothing_to_set(tmp_path: Path) -> None:
    """The built-in stack needs no file, and none is made up."""
    with pytest.raises(ConfigurationError, match="flowyml init"):
        set_active_stack(Project(tmp_path, None), "local")


def test_mode_and_symbolic_link_stay(project: Project) -> None:
    """The file that a link points at is replaced, with the rights that it had."""
    real = project.folder / "real.yaml"
    real.write_text("stacks:\n  b:\n")
    real.chmod(0o640)
    assert project.config
    project.config.symlink_to(real)
    set_active_stack(project, "b")
    assert project.config.is_symlink()
    assert real.read_text() == "stacks:\n  b:\nactive_stack: b\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
