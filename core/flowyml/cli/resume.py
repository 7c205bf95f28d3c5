"""``flowyml resume``: go on with a run that was interrupted, failed, or owes deliveries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from flowyml.cli.cells import Object
from flowyml.cli.options import Output, ProjectCommand, configured, output_format
from flowyml.cli.project import has_history, history
from flowyml.cli.run import watched
from flowyml.cli.runs import RUNS, run_as_it_stands
from flowyml.cli.screen import complain, line, listing
from flowyml.errors import FlowyMLError

if TYPE_CHECKING:
    from flowyml.metadata.rows import RunRecord
    from flowyml.metadata.store import MetadataStore
    from flowyml.pipelines.result import RunResult

__all__ = ["resume"]

SAY_WHICH: Final = "say which run: `flowyml resume RUN`, or --all for each that did not fail"

MOST: Final = 20
"""How many runs are named where none is given."""


@click.command(cls=ProjectCommand)
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="Every run that is incomplete or was interrupted."
)
@click.option(
    "--param",
    "-p",
    "given",
    metavar="KEY=VALUE",
    multiple=True,
    help="A context value that is written down nowhere, such as a secret. May be repeated.",
)
@output_format
@configured
def resume(*, run_id: str | None, everything: bool, given: tuple[str, ...], output: Output) -> int:
    """Run what has not run, and pay what is owed; nothing that was stored is made again.

    RUN is a run's id, or the beginning of it where only one begins like this. Without it, the runs
    that can go on are listed, and nothing is done.
    """
    if run_id and everything:
        message = "give the run to resume, or --all"
        raise click.UsageError(message)
    if not (run_id or everything):
        return _list_resumable(output)
    if given and everything:
        message = "--param is for one run, not for --all"
        raise click.UsageError(message)
    if run_id:
        from flowyml.cli.parameters import parse_parameters

        parameters = parse_parameters(given)
        with history() as metadata:
            wanted = metadata.run(run_id).run_id
        return watched(lambda: [_resumed(wanted, parameters)], output)
    return _resume_all(output)


def _list_resumable(output: Output) -> int:
    """Name the runs that can go on; nothing goes on, so it is no success."""
    found = sorted(_resumable(failed=True), key=lambda run: run.started_at, reverse=True)
    shown: list[Object] = []
    if found:
        with history() as metadata:
            shown = [run_as_it_stands(metadata, run) for run in found[:MOST]]
    listing(shown, RUNS, output, empty="No run failed, is incomplete or was interrupted.")
    if older := len(found) - len(shown):
        complain(f"{older} more, which `flowyml runs list --status failed` shows, and the like")
    complain(f"Error: nothing was resumed; {SAY_WHICH if found else 'there is nothing to resume'}")
    return 2


def _resume_all(output: Output) -> int:
    waiting = [run.run_id for run in _resumable()]
    if not waiting and output == "table":
        line("No run is incomplete or was interrupted.")
    refused: list[int] = []
    code = watched(lambda: list(_each(waiting, refused)), output)
    return max([code, *refused])


def _each(run_ids: Sequence[str], refused: list[int]) -> Iterator[RunResult]:
    """Resume one after the other; one that cannot be resumed keeps none of the others from it.

    Args:
        run_ids: The runs.
        refused: Gets the exit code of every one that cannot be resumed.
    """
    for run_id in run_ids:
        try:
            yield _resumed(run_id, {})
        except FlowyMLError as error:
            complain(f"Error: run {run_id}: {error}")
            refused.append(error.exit_code)


def _resumable(*, failed: bool = False) -> list[RunRecord]:
    """Return the runs that can go on, the oldest first.

    One that is marked as running was killed, unless a process holds it. One that is done may owe a
    deployment that was permitted since.

    Args:
        failed: Also those that failed. Nobody but their user knows whether a step would fail again.
    """
    from flowyml.records import RunStatus

    if not has_history():
        return []
    stopped = [RunStatus.INCOMPLETE, RunStatus.INTERRUPTED, RunStatus.RUNNING]
    with history() as metadata:
        owing = [metadata.run(run_id) for run_id in {debt.run_id for debt in metadata.debts()}]
        found = [run for run in owing if run.status is RunStatus.DONE]
        for status in [*stopped, RunStatus.FAILED] if failed else stopped:
            found += metadata.runs(status=status)
        free = [run for run in found if _is_free(metadata, run.run_id)]
    return sorted(free, key=lambda run: run.started_at)


def _is_free(metadata: MetadataStore, run_id: str) -> bool:
    """Whether no process works on a run; to look keeps nobody from taking it."""
    from flowyml.metadata.lease import Lease

    return not Lease(metadata, run_id).is_taken


def _resumed(run_id: str, parameters: Mapping[str, Any]) -> RunResult:
    from flowyml.pipelines.resume import resume as go_on

    return go_on(run_id, parameters=parameters)
