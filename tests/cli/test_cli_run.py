"""``flowyml run`` runs a pipeline and says where everything went."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import START, Ask, Install
from tests.metadata.metadata_samples import NOW, a_run

from flowyml.metadata.store import MetadataStore
from flowyml.records import RunStatus


@pytest.fixture
def pipeline(project: Path) -> Path:
    """Give a project with one pipeline file."""
    path = project / "pipeline.py"
    path.write_text(cli_pipelines.MAIN)
    return path


@pytest.mark.usefixtures("pipeline")
def test_a_run_says_for_each_output_where_it_went(command: Ask, project: Path) -> None:
    """Stored where, registered under which name and version."""
    answer = command("run", "pipeline.py")

    assert answer.code == 0
    assert answer.err == ""
    folder = project.resolve() / ".flowyml" / "artifacts"
    (run,) = folder.glob("[!.]*")
    assert f"train.model  Model mean@1.0.0\n  stored      file://{run}/model\n" in answer.out
    assert "registered  mean@1.0.0 (model_registry)" in answer.out
    assert "load_data.data  Dataset numbers\n" in answer.out
    assert f"report.report  dict\n  stored      file://{run}/report\n" in answer.out
    assert answer.out.splitlines()[-1].startswith(f"run {run.name}: done in ")
    assert (run / "model" / "artifact.json").is_file()


@pytest.mark.usefixtures("pipeline")
def test_a_pipe_gets_plain_lines(command: Ask) -> None:
    """Each step's begin and end is a line; nothing moves a cursor, has a colour or a box."""
    out = command("run", "pipeline.py", FORCE_COLOR="1").out

    assert "train: running\n" in out
    assert "train: done after " in out
    assert "the mean is 1.0\n" in out
    assert out.isascii()
    assert "\x1b" not in out


@pytest.mark.usefixtures("pipeline")
def test_a_terminal_gets_a_live_view(terminal: Ask) -> None:
    """The steps are drawn where they are, what a step prints stays above, the summary follows."""
    answer = terminal("run", "pipeline.py")

    assert answer.code == 0
    assert "\x1b[" in answer.out
    assert "the mean is 1.0" in answer.out
    assert "train: running" not in answer.out
    assert "done" in answer.out
    assert "mean@1.0.0" in answer.out


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize("target", ["pipeline.py:pipeline", "pipeline:pipeline", "numbers"])
def test_a_pipeline_is_found_in_many_ways(flowyml: Ask, target: str) -> None:
    """By file, by module, by its name."""
    assert flowyml("run", target).code == 0


@pytest.mark.usefixtures("pipeline")
def test_parameters_reach_the_steps(flowyml: Ask) -> None:
    """They are recorded with the run as what YAML makes of them."""
    (run,) = flowyml("run", "pipeline.py", "--param", "rows=5", "-o", "json").objects

    assert run["status"] == "done"
    assert run["parameters"] == {"rows": 5}
    assert flowyml("run", "pipeline.py", "-p", "rosw=5").err.count("did you mean 'rows'?") == 1


@pytest.mark.usefixtures("pipeline")
def test_json_has_the_standard_output_for_itself(command: Ask) -> None:
    """What steps print goes to the standard error stream, with the progress."""
    answer = command("run", "pipeline.py", "-o", "json")

    (run,) = answer.objects
    assert [step["name"] for step in run["steps"]] == ["load_data", "train", "evaluate", "report"]
    assert "the mean is 1.0\n" in answer.err
    assert "train: running\n" in answer.err


def test_a_file_that_runs_itself_runs_once(flowyml: Ask, project: Path) -> None:
    """Under the stack and with the parameters of the command line."""
    (project / "pipeline.py").write_text(cli_pipelines.IN_PLACE)
    (project / "flowyml.yaml").write_text(cli_pipelines.STACKS)

    answer = flowyml("run", "pipeline.py", "--stack", "second", "--param", "rows=7")

    assert answer.code == 0
    (run,) = flowyml("runs", "list", "-o", "json").objects
    assert (run["stack"], run["parameters"]) == ("second", {"rows": 7})
    assert len(list((project / "second").glob("[!.]*"))) == 1


@pytest.mark.usefixtures("pipeline")
def test_a_name_of_the_configuration(flowyml: Ask, project: Path) -> None:
    """The table ``pipelines`` gives names; the active stack says where things go."""
    (project / "flowyml.yaml").write_text(cli_pipelines.STACKS)

    assert flowyml("run", "daily").code == 0
    assert (project / "first").is_dir()


