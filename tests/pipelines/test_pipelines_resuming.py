"""A run that was interrupted or killed goes on where it was, once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.pipelines.conftest import WriteFile

from flowyml import Pipeline, secret, step
from flowyml.errors import MetadataError, PipelineError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.resume import resume
from flowyml.records import RunStatus, StepStatus
from flowyml.stacks.project import Project

FLOW = """
    import os
    import sys
    import threading
    from pathlib import Path

    from flowyml import Pipeline, context, step

    @step
    def first(number: int) -> int:
        with Path("calls").open("a") as calls:
            calls.write("first ")
        return number

    @step
    def second(first: int) -> int:
        if not Path("go").exists():
            print("here", flush=True)
            threading.Event().wait(60)
        return first + 1

    @step
    def third(second: int, first: int) -> int:
        return second + first

    pipeline = Pipeline("long", context=context(number=1))
    for each in (first, second, third):
        pipeline.add_step(each)

    if __name__ == "__main__":
        pipeline.run(parameters={"number": 20})
"""


@pytest.fixture
def running(project: Project, write_file: WriteFile) -> Iterator[subprocess.Popen[str]]:
    """Start a process whose run waits in its second step."""
    write_file("flow.py", FLOW)
    with ExitStack() as cleanup:
        process = cleanup.enter_context(
            subprocess.Popen(
                [sys.executable, "flow.py"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=project.folder,
            )
        )
        cleanup.callback(process.kill)
        assert process.stdout
        assert process.stdout.readline() == "here\n", process.communicate()[1]
        yield process


def only_run(metadata: MetadataStore) -> RunRecord:
    """Return the one run that there is."""
    (record,) = metadata.runs()
    return record


def test_an_interrupted_run_goes_on(
    running: subprocess.Popen[str], metadata: MetadataStore, project: Project
) -> None:
    """Ctrl-C leaves the run as interrupted; resumed, it does not run again what is stored."""
    running.send_signal(signal.SIGINT)
    _, said = running.communicate()
    record = only_run(metadata)
    assert record.status is RunStatus.INTERRUPTED
    assert "KeyboardInterrupt" in said
    assert record.reference == "flow.py:pipeline"

    (project.folder / "go").touch()
    result = resume(record.run_id)

    assert result.success
    assert result.run_id == record.run_id
    assert result.outputs["third"] == 41
    assert (project.folder / "calls").read_text() == "first "


def test_a_killed_run_goes_on_at_once(
    running: subprocess.Popen[str], metadata: MetadataStore, project: Project
) -> None:
    """The hold that a killed process had on its run ends with it."""
    running.kill()
    running.communicate()
    record = only_run(metadata)
    assert record.status is RunStatus.RUNNING

    (project.folder / "go").touch()

    assert resume(record.run_id).outputs["third"] == 41
    assert (project.folder / "calls").read_text() == "first "


@pytest.mark.usefixtures("running")
def test_a_run_that_goes_on_elsewhere_is_refused(metadata: MetadataStore) -> None:
    """While its process lives, nobody else works on the run."""
    with pytest.raises(PipelineError, match="another process works on the run"):
        resume(only_run(metadata).run_id)


def test_a_finished_run_is_left_as_it_is(project: Project, write_file: WriteFile) -> None:
    """Resuming what is done runs nothing."""
    write_file("flow.py", FLOW)
    write_file("go", "")
    done = find_pipeline("flow.py", project).run()

    again = resume(done.run_id)

    assert again.success
    assert again.outputs["third"] == 3
    assert (project.folder / "calls").read_text() == "first "


def test_a_failed_step_runs_again(project: Project, write_file: WriteFile) -> None:
    """What was skipped behind it runs as well."""
    write_file("flow.py", FLOW.replace("return first + 1", "return {}[first]"))
    write_file("go", "")
    failed = find_pipeline("flow.py", project).run()
    assert failed.status is RunStatus.FAILED
    write_file("flow.py", FLOW)

    result = resume(failed.run_id)

    assert result.success
    assert [(each.name, each.status) for each in result.steps] == [
        ("first", StepStatus.DONE),
        ("second", StepStatus.DONE),
        ("third", StepStatus.DONE),
    ]
    assert (project.folder / "calls").read_text() == "first "


@pytest.mark.usefixtures("project")
def test_a_pipeline_in_memory_is_resumed_where_it_lives() -> None:
    """Without a file the pipeline itself has to be given."""
    broken = [True]

    @step
    def work() -> int:
        if broken:
            message = "not yet"
            raise ValueError(message)
        return 1

    pipeline = Pipeline("memory").add_step(work)
    failed = pipeline.run()
    broken.clear()

    with pytest.raises(PipelineError, match="lived only in memory"):
        resume(failed.run_id)
    assert resume(failed.run_id, pipeline=pipeline).outputs["work"] == 1


def test_a_lease_keeps_others_out(metadata: MetadataStore) -> None:
    """A second holder is refused, and not after the first is gone."""
    with Lease(metadata, "run-1"), pytest.raises(PipelineError, match="another process works"):
        Lease(metadata, "run-1").__enter__()

    with Lease(metadata, "run-1") as lease:
        assert not lease.is_lost
        assert Lease(metadata, "run-1").is_taken
    assert not Lease(metadata, "run-1").is_taken


def test_a_lease_of_a_dead_process_is_taken(metadata: MetadataStore) -> None:
    """Only one whose process runs on this machine and has ended is taken before its time."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    mine = Lease(metadata, "run-1").owner
    dead = mine.replace(f" {os.getpid()} ", f" {process.pid} ")
    metadata.acquire_lease("run-1", dead, 60)
    metadata.acquire_lease("run-2", "elsewhere 1 abc", 60)
    metadata.acquire_lease("run-3", "elsewhere 1 abc", -1)
    assert [Lease(metadata, f"run-{n}").is_taken for n in (1, 2, 3)] == [False, True, False]

    with Lease(metadata, "run-1"):
        assert metadata.lease_owner("run-1") != dead
    with pytest.raises(PipelineError, match="another process works"):
        Lease(metadata, "run-2").__enter__()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells")
