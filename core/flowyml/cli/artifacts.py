"""``flowyml artifact``: what is stored, where it came from, and whether it is still whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from flowyml.cli import columns
from flowyml.cli.cells import Column, Object
from flowyml.cli.collecting import gc
from flowyml.cli.options import Count, Output, configured, limited, output_format, stacked
from flowyml.cli.program import Commands
from flowyml.cli.project import has_history, history
from flowyml.cli.screen import facts, line, listing, none_of, table

if TYPE_CHECKING:
    from flowyml.metadata.rows import ArtifactRecord
    from flowyml.metadata.store import MetadataStore

__all__ = ["artifact"]

ARTIFACTS: Final = (
    columns.text("id", "id"),
    columns.text("name", "name"),
    columns.text("version", "version"),
    columns.text("type", "type"),
    Column("output", lambda item: f"{item['run_id']}/{item['output']}"),
    columns.status(),
    columns.size(),
    columns.digest(),
    columns.moment("created", "created_at"),
)

LINEAGE: Final = (
    columns.text("relation", "relation"),
    columns.text("distance", "distance"),
    columns.text("id", "id"),
    columns.text("name", "name"),
    columns.text("type", "type"),
    Column("output", lambda item: f"{item['run_id']}/{item['output']}"),
    Column("made from", lambda item: ", ".join(map(str, item["parents"])) or "-"),
    columns.digest(),
)

FILES: Final = (columns.text("file", "name"), columns.size(), columns.digest(key="sha256"))


def _problem(check: Object) -> str:
    """Return on one line what is wrong, or which run stored something else there since."""
    if check["replaced_by"]:
        return f"replaced by {check['replaced_by']}"
    return "; ".join(part.strip() for part in str(check["error"] or "-").splitlines())


CHECKS: Final = (
    columns.text("id", "id"),
    columns.text("name", "name"),
    columns.status(),
    columns.digest(),
    columns.text("uri", "uri", is_spare=True),
    Column("problem", _problem, is_text=True),
)

MODEL: Final = "model:"


@click.group(cls=Commands)
def artifact() -> None:
    """See, fetch, verify and collect what runs stored.

    REF names an artifact by its id, its URI, RUN/output, its name, step.output as a run tells of it
    (the newest run is meant, or RUN:step.output) or its digest; the beginning of a run's id or of a
    digest will do. `run:RUN/output` and `model:NAME@VERSION` work as well.
    """


artifact.add_command(gc)


@artifact.command("list")
@click.option("--run", "run_id", metavar="RUN", help="Only artifacts of this run.")
@click.option("--step", metavar="NAME", help="Only what this step made.")
@click.option("--name", metavar="NAME", help="Only artifacts of this name.")
@click.option("--type", "type_", metavar="TYPE", help="Only this type, such as Model.")
@limited
@output_format
@configured
def list_(
    *,
    run_id: str | None,
    step: str | None,
    name: str | None,
    type_: str | None,
    limit: int | None,
    output: Output,
) -> None:
    """List artifacts, the newest first."""
    found: list[dict[str, Any]] = []
    if run_id or has_history():
        from flowyml.cli.objects import artifact_object

        with history() as metadata:
            run = metadata.run(run_id).run_id if run_id else None
            records = metadata.artifacts(run_id=run, step=step, name=name, type=type_, limit=limit)
        found = [artifact_object(record) for record in records]
    filters = {"--run": run_id, "--step": step, "--name": name, "--type": type_}
    empty = none_of("artifact", filters, empty="No artifacts.")
    listing(found, ARTIFACTS, output, empty=empty)


@artifact.command()
@click.argument("ref")
@output_format
@stacked
def show(*, ref: str, output: Output) -> None:
    """Show an artifact with its files and all that is known about it."""
    from flowyml.cli.objects import artifact_object

    with history() as metadata:
        record = _find(metadata, ref)
    shown = {**artifact_object(record), "manifest": record.manifest}
    if output == "json":
        listing([shown], ARTIFACTS, output, empty="")
        return
    manifest = record.manifest
    facts(
        [
            ("name", record.name),
            ("version", record.version),
            ("type", record.type),
            ("status", shown["status"]),
            ("id", str(record.artifact_id)),
            ("run", record.run_id),
            ("made by", f"{record.pipeline}: {record.step}.{record.output}"),
            ("created", columns.local_time(record.created_at)),
            ("uri", record.uri),
            ("store", record.store),
            ("digest", record.digest),
            ("size", columns.human_size(record.size)),
            ("format", _text(manifest.get("serializer"))),
            ("python type", _text(manifest.get("python_type"))),
            *((f"property {key}", str(value)) for key, value in _items(manifest, "properties")),
            *((f"metadata {key}", str(value)) for key, value in _items(manifest, "metadata")),
        ]
    )
    if manifest.get("files"):
        table(manifest["files"], FILES, title="Files")


@artifact.command()
@click.argument("ref")
@click.option("--depth", type=Count(min=1), help="How many generations to follow each way.")
@limited
@output_format
@stacked
def lineage(*, ref: str, depth: int | None, limit: int | None, output: Output) -> None:
    """Show what an artifact was made from, and what was made from it; the newest first."""
    from flowyml.cli.ancestry import ancestry

    with history() as metadata:
        found = ancestry(metadata, _find(metadata, ref), depth, limit)
    listing(found, LINEAGE, output, empty="")


@artifact.command()
@click.argument("ref")
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Folder to copy the files into; by default one with the artifact's name, in here.",
)
@output_format
@stacked
def get(*, ref: str, folder: str | None, output: Output) -> None:
    """Copy an artifact's files out of its store, each verified before it is written."""
    from flowyml.cli.copying import copy_files, open_source

    with history() as metadata:
        record = _find(metadata, ref)
        source = open_source(metadata, record)
    target = Path(folder or _file_name(record))
    copied = copy_files(source, target, on_stderr=output == "json")
    if output == "json":
        listing(copied, FILES, output, empty="")
    for item in copied if output == "table" else ():
        line(item["path"])


@artifact.command()
@click.argument("ref", required=False)
@click.option("--all", "everything", is_flag=True, help="Every artifact of the project.")
@output_format
@stacked
def verify(*, ref: str | None, everything: bool, output: Output) -> int:
    """Read stored files again, and compare every byte with what was written.

    Exits with 1 when something is not what it was. What a later run of the project replaced, as its
    rule permits, is told as replaced by that run.
    """
    from flowyml.cli.copying import verified

    if bool(ref) == everything:
        message = "give the artifact to verify, or --all"
        raise click.UsageError(message)
    if everything and not has_history():
        listing([], CHECKS, output, empty="No artifacts.")
        return 0
    with history() as metadata:
        records = metadata.artifacts() if ref is None else [_find(metadata, ref)]
        there = [record for record in records if ref or record.collected_at is None]
        aside = output == "json"
        checked = [verified(metadata, record, on_stderr=aside) for record in there]
    listing(checked, CHECKS, output, empty="No artifacts.")
    return 1 if any(check["status"] == "failed" for check in checked) else 0


def _find(metadata: MetadataStore, ref: str) -> ArtifactRecord:
    if not ref.startswith(MODEL):
        return metadata.find_artifact(ref)
    from flowyml.routing.deployments import named_model
    from flowyml.stacks.active import current_stack

    return metadata.find_artifact(named_model(current_stack(), ref.removeprefix(MODEL)).uri)


def _items(manifest: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    return list((manifest.get(key) or {}).items())


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _file_name(record: ArtifactRecord) -> str:
    return re.sub(r"[^\w.-]+", "_", record.name).lstrip(".") or record.output
