"""A file that lies in a package is loaded as the module that an import of it would give."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
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


PLAIN = """
from dataclasses import dataclass

from flowyml import Pipeline, step

class P:
    number: int = 1

@step
def make() -> P:
    return P()

@step
def checked(make: P) -> int:
    assert isinstance(make, P)
    return make.number

pipeline = Pipeline("plain").add_step(make).add_step(checked)
"""

REPORT = """
    import flowyml

    made = flowyml.load("make.make")

    from flow import P
    print(isinstance(made, P), type(made).__module__, made.number)
"""

COMMAND = "import sys; from flowyml.cli import main; sys.exit(main())"
RUN_MODULE = "import runpy; runpy.run_module('flows.flow', run_name='__main__', alter_sys=True)"


def python(code: str, *arguments: str, cwd: Path) -> str:
    """Run code in a Python of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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

    code = "import runpy; runpy.run_path('flows/deep/training.py', {}, '__main__')"

    assert python(code, cwd=project.folder) == "done 3\n"


@pytest.mark.parametrize(
    ("cls", "file"), [("@dataclass\nclass P", "data.json"), ("class P", "data.pkl")]
)
@pytest.mark.parametrize("folder", ["proj", "code"])
def test_what_a_file_beside_an_init_stored_is_read_beside_it(
    project: Project, write_file: WriteFile, folder: str, cls: str, file: str
) -> None:
    """Without relative imports it has its plain name, which another script there imports."""
    write_file(f"{folder}/__init__.py", "")
    write_file(f"{folder}/flow.py", PLAIN.replace("class P", cls))
    write_file(f"{folder}/report.py", REPORT)

    python(COMMAND, "run", "flow.py", cwd=project.folder / folder)
    assert list((project.folder / folder).rglob(f"make/{file}"))
    told = python("import runpy; runpy.run_path('report.py')", cwd=project.folder / folder)

    assert told == "True flow 1\n"


def test_a_module_that_python_runs_runs_its_steps_apart(
    project: Project, write_file: WriteFile
) -> None:
    """``python -m`` gives its classes the package's name, and so do the processes it reads from."""
    write_file("flowyml.yaml", APART)
    write_file("flows/__init__.py", "")
    text = PLAIN.replace("class P", "@dataclass\nclass P")
    end = "    print(isinstance(pipeline.run().outputs['make'], P))\n"
    write_file("flows/flow.py", text + "if __name__ == '__main__':\n" + end)

    assert python(RUN_MODULE, cwd=project.folder) == "True\n"


GUARDED = """
    try:
        from .rows import Row
    except ImportError:
        from rows import Row
    from flowyml import Pipeline

    pipeline = Pipeline("guarded")
"""


def test_a_file_that_can_do_without_its_package_has_its_plain_name(
    project: Project, write_file: WriteFile
) -> None:
    """A relative import with another way beside it needs no package."""
    write_file("flows/guarded.py", GUARDED)
    write_file("flows/rows.py", ROWS)

    assert find_pipeline("flows/guarded.py", project).is_of("guarded")


def test_a_function_may_import_relatively(project: Project, write_file: WriteFile) -> None:
    """The package is there when the function is called."""
    inner = "def late():\n    from . import rows\n    return rows\n"
    write_file("flows/deep/late.py", PLAIN + inner)

    assert find_pipeline("flows/deep/late.py", project).is_of("flows.deep.late")


def test_a_file_finds_its_package_by_absolute_imports(
    project: Project, write_file: WriteFile
) -> None:
    """The folder that the package lies in is searched as well, after all others."""
    text = dedent(PLAIN) + "from flows.deep.rows import Row\n"
    write_file("flows/deep/plain.py", text)

    assert find_pipeline("flows/deep/plain.py", project).is_of("plain")
    assert sys.path[-1] == str(project.folder)


def test_a_package_with_the_name_of_another_module_is_told(
    project: Project, write_file: WriteFile
) -> None:
    """Its files have their plain names; relative imports need another name for the folder."""
    write_file("code/__init__.py", "")
    write_file("code/rows.py", ROWS)
    write_file("code/plain.py", PLAIN)
    write_file("code/training.py", TRAINING)

    assert find_pipeline("code/plain.py", project).is_of("plain")
    with pytest.raises(PipelineError, match="rename the folder of its package 'code'"):
        find_pipeline("code/training.py", project)


def test_a_neighbour_with_relative_imports_is_imported_from_the_package(
    project: Project, write_file: WriteFile
) -> None:
    """By its bare name it has none; the message says how else."""
    write_file("flows/deep/users.py", "from .rows import Row\n")
    write_file("flows/deep/plain.py", "import users\n")

    with pytest.raises(PipelineError, match=r"by `from flows\.deep import \.\.\.`"):
        find_pipeline("flows/deep/plain.py", project)


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
