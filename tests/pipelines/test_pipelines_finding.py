"""A pipeline is found by file, module or name, and loading its file runs nothing of it."""

from __future__ import annotations

import os
import pickle
import statistics
import subprocess
import sys
from textwrap import dedent

import pytest
from tests.pipelines.conftest import WriteFile

from flowyml.errors import PipelineError
from flowyml.pipelines.finding import find_pipeline, find_reference, run_target
from flowyml.stacks.project import Project

ONE = """
    from flowyml import Pipeline, context, step

    class Own:
        pass

    @step
    def work(lr: float) -> float:
        return lr

    pipeline = Pipeline("production", context=context(lr=0.01)).add_step(work)
"""

TWO = """
    from flowyml import Pipeline, step

    @step
    def work() -> int:
        return 1

    training = Pipeline("train it").add_step(work)
    serving = Pipeline("serve it").add_step(work)
"""

SCALER = """
    from flowyml import Model, Pipeline, step

    class Scaler:
        def twice(self, value):
            return 2 * value

    @step
    def work() -> Model:
        return Model(Scaler(), name="scaler")

    pipeline = Pipeline("scaled").add_step(work)
"""

RUNS = ONE + "    result = pipeline.run()\n    after = result.run_id\n"

RUNS_AS_SCRIPT = ONE + "    if __name__ == '__main__':\n        pipeline.run()\n"


@pytest.mark.parametrize(
    "target", ["one.py", "one.py:pipeline", "one:pipeline", "one", "production"]
)
def test_a_pipeline_is_found(target: str, project: Project, write_file: WriteFile) -> None:
    """File, file with attribute, module with attribute, module and name mean the same."""
    write_file("one.py", ONE)

    pipeline = find_pipeline(target, project)

    assert pipeline.name == "production"
    assert find_reference(pipeline.reference(project.folder) or "", project).name == "production"


def test_a_module_of_one_letter_is_found(project: Project, write_file: WriteFile) -> None:
    """It is no drive of another system."""
    write_file("k.py", ONE)

    assert find_pipeline("k:pipeline", project).name == "production"


def test_a_name_is_found_in_a_folder(project: Project, write_file: WriteFile) -> None:
    """The project's files and those of the folders in it are searched."""
    write_file("flows/one.py", ONE)

    pipeline = find_pipeline("production", project)

    assert pipeline.reference(project.folder) == "flows/one.py:pipeline"


def test_a_name_of_the_table_is_found(project: Project, write_file: WriteFile) -> None:
    """``pipelines:`` gives a pipeline a name of the command line."""
    write_file("deep/down/two.py", TWO)
    config = write_file("flowyml.yaml", "pipelines: { nightly: 'deep/down/two.py:serving' }\n")

    assert find_pipeline("nightly", Project(project.folder, config)).name == "serve it"


def test_a_name_that_matches_nothing_is_told_with_what_there_is(
    project: Project, write_file: WriteFile
) -> None:
    """The message has what was most likely meant."""
    write_file("one.py", ONE)

    with pytest.raises(PipelineError, match=r"'producton'.*did you mean 'production'\?"):
        find_pipeline("producton", project)


def test_two_pipelines_are_listed(project: Project, write_file: WriteFile) -> None:
    """A file with two says how to choose."""
    write_file("two.py", TWO)

    with pytest.raises(PipelineError, match="2 pipelines") as raised:
        find_pipeline("two.py", project)

    assert "two.py:training  ('train it')" in str(raised.value)
    assert "two.py:serving  ('serve it')" in str(raised.value)


def test_a_file_without_a_pipeline_is_told(project: Project, write_file: WriteFile) -> None:
    """The message says what to write."""
    write_file("none.py", "x = 1\n")

    with pytest.raises(PipelineError, match=r"no pipeline in none\.py; assign one"):
        find_pipeline("none.py", project)


def test_a_missing_attribute_is_told(project: Project, write_file: WriteFile) -> None:
    """A misspelt attribute names those that there are."""
    write_file("two.py", TWO)

    with pytest.raises(PipelineError, match=r"no 'servin' in two.py; did you mean 'serving'\?"):
        find_pipeline("two.py:servin", project)
    no_pipeline = r"'work' in two\.py is of the type Step, not a pipeline"
    with pytest.raises(PipelineError, match=no_pipeline):
        find_pipeline("two.py:work", project)


