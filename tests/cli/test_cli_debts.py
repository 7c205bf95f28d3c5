"""What a run left undone is named, and what nobody can pay is let go by name, time and reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import Ask
from tests.metadata.metadata_samples import a_delivery, a_run

from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, RunStatus, StepStatus

TAKEN = """
import uuid
from flowyml import Model, Pipeline, step

@step(outputs=["model"])
def train() -> Model:
    return Model({"w": uuid.uuid4().hex}, name="fraud", version="1")

@step(outputs=["other"])
def train_other() -> Model:
    return Model({"w": uuid.uuid4().hex}, name="other", version="1")

pipeline = Pipeline("taken").add_step(train).add_step(train_other)
"""


@pytest.fixture
def owing(flowyml: Ask, project: Path) -> str:
    """Run a pipeline whose models have versions that are taken; give the run that owes."""
    (project / "flow.py").write_text(TAKEN)
    assert flowyml("run", "flow.py").code == 0
    assert flowyml("run", "flow.py").code == 3
    return str(flowyml("runs", "list", "-o", "json").objects[0]["run_id"])


def test_a_debt_that_nobody_can_pay_is_forgiven(flowyml: Ask, owing: str) -> None:
    """The run is done; the ledger has who, when, why and what the last attempt said."""
    answer = flowyml("runs", "forgive", owing, "--comment", "the first one is the good one")

    assert answer.code == 0
    assert "forgiven: train.model register_model (model_registry)\n" in answer.out
    assert answer.out.endswith(f"run {owing}: done\n")
    (run,) = flowyml("runs", "show", owing, "-o", "json").objects
    assert run["status"] == "done"
    forgiven = [each for each in run["deliveries"] if each["hook"] == "register_model"]
    for delivery in forgiven:
        assert delivery["status"] == "skipped"
        assert delivery["reason"].startswith("forgiven by ")
        assert delivery["reason"].endswith(" UTC: the first one is the good one")
        assert "is another model already" in delivery["error"]
    assert {step["status"] for step in run["steps"]} == {"done"}
    assert "forgiven by " in flowyml("runs", "show", owing).out
    assert flowyml("resume", owing).code == 0
    assert flowyml("resume", "--all").out == "No run is incomplete or was interrupted.\n"


def test_one_debt_of_several_is_forgiven(flowyml: Ask, owing: str) -> None:
    """The others stay owed, and so the run stays incomplete."""
    answer = flowyml("runs", "forgive", owing, "--comment", "x", "--delivery", "train.model")

    assert answer.code == 0
    assert answer.out.endswith(f"run {owing}: incomplete\n")
    assert "train_other.other" not in answer.out
    shown = flowyml("runs", "show", owing).out
    assert "train_other.other owes register_model" in shown
    assert f"`flowyml runs forgive {owing}`" in shown


def test_forgiving_wants_a_debt_and_a_reason(flowyml: Ask, owing: str) -> None:
    """Nothing is forgiven without one, twice, or by a name that owes nothing."""
    wrong = flowyml("runs", "forgive", owing, "--comment", "x", "--delivery", "train.modell")
    silent = flowyml("runs", "forgive", owing)
    blank = flowyml("runs", "forgive", owing, "--comment", " ")
    flowyml("runs", "forgive", owing, "--comment", "x")
    again = flowyml("runs", "forgive", owing, "--comment", "x")

    assert (wrong.code, silent.code, blank.code, again.code) == (2, 2, 2, 2)
    assert (
        f"the run {owing} owes nothing for train.modell (it owes: train.model, train_other.other)"
    ) in wrong.err
    assert again.err == f"Error: the run {owing} owes nothing\n"


def test_a_run_that_a_process_works_on_is_not_forgiven(
    flowyml: Ask, owing: str, metadata: MetadataStore
) -> None:
    """That process may be paying just now."""
    with Lease(metadata, owing):
        answer = flowyml("runs", "forgive", owing, "--comment", "x")

    assert answer.code == 1
    assert f"another process works on the run {owing}" in answer.err
    assert len(metadata.debts(owing)) == 2


def test_what_is_not_stored_is_not_forgiven(flowyml: Ask, metadata: MetadataStore) -> None:
    """It is no debt where its step has to run again."""
    metadata.add_run(a_run(status=RunStatus.FAILED))
    metadata.add_deliveries([a_delivery(hook="store_artifact", status=DeliveryStatus.FAILED)])

    answer = flowyml("runs", "forgive", "run-1", "--comment", "x")

    assert answer.code == 2
    assert "owes nothing" in answer.err
    assert len(metadata.debts("run-1")) == 1


def test_what_is_not_stored_is_forgiven_where_its_step_is_over(
    flowyml: Ask, metadata: MetadataStore
) -> None:
    """That step does not run again, so nobody else could end the debt."""
    metadata.add_run(a_run(status=RunStatus.INCOMPLETE))
    metadata.add_steps("run-1", ["train"])
    metadata.set_step_status("run-1", "train", StepStatus.DONE)
    owed = a_delivery(hook="store_artifact", step="train", status=DeliveryStatus.FAILED)
    metadata.add_deliveries([owed])

    answer = flowyml("runs", "forgive", "run-1", "--comment", "x")

    assert answer.code == 0
    assert answer.out.endswith("run run-1: done\n")
    assert metadata.debts("run-1") == []


def test_a_run_with_a_step_that_was_skipped_is_not_done_when_all_is_forgiven(
    flowyml: Ask, metadata: MetadataStore
) -> None:
    """What the step takes was stored only at the end of the run, and it still has to run."""
    metadata.add_run(a_run(status=RunStatus.INCOMPLETE))
    metadata.add_steps("run-1", ["train", "count"])
    metadata.set_step_status("run-1", "train", StepStatus.STORED)
    metadata.set_step_status("run-1", "count", StepStatus.SKIPPED)
    owed = a_delivery(hook="register_model", step="train", status=DeliveryStatus.FAILED)
    metadata.add_deliveries([owed])

    answer = flowyml("runs", "forgive", "run-1", "--comment", "x")

    assert answer.code == 0
    assert answer.out.endswith("run run-1: incomplete\n")
    assert [step.status for step in metadata.steps("run-1")] == ["done", "skipped"]
    assert "`flowyml resume run-1` runs count" in flowyml("runs", "show", "run-1").out
    assert [run["run_id"] for run in flowyml("resume", "-o", "json").objects] == ["run-1"]


def test_resume_without_a_run_names_those_that_can_go_on(
    flowyml: Ask, project: Path, owing: str
) -> None:
    """Id, pipeline, status and time, the newest first, and what to say; nothing is done."""
    (project / "fails.py").write_text(cli_pipelines.FAILS)
    flowyml("run", "fails.py")

    answer = flowyml("resume")
    listed = flowyml("resume", "-o", "json")

    assert (answer.code, listed.code) == (2, 2)
    assert [run["status"] for run in listed.objects] == ["failed", "incomplete"]
    heading, failed, incomplete = answer.out.splitlines()
    assert heading.split() == ["RUN", "PIPELINE", "STACK", "STATUS", "STARTED", "TIME"]
    assert failed.split()[1:4] == ["fails", "local", "failed"]
    assert incomplete.split()[:4] == [owing, "taken", "local", "incomplete"]
    assert "say which run: `flowyml resume RUN`, or --all" in answer.err


def test_resume_without_a_run_names_what_was_killed(flowyml: Ask, metadata: MetadataStore) -> None:
    """Not what a process works on."""
    for run_id in ("killed", "worked-on"):
        metadata.add_run(RunRecord(run_id, "p", "local", RunStatus.RUNNING, a_run().started_at))
    with Lease(metadata, "worked-on"):
        listed = flowyml("resume", "-o", "json").objects

    assert [(run["run_id"], run["worked_on"]) for run in listed] == [("killed", False)]


def test_a_killed_run_owes_nothing_and_is_resumed(flowyml: Ask, metadata: MetadataStore) -> None:
    """Whoever wants to forgive it hears which steps have not run, and which command runs them."""
    metadata.add_run(a_run())
    metadata.add_steps("run-1", ["load", "train"])
    metadata.set_step_status("run-1", "load", StepStatus.DONE)
    metadata.start_step("run-1", "train")
    metadata.add_deliveries([a_delivery(step="train")])

    answer = flowyml("runs", "forgive", "run-1", "--comment", "x")

    assert answer.code == 2
    assert answer.err == (
        "Error: the run run-1 owes nothing; `flowyml resume run-1` runs what has not run: train\n"
    )


def test_resume_without_a_run_and_without_anything_to_resume(flowyml: Ask) -> None:
    """It says so, and that it did nothing."""
    answer = flowyml("resume")

    assert answer.code == 2
    assert answer.out == "No run failed, is incomplete or was interrupted.\n"
    assert answer.err == "Error: nothing was resumed; there is nothing to resume\n"
