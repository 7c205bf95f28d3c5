"""What keeps a run from going on: only another run could be what is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from flowyml.errors import PipelineError
from flowyml.metadata.rows import RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.context import Context, is_secret, recordable
from flowyml.pipelines.given import command_anew, given_to
from flowyml.pipelines.graph import Graph
from flowyml.pipelines.pipeline import Pipeline
from flowyml.routing.reader import output_artifacts
from flowyml.stacks.secrecy import HIDDEN

__all__ = [
    "refuse_in_place_of_defaults",
    "refuse_other_values",
    "refuse_without_inputs",
    "refuse_without_steps",
]


def refuse_other_values(given: Mapping[str, Any], record: RunRecord) -> None:
    """Refuse a value that would make of the run's record what its steps were not given.

    Raises:
        PipelineError: The record has another value of that name.
    """
    told = recordable(Context(given).public)
    for name in given:
        if name in record.parameters and told.get(name, HIDDEN) != record.parameters[name]:
            had = f"has {name}={record.parameters[name]}"
            raise PipelineError(_unchangeable(record, had, name, told.get(name, HIDDEN)))


def refuse_in_place_of_defaults(
    given: Mapping[str, Any], record: RunRecord, pipeline: Pipeline, graph: Graph
) -> None:
    """Refuse a value that steps of the run have done without; a secret is recorded nowhere.

    Raises:
        PipelineError: The run left it to a default.
    """
    for node in graph.nodes.values():
        defaults = {each.name: each.default for each in node.step.parameters if each.has_default}
        for name in node.context_names:
            if name not in given or name in record.parameters or name in pipeline.context:
                continue
            if name in defaults and not is_secret(name, given[name]):
                had = f"left {name!r} to the default of step {node.name!r}"
                raise PipelineError(_unchangeable(record, had, name, recordable(given[name])))


def refuse_without_steps(
    record: RunRecord, pipeline: Pipeline, graph: Graph, unfinished: Collection[str]
) -> None:
    """Refuse to leave out a step: the run would seem done, and what waits for its end never be.

    Raises:
        PipelineError: The pipeline has a step no more that has not run to its end.
    """
    if lost := [name for name in unfinished if name not in graph.nodes]:
        why = (
            f"the pipeline {record.pipeline!r} has no step {lost[0]!r} any more, which has not run "
            f"to its end; write @step(name={lost[0]!r}) where it only has another name by now, or"
        )
        raise PipelineError(_cannot_go_on(record, pipeline, why))


def refuse_without_inputs(
    record: RunRecord,
    pipeline: Pipeline,
    graph: Graph,
    finished: Collection[str],
    metadata: MetadataStore,
) -> None:
    """Refuse to go on where a step that has to run takes what is not there, and will not be made.

    Raises:
        PipelineError: An input was collected, or is no output that its step had when it ran.
    """
    for node in (node for name, node in graph.nodes.items() if name not in finished):
        for name in (taken.name for taken in node.inputs if taken.kind == "output"):
            producer = graph.producers[name]
            if producer not in finished:
                continue
            taken = f"step {node.name!r} takes {name!r}, which"
            stored = output_artifacts(record.run_id, producer, name, metadata)
            if not stored:
                why = f"{taken} step {producer!r} did not return when it ran;"
                raise PipelineError(_cannot_go_on(record, pipeline, why))
            for artifact in stored.values():
                if artifact.collected_at is not None:
                    at = f"{artifact.collected_at:%Y-%m-%d %H:%M} UTC"
                    why = f"{taken} `flowyml artifact gc` collected on {at};"
                    raise PipelineError(_cannot_go_on(record, pipeline, why))


def _unchangeable(record: RunRecord, had: str, name: str, value: object) -> str:
    return (
        f"the run {record.run_id} {had}, and what a run was given stays as it was; begin a new one "
        f"with `{command_anew(record, {name: value})}`"
    )


def _cannot_go_on(record: RunRecord, pipeline: Pipeline, why: str) -> str:
    anew = command_anew(record, given_to(pipeline, record))
    return f"the run {record.run_id} cannot go on: {why} begin a new run with `{anew}`"