def test_a_step_that_raises_fails_the_run(flowyml: Ask, project: Path) -> None:
    """Exit code 1; the traceback shows the user's line and none of ours."""
    (project / "pipeline.py").write_text(cli_pipelines.FAILS)

    answer = flowyml("run", "pipeline.py")

    assert answer.code == 1
    assert answer.err.startswith("Error: step 'second' raised KeyError: 'missing'\n")
    assert 'return {}["missing"]' in answer.err
    assert "flowyml/pipelines" not in answer.err
    assert "`flowyml resume " in answer.out.splitlines()[-1]


UNNAMED = """\
import warnings
from flowyml import Pipeline, step


class Line:
    pass


@step
def fit() -> Line:
    warnings.warn("this is the user's own", stacklevel=1)
    return Line()


pipeline = Pipeline("unnamed").add_step(fit)
"""


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_what_the_program_warns_of_is_a_line(command: Ask, project: Path, executor: str) -> None:
    """Without a place in our source; a warning of the user's code keeps its place."""
    (project / "pipeline.py").write_text(UNNAMED)
    orchestrator = f"{{ type: local, executor: {executor} }}"
    (project / "flowyml.yaml").write_text(f"plugins: {{ orchestrator: {orchestrator} }}\n")

    answer = command("run", "pipeline.py")

    assert answer.code == 0, answer.err
    told = answer.err.splitlines()
    warned = "Warning: step 'fit', output 'fit': a pipeline.Line is stored with cloudpickle"
    assert any(line.startswith(warned) for line in told)
    assert "storing.py" not in answer.err
    assert "pipeline.py:11: UserWarning: this is the user's own" in answer.err


def test_a_run_with_nothing_to_do_takes_no_time(flowyml: Ask, project: Path) -> None:
    """The time that is told is that of steps and deliveries, not of imports."""
    (project / "pipeline.py").write_text(cli_pipelines.MAIN)
    flowyml("run", "pipeline.py")
    (run,) = flowyml("runs", "list", "-o", "json").objects

    answer = flowyml("resume", run["run_id"])

    assert answer.out.splitlines()[-1] == f"run {run['run_id']}: done"


MOODY = """\
from pathlib import Path
from attrs import define
from flowyml.errors import DeliveryError
from flowyml.plugins import ExperimentTracker, hookimpl
from flowyml.records import LoggedRun


@define(slots=False)
class Tracker(ExperimentTracker):
    @hookimpl
    def log_metrics(self, metrics, context):
        if not Path("calm").exists():
            raise DeliveryError("the tracker is closed today")
        return LoggedRun("there")

    @hookimpl
    def log_parameters(self, parameters, context):
        return LoggedRun("there")
"""


def test_a_run_with_debts_is_incomplete(flowyml: Ask, project: Path, install: Install) -> None:
    """Exit code 3; what is owed is named, and resuming pays it."""
    install("moody", {"moody": MOODY}, "[flowyml.experiment_tracker]\nmoody = moody:Tracker\n")
    (project / "pipeline.py").write_text(cli_pipelines.MAIN)
    (project / "flowyml.yaml").write_text("stacks:\n  a:\n    experiment_tracker: {type: moody}\n")

    ran = flowyml("run", "pipeline.py")
    (run,) = flowyml("runs", "list", "--status", "incomplete", "-o", "json").objects
    still = flowyml("resume", run["run_id"])
    (project / "calm").touch()
    paid = flowyml("resume", "--all")

    assert (ran.code, still.code, paid.code) == (3, 3, 0)
    assert "owed        log_metrics (experiment_tracker): the tracker is closed today\n" in ran.out
    assert ran.out.endswith(
        f"`flowyml resume {run['run_id']}` tries again, when what it says above is put right\n"
    )
    assert "logged      there (experiment_tracker)\n" in paid.out


LOCKED = """\
import threading
from pathlib import Path
from flowyml import Pipeline, step
from flowyml.core import Dataset


@step(outputs=["lock"])
def make():
    return 1 if Path("calm").exists() else Dataset(threading.Lock(), format="json")


pipeline = Pipeline("locked").add_step(make)
"""


def test_a_value_that_cannot_be_stored_fails_the_run(flowyml: Ask, project: Path) -> None:
    """Exit code 1; `runs show` says what became of the step, and resuming runs it again."""
    (project / "pipeline.py").write_text(LOCKED)

    ran = flowyml("run", "pipeline.py")
    (run,) = flowyml("runs", "list", "--status", "failed", "-o", "json").objects
    shown = flowyml("runs", "show", run["run_id"]).out
    (project / "calm").touch()
    resumed = flowyml("resume", run["run_id"])

    assert (ran.code, resumed.code) == (1, 0)
    wanted = "step 'make', output 'lock': a _thread.lock cannot be stored as 'json'"
    assert f"Error: {wanted}" in ran.err
    assert "  not stored  a _thread.lock cannot be stored" in ran.out
    assert "make  failed" in shown
    assert f"make  {wanted}" in shown
    assert "failed  1         not stored" in shown
    assert f"`flowyml resume {run['run_id']}` runs make, once it can go through" in shown
    assert "owe" not in ran.out + shown


