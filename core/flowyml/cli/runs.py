"""``flowyml runs``: what ran, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from flowyml.cli import columns
from flowyml.cli.cells import Column, Object
from flowyml.cli.options import Output, configured, limited, output_format
from flowyml.cli.program import Commands
from flowyml.cli.project import has_history, history, history_to_change
from flowyml.cli.screen import facts, line, listing, none_of, table
from flowyml.records import output_place

if TYPE_CHECKING:
    from flowyml.metadata.rows import RunRecord
    from flowyml.metadata.store import MetadataStore

__all__ = ["RUNS", "list_whole_runs", "run_as_it_stands", "runs"]


def _run_status(run: Object) -> str:
    left = " (nobody works on it)" if run["worked_on"] is False else ""
    return f"{run['status']}{left}"


RUNS: Final = (
    columns.text("run", "run_id"),
    columns.text("pipeline", "pipeline"),
    columns.text("stack", "stack"),
    Column("status", _run_status, is_status=True),
    columns.moment("started", "started_at"),
    columns.duration(),
)

STEPS: Final = (
    columns.text("step", "name"),
    columns.status(),
    columns.duration(),
    columns.text("attempts", "attempts", is_spare=True),
    columns.text("cached from", "cached_from"),
    columns.prose("note", "note"),
)


def _place(item: Object) -> str:
    return output_place(item["step"], item["output"])


ARTIFACTS: Final = (
    Column("artifact", _place),
    columns.text("type", "type"),
    columns.text("name", "name"),
    columns.text("version", "version"),
    columns.size(),
    columns.digest(),
    columns.text("uri", "uri", is_spare=True),
)


UNFINISHED: Final = {"failed", "pending", "running", "skipped"}
RESUMABLE: Final = {"failed", "incomplete", "interrupted"}

MENDED: Final = "once it can go through: what the errors name is to be put right first."


def _is_unstored(delivery: Object) -> bool:
    """Whether storing it failed: nobody can pay that, its step has to run again."""
    return bool(delivery["hook"] == "store_artifact")


def _outcome(delivery: Object) -> str:
    if _is_debt(delivery) and delivery["error"]:
        return "not stored" if _is_unstored(delivery) else "owed, see below"
    return str(delivery["reason"] or delivery["reference"] or delivery["error"] or "-")


def _standing(delivery: Object) -> str:
    return "waiting" if delivery["waits_for"] else str(delivery["status"])


DELIVERIES: Final = (
    Column("delivery", _place),
    columns.text("hook", "hook"),
    columns.text("component", "component"),
    Column("status", _standing, is_status=True),
    columns.text("attempts", "attempts", is_spare=True),
    Column("outcome", _outcome, is_text=True),
)


@click.group(cls=Commands)
def runs() -> None:
    """See what ran, and how it ended."""


@runs.command("list")
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option(
    "--status",
    type=click.Choice(["running", "done", "failed", "incomplete", "interrupted"]),
    help="Only runs that stand like this.",
)
@limited
@output_format
@configured
def list_(*, pipeline: str | None, status: str | None, limit: int | None, output: Output) -> None:
    """List runs, the newest first."""
    found: list[Object] = []
    if has_history():
        from flowyml.records import RunStatus

        with history() as metadata:
            wanted = RunStatus(status) if status else None
            records = metadata.runs(pipeline=pipeline, status=wanted, limit=limit)
            found = [run_as_it_stands(metadata, record) for record in records]
    filters = {"--pipeline": pipeline, "--status": status}
    listing(found, RUNS, output, empty=none_of("run", filters, empty="No runs yet."))


@runs.command()
@click.argument("run_id", metavar="RUN")
@output_format
@configured
def show(*, run_id: str, output: Output) -> None:
    """Show a run with its steps, artifacts and deliveries.

    RUN is its id, or the beginning of it where only one begins like this.
    """
    if output == "json":
        list_whole_runs([run_id])
    else:
        _show_run(_whole_run(run_id))


@runs.command()
@click.argument("run_id", metavar="RUN")
@click.option("--comment", required=True, metavar="WHY", help="Why; kept with who and when.")
@click.option(
    "--delivery",
    "places",
    metavar="STEP.OUTPUT",
    multiple=True,
    help="Only what this output owes, as `runs show` names it. May be repeated.",
)
@configured
def forgive(*, run_id: str, comment: str, places: tuple[str, ...]) -> None:
    """Let go of what a run owes and nobody can pay any more: it is never delivered.

    A run that owes nothing else is done then. `runs show` says who forgave what, when and why.
    """
    if not comment.strip():
        message = "say why, with --comment"
        raise click.UsageError(message)
    from flowyml.routing.deliver import current_user
    from flowyml.routing.forgiving import Forgiveness

    with history_to_change() as metadata:
        run = metadata.run(run_id)
        forgiven = Forgiveness(metadata, current_user(), comment).of(run, places)
        status = metadata.run(run.run_id).status
    for debt in forgiven:
        place = output_place(debt.step, debt.output)
        line(f"forgiven: {place} {debt.hook} ({debt.component})")
    line(f"run {run.run_id}: {status}")


def run_as_it_stands(metadata: MetadataStore, run: RunRecord) -> Object:
    """Return a run; of one that is marked as running, whether its process still works on it."""
    from flowyml.cli.objects import run_object
    from flowyml.metadata.lease import Lease
    from flowyml.records import RunStatus

    is_running = run.status is RunStatus.RUNNING
    return run_object(run, worked_on=Lease(metadata, run.run_id).is_taken if is_running else None)


def list_whole_runs(run_ids: Sequence[str]) -> None:
    """Print everything about some runs as JSON."""
    listing([_whole_run(run_id) for run_id in run_ids], RUNS, "json", empty="")


def _show_run(run: Object) -> None:
    errors = [step["error"] for step in run["steps"]]
    facts(
        [
            ("run", run["run_id"]),
            ("status", _run_status(run)),
            ("pipeline", run["pipeline"]),
            ("stack", run["stack"]),
            ("started", columns.local_time(run["started_at"])),
            ("time", None if run["seconds"] is None else columns.human_duration(run["seconds"])),
            ("parameters", _assignments(run["parameters"])),
            ("error", run["error"] if run["error"] not in errors else None),
        ]
    )
    table(run["steps"], STEPS, title="Steps")
    for step in run["steps"]:
        if step["error"]:
            line()
            facts([(step["name"], step["error"])])
    if run["artifacts"]:
        table(run["artifacts"], ARTIFACTS, title="Artifacts")
    if run["deliveries"]:
        table(run["deliveries"], DELIVERIES, title="Deliveries")
    owed = [delivery for delivery in run["deliveries"] if _is_debt(delivery)]
    for delivery in owed:
        if delivery["error"] and not any(delivery["error"] in str(error) for error in errors):
            line()
            said = "is not stored" if _is_unstored(delivery) else f"owes {delivery['hook']}"
            facts([(f"{_place(delivery)} {said}", delivery["error"])])
    unfinished = [step["name"] for step in run["steps"] if step["status"] in UNFINISHED]
    if unfinished and (run["status"] in RESUMABLE or run["worked_on"] is False):
        line()
        mended = f", {MENDED}" if any(errors) or owed else ""
        line(f"`flowyml resume {run['run_id']}` runs {', '.join(unfinished)}{mended}")
    elif owed:
        line()
        line(f"`flowyml resume {run['run_id']}` tries again what is owed, {MENDED}")
        line(f"What nobody can pay any more goes with `flowyml runs forgive {run['run_id']}`.")


def _is_debt(delivery: Object) -> bool:
    return delivery["status"] in {"pending", "failed"} and not delivery["waits_for"]


def _whole_run(reference: str) -> dict[str, Any]:
    from flowyml.cli import objects

    with history() as metadata:
        run = metadata.run(reference)
        shown = run_as_it_stands(metadata, run)
        steps = metadata.steps(run.run_id)
        artifacts = metadata.artifacts(run_id=run.run_id)
        deliveries = metadata.deliveries(run.run_id)
    return {
        **shown,
        "steps": [objects.step_object(step) for step in steps],
        "artifacts": [objects.artifact_object(artifact) for artifact in artifacts],
        "deliveries": [objects.delivery_object(delivery) for delivery in deliveries],
    }


def _assignments(parameters: Object) -> str | None:
    return ", ".join(f"{name}={value}" for name, value in parameters.items()) or None
