"""``flowyml artifact gc``: deletes what nothing needs any more."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click
from attrs import define

from flowyml.cli import columns
from flowyml.cli.cells import Object
from flowyml.cli.options import Count, Output, ProjectCommand, output_format, stacked
from flowyml.cli.project import has_history, history, history_to_change
from flowyml.cli.screen import line, listing

if TYPE_CHECKING:
    from flowyml.metadata.rows import ArtifactRecord

__all__ = ["gc"]

COLLECTED: Final = (
    columns.text("id", "id"),
    columns.text("name", "name"),
    columns.text("pipeline", "pipeline"),
    columns.size(),
    columns.moment("created", "created_at"),
    columns.text("uri", "uri", is_spare=True),
)

UNITS: Final = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


@click.command(cls=ProjectCommand)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option(
    "--keep-runs",
    type=Count(min=0),
    default=10,
    show_default=True,
    help="The newest runs of each pipeline keep their artifacts.",
)
@click.option(
    "--older-than",
    "age",
    metavar="AGE",
    default="30d",
    show_default=True,
    help="Only what is older goes: 30d, 12h or 45m.",
)
@output_format
@stacked
def gc(*, dry_run: bool, keep_runs: int, age: str, output: Output) -> None:
    """Delete artifacts that nothing needs any more from the stores of the stack.

    What is registered, aliased, deployed, waits for a decision or is still owed stays, with
    everything that it was made from.
    """
    retention_age = _age(age)
    if not has_history():
        listing([], COLLECTED, output, empty="Nothing to collect.")
        return
    from flowyml.metadata.retention import Retention
    from flowyml.routing.garbage import Collector
    from flowyml.stacks.active import current_stack

    with history() if dry_run else history_to_change() as metadata:
        collector = Collector(current_stack(), metadata, Retention(keep_runs, retention_age))
        gone = collector.find() if dry_run else _ids(collector.collect())
        tally = _Tally()
        objects = tally.objects(metadata.artifacts_of(gone[::-1]))
        listing(objects, COLLECTED, output, empty="Nothing to collect.")
    if gone and output == "table":
        total = columns.human_size(tally.size)
        line(f"{len(gone)} would go, {total}." if dry_run else f"{len(gone)} gone, {total}.")


@define
class _Tally:
    """Sums up what is printed, on the way: there may be a million artifacts."""

    size: int = 0

    def objects(self, records: Iterable[ArtifactRecord]) -> Iterator[Object]:
        from flowyml.cli.objects import artifact_object

        for record in records:
            self.size += record.size
            yield artifact_object(record)


def _ids(records: Iterable[ArtifactRecord]) -> array[int]:
    return array("q", (record.artifact_id for record in records))


def _age(text: str) -> timedelta:
    written = re.fullmatch(r"(\d{1,6})([dhm])", text)
    if written is None:
        message = f"{text!r} is no age; write a number and a unit: 30d, 12h or 45m"
        raise click.BadParameter(message, param_hint="--older-than")
    return int(written[1]) * UNITS[written[2]]