def test_an_interrupted_run_can_be_resumed(command: Ask, project: Path) -> None:
    """Ctrl-C ends it with 130; what was stored is not made again."""
    (project / "pipeline.py").write_text(cli_pipelines.INTERRUPTED)
    interrupted = command("run", "pipeline.py")
    (run,) = command("runs", "list", "-o", "json").objects
    (project / "calm").touch()

    resumed = command("resume", run["run_id"], "-o", "json")

    assert interrupted.code == 130
    assert "Traceback" not in interrupted.err
    assert f"`flowyml resume {run['run_id']}` goes on with it" in interrupted.err
    assert run["status"] == "interrupted"
    assert resumed.code == 0
    (after,) = resumed.objects
    assert after["status"] == "done"
    assert [step["attempts"] for step in after["steps"]] == [1, 2]


def test_all_that_was_interrupted_is_resumed(command: Ask, project: Path) -> None:
    """One command goes on with every run that can go on by itself."""
    (project / "pipeline.py").write_text(cli_pipelines.INTERRUPTED)
    command("run", "pipeline.py")
    command("run", "pipeline.py")
    (project / "calm").touch()

    assert command("resume", "--all").code == 0
    runs = command("runs", "list", "-o", "json").objects
    assert [run["status"] for run in runs] == ["done", "done"]
    assert "No run is incomplete" in command("resume", "--all").out


SECRETIVE = """\
from flowyml import Pipeline, context, secret, step


@step
def sign_in(token: str) -> str:
    if token != "right":
        raise ValueError("the door stays shut")
    return "inside"


pipeline = Pipeline("door", context=context(token=secret("wrong")))
pipeline.add_step(sign_in)
"""


def test_a_secret_is_given_again(flowyml: Ask, project: Path) -> None:
    """It is in no record and in no output, so whoever resumes the run brings it."""
    (project / "pipeline.py").write_text(SECRETIVE)
    failed = flowyml("run", "pipeline.py", "-p", "token=hunter2")
    (run,) = flowyml("runs", "list", "-o", "json").objects

    resumed = flowyml("resume", run["run_id"], "-p", "token=right")

    assert (failed.code, resumed.code) == (1, 0)
    shown = flowyml("runs", "show", run["run_id"], "-o", "json").out
    assert "hunter2" not in failed.out + failed.err + shown
    assert not [
        path for path in project.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()
    ]


def test_a_run_that_goes_on_is_left_alone(flowyml: Ask, metadata: MetadataStore) -> None:
    """Another process holds it; that is no error."""
    metadata.add_run(a_run(status=RunStatus.RUNNING))
    metadata.acquire_lease("run-1", "somebody else", 60)

    answer = flowyml("resume", "--all")

    assert (answer.code, answer.err) == (0, "")
    assert "No run is incomplete" in answer.out
    assert metadata.run("run-1").status is RunStatus.RUNNING


def test_one_that_cannot_be_resumed_keeps_no_other_from_it(
    command: Ask, metadata: MetadataStore, project: Path
) -> None:
    """It is named, and the exit code is its error's."""
    metadata.add_run(a_run(status=RunStatus.INTERRUPTED, started_at=NOW - timedelta(days=900)))
    metadata.add_steps("run-1", ["train"])
    (project / "pipeline.py").write_text(cli_pipelines.INTERRUPTED)
    command("run", "pipeline.py")
    (project / "calm").touch()

    answer = command("resume", "--all")

    assert answer.code == 2
    assert answer.err.startswith("Error: run run-1: ")
    assert [run.status for run in metadata.runs(pipeline="interrupted")] == [RunStatus.DONE]


@pytest.mark.parametrize(
    "arguments", [[], ["20261125", "--all"], ["--all", "--param", "token=right"]]
)
def test_resume_wants_one_or_all(flowyml: Ask, arguments: list[str]) -> None:
    """Neither and both are bad usage."""
    assert flowyml("resume", *arguments).code == 2