def test_a_missing_file_is_told(project: Project) -> None:
    """The whole path is shown."""
    with pytest.raises(PipelineError, match=r"there is no file .*nowhere\.py"):
        find_pipeline("nowhere.py", project)


def test_a_syntax_error_is_shown_at_its_line(project: Project, write_file: WriteFile) -> None:
    """The message has file, line, column and the line itself."""
    write_file("bad.py", "x = 1\ndef f(:\n    pass\n")

    with pytest.raises(PipelineError, match=r"bad\.py:2:7: invalid syntax\n    def f\(:\n"):
        find_pipeline("bad.py", project)


def test_what_a_file_raises_is_shown_at_its_line(project: Project, write_file: WriteFile) -> None:
    """The traceback begins in the file, and the file is not left half loaded."""
    write_file("bad.py", "import nowhere_to_be_found\n")

    with pytest.raises(PipelineError, match="it raised ModuleNotFoundError") as raised:
        find_pipeline("bad.py", project)

    assert 'bad.py", line 1' in str(raised.value)
    assert "importlib" not in str(raised.value)
    assert "bad" not in sys.modules


def test_looking_at_a_file_does_not_run_it(project: Project, write_file: WriteFile) -> None:
    """A module-level ``run()`` stops the file there when only the pipeline is wanted."""
    write_file("runs.py", RUNS)

    pipeline = find_pipeline("runs.py", project)

    assert pipeline.name == "production"
    assert not project.metadata_path.exists()
    assert not hasattr(sys.modules["runs"], "after")


@pytest.mark.parametrize("text", [ONE, RUNS, RUNS_AS_SCRIPT], ids=["plain", "runs", "script"])
def test_a_target_is_run_once(text: str, project: Project, write_file: WriteFile) -> None:
    """Whether the file calls ``run()`` or not, there is one run, with the given parameters."""
    write_file("flow.py", text)

    (result,) = run_target("flow.py", project, {"lr": 0.5})

    assert result.success
    assert result.outputs["work"] == 0.5
    assert len(list((project.state / "artifacts").glob("2*"))) == 1


def test_a_file_that_runs_twice_has_two_results(project: Project, write_file: WriteFile) -> None:
    """All runs of the file are told."""
    write_file("flow.py", RUNS + "    pipeline.run(parameters={'lr': 2})\n")

    results = run_target("flow.py", project)

    assert [result.outputs["work"] for result in results] == [0.01, 2]


def test_classes_of_the_file_are_found_again(project: Project, write_file: WriteFile) -> None:
    """A file becomes a module under its own name, so that pickles of its classes load."""
    write_file("one.py", ONE)
    find_pipeline("one.py", project)

    own = sys.modules["one"].Own

    assert pickle.loads(pickle.dumps(own())).__class__ is own


def test_a_file_named_like_a_module_of_python_stays_apart(
    project: Project, write_file: WriteFile
) -> None:
    """``statistics.py`` does not take the place of Python's own."""
    write_file("statistics.py", ONE)

    assert find_pipeline("statistics.py", project).name == "production"
    assert sys.modules["statistics"] is statistics


@pytest.mark.filterwarnings("ignore::flowyml.serialization.PickleWarning")
@pytest.mark.parametrize("name", ["test.py", "statistics.py"])
def test_what_such_a_file_defines_is_read_by_other_processes(
    name: str, project: Project, write_file: WriteFile
) -> None:
    """They would look for it in Python's own module, so it lies in the pickle."""
    write_file(name, SCALER)

    result = find_pipeline(name, project).run()

    result.raise_for_status()
    program = "import sys, flowyml; print(flowyml.load(sys.argv[1]).data.twice(4))"
    done = subprocess.run(
        [sys.executable, "-c", program, f"run:{result.run_id}/work"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("8", "")


def test_a_file_imports_its_neighbours(project: Project, write_file: WriteFile) -> None:
    """The file's folder is searched for modules, also when it is run from elsewhere."""
    write_file("flows/neighbour.py", "value = 7\n")
    write_file("flows/one.py", "import neighbour\n" + dedent(ONE))

    assert find_pipeline("flows/one.py", project).name == "production"


def test_a_file_that_was_changed_is_loaded_anew(project: Project, write_file: WriteFile) -> None:
    """The second load sees what the file says by then."""
    write_file("one.py", ONE)
    find_pipeline("one.py", project)
    write_file("one.py", ONE.replace("production", "another one"))

    assert find_pipeline("one.py", project).name == "another one"
