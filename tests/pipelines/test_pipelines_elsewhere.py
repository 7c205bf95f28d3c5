"""A run is refused before it starts where its steps would find another stack."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from attrs import define
from tests.pipelines.conftest import WriteFile

from flowyml.errors import ConfigurationError
from flowyml.pipelines.elsewhere import check_environment
from flowyml.records import StepOutcome
from flowyml.stacks.project import Project

STACK = """
    stacks:
      far:
        orchestrator: { type: local, executor: ${EXECUTOR} }
        artifact_store: { type: local, path: ${PLACE:-here} }
"""


@define
class Anywhere:
    """Steps find this environment."""

    in_process: bool = False

    def submit(self, work: object, task: object) -> Future[StepOutcome]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


@define
class Elsewhere(Anywhere):
    """Steps find these variables."""

    environment: frozenset[str] = frozenset()


@pytest.fixture(autouse=True)
def _file(write_file: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file("flowyml.yaml", STACK)
    monkeypatch.setenv("EXECUTOR", "thread")
    monkeypatch.setenv("PLACE", "there")


@pytest.fixture
def project(project: Project) -> Project:
    """The project with its file."""
    return Project(project.folder, project.folder / "flowyml.yaml")


def refusal(executor: Anywhere, project: Project) -> str:
    """Return why a run is refused; nothing where it is not."""
    try:
        check_environment(executor, project, "far")
    except ConfigurationError as error:
        return str(error)
    return ""


def test_a_variable_that_is_set_only_here_is_refused(project: Project) -> None:
    """Also one with a default, which would stand for it there; not the orchestrator's own."""
    said = refusal(Elsewhere(), project)
    assert "do not have: PLACE\n" in said
    assert "`environment: { PLACE: ${PLACE} }`" in said


def test_what_the_steps_find_is_well(project: Project) -> None:
    """Whoever put it there."""
    assert refusal(Elsewhere(environment=frozenset({"PLACE"})), project) == ""


def test_what_is_set_nowhere_is_well(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default stands for it here and there."""
    monkeypatch.delenv("PLACE")
    assert refusal(Elsewhere(), project) == ""


def test_an_executor_that_says_nothing_has_this_environment(project: Project) -> None:
    """As processes of this machine do."""
    assert refusal(Anywhere(), project) == ""
