"""``flowyml runs`` tells what is written down about runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import Ask
from tests.metadata.metadata_samples import NOW, a_delivery, a_run, an_artifact

from flowyml.metadata.lease import Lease
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, RunStatus, StepStatus

KEYS = {
    "run_id",
    "pipeline",
    "stack",
    "status",
    "worked_on",
    "started_at",
    "finished_at",
    "seconds",
    "reference",
    "config",
    "parameters",
    "error",
}


@pytest.fixture
def history(metadata: MetadataStore) -> MetadataStore:
    """Give a history of one run that is done and one that owes a delivery."""
    metadata.add_run(a_run("20261124-first", status=RunStatus.DONE, finished_at=NOW))
    owing = a_run(
        "20261125-second",
        pipeline="churn",
        status=RunStatus.INCOMPLETE,
        started_at=NOW + timedelta(days=1),
        finished_at=NOW + timedelta(days=1, seconds=90),
        parameters={"lr": 0.01},
    )
    metadata.add_run(owing)
    metadata.add_steps("20261125-second", ["train"])
    metadata.start_step("20261125-second", "train")
    metadata.set_step_status("20261125-second", "train", StepStatus.STORED)
    metadata.add_artifact(an_artifact(run_id="20261125-second"), [])
    failed = a_delivery(
        run_id="20261125-second",
        hook="register_model",
        component="model_registry",
        status=DeliveryStatus.FAILED,
        attempts=3,
        error="the registry said 503",
    )
    metadata.add_deliveries([failed])
    return metadata


def test_nothing_ran_yet(flowyml: Ask, project: Path) -> None:
    """A list of nothing is an answer, and asking for it leaves nothing behind."""
    assert flowyml("runs", "list").out == "No runs yet.\n"
    assert flowyml("runs", "list", "-o", "json").objects == []
    assert list(project.iterdir()) == []


@pytest.mark.usefixtures("history")
def test_runs_are_listed_the_newest_first(flowyml: Ask) -> None:
    """JSON has the documented keys, and the run that started last comes first."""
    listed = flowyml("runs", "list", "-o", "json").objects

    assert [run["run_id"] for run in listed] == ["20261125-second", "20261124-first"]
    assert all(set(run) == KEYS for run in listed)
    assert listed[0]["status"] == "incomplete"
    assert listed[0]["seconds"] == 90.0
    assert listed[0]["parameters"] == {"lr": 0.01}
    assert listed[0]["started_at"] == "2026-11-25T10:34:45.123456+00:00"


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--pipeline", "churn"], ["20261125-second"]),
        (["--status", "done"], ["20261124-first"]),
        (["--status", "failed"], []),
        (["-n", "1"], ["20261125-second"]),
        (["-n", "0"], ["20261125-second", "20261124-first"]),
    ],
)
def test_a_list_can_be_narrowed(flowyml: Ask, options: list[str], found: list[str]) -> None:
    """By pipeline, by status, by count."""
    listed = flowyml("runs", "list", *options, "-o", "json").objects

    assert [run["run_id"] for run in listed] == found


@pytest.mark.usefixtures("history")
def test_a_table_has_a_line_for_each_run(flowyml: Ask) -> None:
    """Columns are aligned below their headings."""
    heading, second, first = flowyml("runs", "list").out.splitlines()

    assert heading.split() == ["RUN", "PIPELINE", "STACK", "STATUS", "STARTED", "TIME"]
    assert second.startswith("20261125-second  churn     local  incomplete  ")
    assert second.endswith("1 min 30 s")
    assert first.index("fraud") == second.index("churn") == heading.index("PIPELINE")


def test_a_run_whose_process_was_killed_is_told_from_one_that_goes_on(
    flowyml: Ask, metadata: MetadataStore
) -> None:
    """Its status stays, for looking writes nothing; a remark says that nobody works on it."""
    for run_id in ("done", "killed", "goes-on"):
        status = RunStatus.DONE if run_id == "done" else RunStatus.RUNNING
        metadata.add_run(a_run(run_id, status=status))
        metadata.add_steps(run_id, ["train"])
        metadata.start_step(run_id, "train")
    with Lease(metadata, "goes-on"):
        listed = flowyml("runs", "list", "--status", "running", "-o", "json").objects
        table = flowyml("runs", "list").out
        killed, going = (flowyml("runs", "show", run).out for run in ("killed", "goes-on"))

    found = {run["run_id"]: (run["status"], run["worked_on"]) for run in listed}
    assert found == {"goes-on": ("running", True), "killed": ("running", False)}
    assert [line.split()[0] for line in table.splitlines() if "nobody" in line] == ["killed"]
    assert "status    running (nobody works on it)\n" in killed
    assert killed.endswith("`flowyml resume killed` runs train\n")
    assert "status    running\n" in going
    assert "resume" not in going


@pytest.mark.usefixtures("history")
def test_a_run_is_shown_with_all_that_belongs_to_it(flowyml: Ask) -> None:
    """The beginning of its id names it; steps, artifacts and deliveries come with it."""
    (run,) = flowyml("runs", "show", "20261125", "-o", "json").objects

    assert set(run) == KEYS | {"steps", "artifacts", "deliveries"}
    assert [(step["name"], step["status"]) for step in run["steps"]] == [("train", "stored")]
    assert [artifact["name"] for artifact in run["artifacts"]] == ["model"]
    (delivery,) = run["deliveries"]
    assert delivery["attempts"] == 3
    assert delivery["error"] == "the registry said 503"


def test_what_a_step_yields_has_one_name_where_it_is_shown_and_where_it_is_forgiven(
    flowyml: Ask, metadata: MetadataStore
) -> None:
    """The step stands in it once."""
    metadata.add_run(a_run(status=RunStatus.INCOMPLETE))
    owed = a_delivery(output="train.yielded", hook="log_metrics", status=DeliveryStatus.FAILED)
    metadata.add_deliveries([owed])

    shown = flowyml("runs", "show", "run-1").out
    forgiven = flowyml("runs", "forgive", "run-1", "--comment", "x", "--delivery", "train.yielded")

    assert "\ntrain.yielded " in shown
    assert "train.train" not in shown
    assert forgiven.out.startswith("forgiven: train.yielded log_metrics")


@pytest.mark.usefixtures("history")
def test_what_is_owed_is_shown_with_the_way_to_pay(flowyml: Ask) -> None:
    """The last error of each delivery, and the command that tries it again."""
    shown = flowyml("runs", "show", "20261125-second").out

    assert "register_model" in shown
    assert "the registry said 503" in shown
    assert "`flowyml resume 20261125-second`" in shown
    assert "parameters  lr=0.01" in shown


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("run", "says"),
    [
        ("2026112", "is ambiguous"),
        ("20261125-secnod", "did you mean '20261125-second'"),
        ("nothing", "`flowyml runs list` shows the newest"),
    ],
)
def test_a_run_that_is_not_meant_clearly_is_an_error(flowyml: Ask, run: str, says: str) -> None:
    """The message says what could be meant; the exit code is that of bad usage."""
    answer = flowyml("runs", "show", run)

    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("Error: ")
    assert says in answer.err
    assert "Traceback" not in answer.err


def test_a_run_where_nothing_ran(flowyml: Ask) -> None:
    """The message names the folder and the command that starts a run."""
    answer = flowyml("runs", "show", "x")

    assert answer.code == 2
    assert "nothing was run in" in answer.err
    assert "`flowyml run`" in answer.err
