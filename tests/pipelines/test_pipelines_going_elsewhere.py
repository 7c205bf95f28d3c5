"""A step that changes the working directory takes neither the project nor the run with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pipelines.conftest import WriteFile

import flowyml
from flowyml.cli import main
from flowyml.errors import NotFoundError
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.finding import find_pipeline
from flowyml.records import RunStatus
from flowyml.stacks.active import current_project
from flowyml.stacks.project import Project

FLOW = """
    import os
    import flowyml
    from flowyml import Pipeline, step

    @step
    def leave() -> list:
        os.chdir(os.environ["ELSEWHERE"])
        return [1, 2]

    @step
    def read(leave: list) -> list:
        return flowyml.load("leave.leave")

    pipeline = Pipeline("going").add_step(leave).add_step(read)
"""


@pytest.fixture
def elsewhere(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, write_file: WriteFile
) -> Path:
    """Give the folder that the step goes to."""
    folder = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("ELSEWHERE", str(folder))
    write_file("flow.py", FLOW)
    return folder


def test_a_step_that_goes_elsewhere_stays_in_the_project(project: Project, elsewhere: Path) -> None:
    """What later steps load is found, and nothing is made where it went."""
    result = find_pipeline("flow.py", project).run()

    result.raise_for_status()
    assert result.outputs["read"] == [1, 2]
    assert list(elsewhere.iterdir()) == []


def test_a_command_tells_of_a_run_that_went_elsewhere(
    project: Project, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the run from where it began."""
    code = main(["run", "flow.py", "-o", "json"])

    assert code == 0
    assert '"status": "done"' in capsys.readouterr().out
    assert list(elsewhere.iterdir()) == []


def test_processes_that_go_elsewhere_stay_in_the_project(
    project: Project, elsewhere: Path, write_file: WriteFile
) -> None:
    """Each step in its own."""
    write_file("flowyml.yaml", "plugins: { orchestrator: { type: local, executor: process } }\n")

    result = find_pipeline("flow.py", current_project()).run()

    result.raise_for_status()
    assert list(elsewhere.iterdir()) == []
    assert not (elsewhere / ".flowyml").exists()


def test_a_block_around_the_run_does_not_outlive_it(project: Project, elsewhere: Path) -> None:
    """After the run the project is that of the working directory again."""
    result = find_pipeline("flow.py", project).run()

    assert result.status is RunStatus.DONE
    assert current_project().folder == elsewhere
    with MetadataStore.open(project.metadata_path) as metadata:
        assert [run.run_id for run in metadata.runs()] == [result.run_id]


def test_reading_where_nothing_ran_makes_nothing(project: Project) -> None:
    """What was stored there is asked for in vain, and no store is begun for it."""
    for read in (lambda: flowyml.load("model"), lambda: flowyml.Run("20261128")):
        with pytest.raises(NotFoundError, match=r"nothing was run in .* yet"):
            read()

    assert not project.state.exists()
