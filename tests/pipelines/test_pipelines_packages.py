"""A file that lies in a package is loaded as the module that an import of it would give."""

from __future__ import annotations

import pickle
import subprocess
import sys
from textwrap import dedent

import pytest
from tests.pipelines.conftest import WriteFile

from flowyml.errors import PipelineError
from flowyml.pipelines.finding import find_pipeline, find_reference, run_target
from flowyml.pipelines.result import RunResult
from flowyml.stacks.active import current_project
from flowyml.stacks.project import Project

ROWS = """
    from dataclasses import dataclass

    @dataclass
    class Row:
        number: int
"""

TRAINING = """
    from dataclasses import dataclass

    from flowyml import Pipeline, step

    from . import rows
    from .rows import Row

    @dataclass
    class Own:
        number: int

    @step
    def load() -> list[Row]:
        return [rows.Row(1), Row(2)]

    @step
    def total(load: list[Row]) -> Own:
        return Own(sum(row.number for row in load))

    @step
    def checked(total: Own) -> int:
        assert isinstance(total, Own)
        return total.number

    pipeline = Pipeline("training").add_step(load).add_step(total).add_step(checked)
"""

APART = """
    stacks:
      apart:
        orchestrator: { type: local, executor: process }
"""


@pytest.fixture(autouse=True)
def _packaged(write_file: WriteFile) -> None:
    write_file("flows/__init__.py", "")
    write_file("flows/deep/__init__.py", "")
    write_file("flows/deep/rows.py", ROWS)
    write_file("flows/deep/training.py", TRAINING)


@pytest.mark.parametrize("target", ["flows/deep/training.py", "flows.deep.training"])
def test_a_file_in_a_package_has_one_name(target: str, project: Project) -> None:
    """By its path as by its name it is the same module, below its packages."""
    pipeline = find_pipeline(target, project)

    assert pipeline.is_of("flows.deep.training")
    module = sys.modules["flows.deep.training"]
    assert module.rows is sys.modules["flows.deep.rows"]
    assert pickle.loads(pickle.dumps(module.Own(1))) == module.Own(1)


@pytest.mark.parametrize("target", ["flows/deep/training.py", "flows.deep.training"])
def test_a_packaged_file_runs(target: str, project: Project) -> None:
    """Its relative imports work."""
    (result,) = run_target(target, project)

    result.raise_for_status()
    assert result.outputs["checked"] == 3


def test_processes_load_a_packaged_file_under_its_name(
    project: Project, write_file: WriteFile
) -> None:
    """What one process pickles, another one and a later run of another target read."""
    write_file("flowyml.yaml", APART)

    result: RunResult = find_pipeline("flows/deep/training.py", current_project()).run()

    result.raise_for_status()
    assert result.outputs["total"].number == 3
    assert find_reference("flows/deep/training.py:pipeline", project).is_of("flows.deep.training")


def test_a_package_that_imports_its_file_runs_it_once(
    project: Project, write_file: WriteFile
) -> None:
    """A module-level ``run()`` takes place once, also where the package imports the file."""
    write_file("flows/deep/__init__.py", "from .training import pipeline\n")
    write_file("flows/deep/training.py", TRAINING + "    result = pipeline.run()\n")

    results = run_target("flows/deep/training.py", project)

    assert [result.outputs["checked"] for result in results] == [3]


def test_a_packaged_file_that_was_changed_is_loaded_anew(
    project: Project, write_file: WriteFile
) -> None:
    """The second load sees what the file says by then, and so does its package."""
    find_pipeline("flows/deep/training.py", project)
    write_file("flows/deep/training.py", TRAINING.replace('"training"', '"another"'))

    assert find_pipeline("flows/deep/training.py", project).name == "another"
    assert sys.modules["flows.deep"].training.pipeline.name == "another"


def test_a_package_itself_is_run(project: Project, write_file: WriteFile) -> None:
    """``__init__.py`` is loaded as the package."""
    write_file("flows/deep/__init__.py", TRAINING)

    assert find_pipeline("flows/deep/__init__.py", project).is_of("flows.deep")


def test_a_packaged_file_imports_its_neighbours_by_their_bare_names(
    project: Project, write_file: WriteFile
) -> None:
    """What a script in that folder could import can be imported; it hides no other module."""
    write_file("flows/deep/types.py", "")
    text = "import types, rows\nassert types.ModuleType\n" + dedent(TRAINING)
    write_file("flows/deep/training.py", text)

    assert find_pipeline("flows/deep/training.py", project).name == "training"


def test_a_script_in_a_package_runs_its_steps_apart(
    project: Project, write_file: WriteFile
) -> None:
    """Classes of ``__main__`` go to the processes under the name that these load the file by."""
    write_file("flowyml.yaml", APART)
    text = TRAINING.replace("from .", "from flows.deep.").replace("deep. import", "deep import")
    text += "\n    result = pipeline.run()\n    print(result.status, result.outputs['checked'])\n"
    write_file("flows/deep/training.py", text)

    script = subprocess.run(
        [
            sys.executable,
            "-c",
            "import runpy; runpy.run_path('flows/deep/training.py', {}, '__main__')",
        ],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=True,
    )

    assert script.stdout == "done 3\n"


def test_a_relative_import_outside_of_a_package_says_what_to_do(
    project: Project, write_file: WriteFile
) -> None:
    """Python says that there is no package; the message says how to make one."""
    write_file("bare/rows.py", ROWS)
    write_file("bare/training.py", TRAINING)

    with pytest.raises(PipelineError, match=r"put an `__init__\.py` into its folder"):
        find_pipeline("bare/training.py", project)


def test_a_broken_package_is_told(project: Project, write_file: WriteFile) -> None:
    """What a package raises is told as what the file raises."""
    write_file("flows/__init__.py", "raise RuntimeError('not today')\n")

    for target in ("flows/deep/training.py", "flows.deep.training:pipeline"):
        with pytest.raises(PipelineError, match="cannot be loaded: it raised RuntimeError: not t"):
            find_pipeline(target, project)


def test_a_module_that_a_package_has_not_is_told(project: Project) -> None:
    """The whole name is told, not a traceback."""
    with pytest.raises(PipelineError, match=r"there is no module 'flows\.deep\.trainin', neither"):
        find_pipeline("flows.deep.trainin:pipeline", project)
