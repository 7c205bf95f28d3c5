"""Which stack is active, and who sees that."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from flowyml.errors import ConfigurationError
from flowyml.plugins import use_stack
from flowyml.stacks.active import (
    command_line,
    configuration,
    current_project,
    current_stack,
    stack_name,
)
from flowyml.stacks.project import Project

THREE = "stacks:\n  one:\n  two:\n  three:\nactive_stack: one\n"


@pytest.fixture(autouse=True)
def _three_stacks(project: Project) -> None:
    assert project.config
    project.config.write_text(THREE)


def test_the_more_deliberate_choice_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, the block, the command line, the environment, the file: in this order."""
    assert stack_name() == "one"
    monkeypatch.setenv("FLOWYML_STACK", "two")
    assert stack_name() == "two"
    with command_line("three"):
        assert stack_name() == "three"
        with use_stack("one"):
            assert stack_name() == "one"
            assert stack_name("two") == "two"
        assert stack_name() == "three"


def test_without_a_word_it_is_the_only_stack_or_local(project: Project) -> None:
    """A file with one stack needs no active_stack; one with several falls back to local."""
    assert project.config
    project.config.write_text("stacks:\n  only:\n")
    assert stack_name() == "only"
    project.config.write_text("stacks:\n  one:\n  two:\n")
    assert stack_name() == "local"
    project.config.unlink()
    assert stack_name() == "local"


def test_blocks_nest_and_end_also_by_an_error() -> None:
    """Leaving the inner block brings the outer one back, however it is left."""
    with use_stack("two"):
        with pytest.raises(KeyError), use_stack("three"):
            raise KeyError
        assert stack_name() == "two"
    assert stack_name() == "one"


def test_a_block_of_an_unknown_stack_is_an_error_at_once() -> None:
    """A misspelt name is not found out by the next run."""
    with pytest.raises(ConfigurationError, match="did you mean 'three'"), use_stack("thre"):
        pass  # pragma: no cover


@pytest.mark.parametrize("source", ["FLOWYML_STACK", "--stack"])
def test_an_unknown_stack_says_who_named_it(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten variable is found."""
    monkeypatch.setenv("FLOWYML_STACK", "gone")
    command = command_line("gone" if source == "--stack" else None)
    with command, pytest.raises(ConfigurationError, match=rf"'gone'.*\(named by {source}\)"):
        current_stack()


def test_threads_do_not_see_each_others_choice() -> None:
    """Two threads that are inside their blocks at the same time keep their own stack."""
    met = Barrier(2, timeout=20)

    def inside(name: str) -> str:
        with use_stack(name):
            met.wait()
            seen = stack_name()
            met.wait()
        return seen

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(inside, ["two", "three"])) == ["two", "three"]


def test_async_tasks_do_not_see_each_others_choice() -> None:
    """A task that waits inside its block finds its stack again."""

    async def inside(name: str, met: asyncio.Barrier) -> str:
        with use_stack(name):
            await met.wait()
            return stack_name()

    async def both() -> tuple[str, str]:
        met = asyncio.Barrier(2)
        one, other = await asyncio.gather(inside("two", met), inside("three", met))
        return one, other

    assert asyncio.run(both()) == ("two", "three")


def test_a_stack_is_built_once_until_the_file_or_a_variable_changes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Components keep their connections from run to run, but never outlive their configuration."""
    assert project.config
    project.config.write_text(
        "stacks:\n  a:\n    artifact_store: { type: local, path: ${SHELF} }\n"
    )
    monkeypatch.setenv("SHELF", "x")
    first = current_stack()
    assert current_stack() is first
    monkeypatch.setenv("SHELF", "y")
    assert current_stack() is not first
    project.config.write_text("plugins:\n  artifact_store: { type: local, path: z }\n")
    assert current_stack().name == "default"


def test_the_file_is_found_upward(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start from the file's folder, wherever the command runs."""
    below = project.folder / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert current_project() == project
    assert current_stack().store_uri("artifact_store").startswith(project.folder.as_uri())


def test_config_option_beats_variable_beats_found_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--config > FLOWYML_CONFIG > the nearest flowyml.yaml."""
    for name in ("by-variable", "by-option"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "my.yaml").write_text(f"stacks:\n  {name}:\n")
    monkeypatch.setenv("FLOWYML_CONFIG", "by-variable/my.yaml")
    assert configuration().stack_names == ("by-variable",)
    with command_line(config=Path("by-option/my.yaml")):
        assert configuration().stack_names == ("by-option",)
        assert current_project().folder == tmp_path / "by-option"


@pytest.mark.parametrize("source", ["--config", "FLOWYML_CONFIG"])
def test_a_file_that_is_asked_for_has_to_exist(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other file is taken instead."""
    monkeypatch.setenv("FLOWYML_CONFIG", "gone.yaml" if source == "FLOWYML_CONFIG" else "")
    config = Path("gone.yaml") if source == "--config" else None
    with command_line(config=config), pytest.raises(ConfigurationError, match=f"^{source} names"):
        configuration()


def test_asking_for_use_stack_imports_no_heavy_library() -> None:
    """`from flowyml.plugins import use_stack` is cheap."""
    code = (
        "import sys\nfrom flowyml.plugins import use_stack\n"
        "print({'ruamel', 'cattrs', 'fsspec'} & {name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