@pytest.mark.usefixtures("pipeline")
def test_a_run_outlives_the_reader_of_its_output(project: Path) -> None:
    """``flowyml run ... | head -1`` runs to its end and complains about nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, "run", "pipeline.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=project,
        env=dict(os.environ),
    )
    assert process.stdout
    process.stdout.close()
    _, complaints = process.communicate(timeout=100)

    assert complaints == b""
    assert process.returncode == 0
    with MetadataStore.open(project / ".flowyml" / "metadata.db") as metadata:
        assert [run.status for run in metadata.runs()] == [RunStatus.DONE]


def test_a_run_outlives_a_full_disk_behind_its_output(pipeline: Path, project: Path) -> None:
    """The run is done; that its end could not be told is an error in one line."""
    pipeline.write_text(cli_pipelines.MAIN.replace('print("the mean is"', 'print and ("the mean"'))
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", START, "run", "pipeline.py"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=project,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            text=True,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr == "Error: the standard output cannot be written: No space left on device\n"
    with MetadataStore.open(project / ".flowyml" / "metadata.db") as metadata:
        assert [run.status for run in metadata.runs()] == [RunStatus.DONE]


def test_a_pipeline_in_a_step_is_seen_as_well(terminal: Ask, project: Path) -> None:
    """Its steps join the view of the outer run, which goes on."""
    (project / "pipeline.py").write_text(
        "from flowyml import Pipeline, step\n\n"
        "@step\ndef inner() -> int:\n    return 1\n\n"
        "within = Pipeline('within')\nwithin.add_step(inner)\n\n"
        "@step\ndef outer() -> int:\n    return within.run().outputs['inner']\n\n"
        "around = Pipeline('around')\naround.add_step(outer)\n"
    )

    answer = terminal("run", "pipeline.py:around")

    assert answer.code == 0, answer
    assert "inner" in answer.out
    assert answer.out.rstrip().splitlines()[-1].count("done in") == 1


@pytest.mark.usefixtures("pipeline")
def test_a_plan_runs_nothing(flowyml: Ask, project: Path) -> None:
    """It says for each output where it would go and which hooks would get it."""
    answer = flowyml("plan", "pipeline.py", "-o", "json")

    (plan,) = answer.objects
    assert answer.code == 0
    assert plan["status"] == "ok"
    assert [output["output"] for output in plan["outputs"]] == [
        "data",
        "model",
        "metrics",
        "report",
    ]
    model = plan["outputs"][1]
    assert model["uri"].endswith("/.flowyml/artifacts/{run_id}/model")
    assert [each["action"] for each in model["deliveries"]] == ["deliver", "deliver", "skip"]
    assert not (project / ".flowyml" / "metadata.db").exists()


def test_a_plan_takes_the_parameters_of_the_run(flowyml: Ask, project: Path) -> None:
    """As `run` does, and refuses what no step takes."""
    (project / "pipeline.py").write_text(
        "from flowyml import Pipeline, step\n\n@step\ndef fit(lr: float) -> float:\n"
        "    return lr\n\npipeline = Pipeline('fitting').add_step(fit)\n"
    )

    unset = flowyml("plan", "pipeline.py")
    given = flowyml("plan", "pipeline.py", "--param", "lr=0.1")
    misspelt = flowyml("plan", "pipeline.py", "-p", "lr=0.1", "-p", "lrr=0.1")

    assert (unset.code, given.code, misspelt.code) == (2, 0, 2)
    assert "fit.fit" in given.out
    assert "did you mean 'lr'" in misspelt.err


def test_a_plan_without_outputs_has_no_empty_table(flowyml: Ask, project: Path) -> None:
    """The error is all that there is to tell."""
    (project / "pipeline.py").write_text(
        "from flowyml import Pipeline, step\n\n@step\ndef one() -> int:\n    return 1\n\n"
        "pipeline = Pipeline('short').add_step(one)\n"
    )
    (project / "flowyml.yaml").write_text(
        "stacks: { here: { artifact_routing: { default: { format: yaml } } } }"
    )

    answer = flowyml("plan", "pipeline.py")

    assert answer.code == 2
    assert "OUTPUT" not in answer.out
    assert "there is no format 'yaml'" in answer.err


@pytest.mark.usefixtures("pipeline")
def test_a_plan_with_errors_is_refused(flowyml: Ask, project: Path) -> None:
    """Two outputs at one path: exit code 2, both are named."""
    (project / "flowyml.yaml").write_text(
        "stacks:\n  one:\n    artifact_store: { type: local }\n"
        "    artifact_routing:\n      default: { path: '{run_id}/same' }\n"
    )

    answer = flowyml("plan", "pipeline.py")

    assert answer.code == 2
    assert "Error: " in answer.err
    assert "train.model" in answer.err