def test_a_lease_of_a_process_that_nobody_asked_after_is_taken(metadata: MetadataStore) -> None:
    """In a container without an init process what was killed keeps its number for ever."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    dead = Lease(metadata, "run-1").owner.replace(f" {os.getpid()} ", f" {process.pid} ")
    metadata.acquire_lease("run-1", dead, 60)

    with Lease(metadata, "run-1"):
        assert metadata.lease_owner("run-1") != dead
    process.wait()


def test_a_lease_is_renewed_and_its_loss_is_noticed(metadata: MetadataStore) -> None:
    """When somebody else has the run, its former holder knows."""
    with Lease(metadata, "run-1", seconds=0.1) as lease:
        metadata.release_lease("run-1", lease.owner)
        metadata.acquire_lease("run-1", "somebody else", 60)
        assert lease._lost.wait(30)
        assert lease.is_lost


TUNED = """
    from flowyml import Pipeline, context, step

    @step
    def rows(lr: float, api_key: str = "") -> list[float]:
        return [lr]

    @step
    def fit(rows: list[float], lr: float, layers: int = 2) -> float:
        if lr > 1:
            raise ValueError("diverged")
        return lr

    pipeline = Pipeline("tuned", context=context(lr=10.0)).add_step(rows).add_step(fit)
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": 0.1}, r"has lr=10.0.*`flowyml run flow.py:pipeline --param lr=0.1`"),
        ({"lr": "zz"}, r"has lr=10.0"),
        ({"lr": secret(0.1)}, r"has lr=10.0.*lr=\*\*\*"),
        ({"layers": 3}, r"left 'layers' to the default of step 'fit'.*--param layers=3"),
        ({"layers": "three"}, r"step 'fit' takes 'layers' as int, and this run gives it str"),
        ({"lrr": 3}, r"no step of 'tuned' takes the parameter 'lrr'; did you mean 'lr'"),
    ],
)
def test_what_a_run_was_given_stays_as_it_was(
    given: dict[str, object], said: str, write_file: WriteFile, project: Project
) -> None:
    """Resumed with other values its record would lie; nothing runs then."""
    write_file("flow.py", TUNED)
    failed = find_pipeline("flow.py", project).run()

    with pytest.raises(PipelineError, match=said):
        resume(failed.run_id, parameters=given)

    with MetadataStore.open(project.metadata_path) as metadata:
        assert metadata.run(failed.run_id).status is RunStatus.FAILED
        assert [step.attempts for step in metadata.steps(failed.run_id)] == [1, 1]


def test_what_a_run_was_given_may_be_said_again(write_file: WriteFile, project: Project) -> None:
    """The same value changes nothing, and a secret is in no record that could be wrong."""
    write_file("flow.py", TUNED)
    failed = find_pipeline("flow.py", project).run()
    write_file("flow.py", TUNED.replace("lr > 1", "lr < 1"))
    sys.modules.pop("flow", None)

    went_on = resume(failed.run_id, parameters={"lr": 10, "api_key": "k-1"})

    assert went_on.success
    with MetadataStore.open(project.metadata_path) as metadata:
        assert metadata.run(failed.run_id).parameters == {"lr": 10.0}


def test_a_run_whose_inputs_were_collected_cannot_go_on(
    write_file: WriteFile, project: Project
) -> None:
    """Nothing runs for it, and the error says what made room, and how to begin anew."""
    write_file("flow.py", TUNED)
    failed = find_pipeline("flow.py", project).run(parameters={"lr": 20.0})
    with MetadataStore.open(project.metadata_path) as metadata:
        (rows,) = metadata.artifacts(run_id=failed.run_id)
        metadata.collect_artifact(rows.uri)

    said = (
        r"cannot go on: step 'fit' takes 'rows', which `flowyml artifact gc` collected on "
        r".* UTC; begin a new run with `flowyml run flow.py:pipeline --param lr=20.0`"
    )
    with pytest.raises(PipelineError, match=said):
        resume(failed.run_id)

    with MetadataStore.open(project.metadata_path) as metadata:
        assert [step.attempts for step in metadata.steps(failed.run_id)] == [1, 1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            TUNED.replace("fit", "fitted"),
            r"'tuned' has no step 'fit' any more, .*; write @step\(name='fit'\) .*, or begin a new",
        ),
        (
            TUNED.replace("@step\n    def rows", "@step(outputs=['rows', 'seed'])\n    def rows")
            .replace(") -> list[float]:\n        return [lr]", "):\n        return [lr], 1")
            .replace("lr: float, layers", "seed: int, lr: float, layers"),
            r"step 'fit' takes 'seed', which step 'rows' did not return when it ran; begin a new",
        ),
    ],
    ids=["step", "output"],
)
def test_a_run_of_a_pipeline_that_is_another_by_now_cannot_go_on(
    changed: str, said: str, write_file: WriteFile, project: Project
) -> None:
    """It would be said to be done without a step of its, or fail in the middle; nothing runs."""
    write_file("flow.py", TUNED)
    failed = find_pipeline("flow.py", project).run()
    write_file("flow.py", changed)
    sys.modules.pop("flow", None)

    with pytest.raises(PipelineError, match=rf"cannot go on: .*{said}"):
        resume(failed.run_id)

    with MetadataStore.open(project.metadata_path) as metadata:
        assert metadata.run(failed.run_id).status is RunStatus.FAILED
        assert [step.attempts for step in metadata.steps(failed.run_id)] == [1, 1]


def test_a_run_whose_steps_are_lost_is_not_done(write_file: WriteFile, project: Project) -> None:
    """SQLite may miss that a part of its file is damaged."""
    write_file("flow.py", TUNED)
    failed = find_pipeline("flow.py", project).run()
    with closing(sqlite3.connect(project.metadata_path)) as database, database:
        database.execute("DELETE FROM steps")

    with pytest.raises(MetadataError, match=rf"the steps of the run {failed.run_id} are lost"):
        resume(failed.run_id)
