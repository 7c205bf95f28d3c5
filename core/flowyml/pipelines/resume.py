"""Going on with a run: what is stored stays, what has not run runs, what is owed is paid."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from flowyml.errors import PipelineError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import FINISHED, RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.context import Context, is_secret, recordable, secret
from flowyml.pipelines.finding import find_reference
from flowyml.pipelines.graph import Graph
from flowyml.pipelines.pipeline import Pipeline
from flowyml.pipelines.planning import check_parameters
from flowyml.pipelines.result import RunResult, read_result
from flowyml.pipelines.run import Undertaking
from flowyml.records import RunInfo, RunStatus, StepStatus
from flowyml.routing.reader import output_artifacts
from flowyml.routing.router import Router
from flowyml.stacks.active import command_line, current_project, current_stack, from_here
from flowyml.stacks.project import Project
from flowyml.stacks.secrecy import HIDDEN

__all__ = ["context_of", "resume"]


def resume(
    run_id: str,
    *,
    pipeline: Pipeline | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> RunResult:
    """Go on with a run that failed, was interrupted or has debts.

    Args:
        run_id: Its id, or a beginning of it that no other run has.
        pipeline: The pipeline, where it lives only in memory; else it is found again.
        parameters: Context values that are written down nowhere, such as secrets. What the run was
            given stays as it was.

    Returns:
        How the run stands now. A run that is done is left as it is.

    Raises:
        NotFoundError: There is no such run.
        PipelineError: Another process works on the run, its pipeline is not to be found, or a
            parameter is none of it, or has another value in it.
    """
    project = current_project()
    with MetadataStore.open(project.metadata_path) as metadata:
        record = metadata.run(run_id)
        named = Path(record.config) if record.config else None
        config = named if named and named.exists() else project.config
        block = command_line(record.stack, config)
        with block, from_here(), Lease(metadata, record.run_id) as lease:
            return _go_on(record, project, metadata, lease, pipeline, parameters)


def _go_on(
    record: RunRecord,
    project: Project,
    metadata: MetadataStore,
    lease: Lease,
    pipeline: Pipeline | None,
    parameters: Mapping[str, Any] | None,
) -> RunResult:
    stack = current_stack(record.stack)
    record = metadata.run(record.run_id)  # another process may have gone on with it meanwhile
    if record.status is RunStatus.DONE and not metadata.debts(record.run_id):
        return read_result(metadata, record.run_id, project, stack)
    steps = metadata.steps(record.run_id)
    finished = {step.name for step in steps if step.status in FINISHED}
    unfinished = {step.name for step in steps} - finished
    given = dict(parameters or {})
    _refuse_other_values(given, record)
    graph, context = Graph({}, {}), _as_left_out(given, record)
    if unfinished:  # a run that only has debts pays them without its pipeline
        pipeline = pipeline or _found(record, project)
        context = context_of(pipeline, record).over(given)
        graph = pipeline.graph(context)
        check_parameters(pipeline, graph, given)
        _refuse_in_place_of_defaults(given, record, pipeline, graph)
        _refuse_without_steps(record, pipeline, graph, unfinished)
        _refuse_without_inputs(record, pipeline, graph, finished, metadata)
    stack = stack.keeping(context.secrets)
    run = RunInfo(record.run_id, record.pipeline, record.stack, record.started_at)
    undertaking = Undertaking(
        project, stack, Router(stack), run, record.reference, graph, context, given
    )
    stack.preflight()
    executor = undertaking.open_executor()
    try:
        with metadata.transaction():
            metadata.set_run_status(run.run_id, RunStatus.RUNNING)
            metadata.add_steps(run.run_id, graph.nodes)
            for name in unfinished:
                metadata.set_step_status(run.run_id, name, StepStatus.PENDING)
        return undertaking.proceed(metadata, executor, lease, finished)
    finally:
        stack.hooks.close_executor(executor)


def _refuse_other_values(given: Mapping[str, Any], record: RunRecord) -> None:
    """Refuse a value that would make of the run's record what its steps were not given.

    Raises:
        PipelineError: The record has another value of that name.
    """
    told = recordable(Context(given).public)
    for name in given:
        if name in record.parameters and told.get(name, HIDDEN) != record.parameters[name]:
            had = f"has {name}={record.parameters[name]}"
            raise PipelineError(_unchangeable(record, had, name, told.get(name, HIDDEN)))


def _refuse_in_place_of_defaults(
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


def _unchangeable(record: RunRecord, had: str, name: str, value: object) -> str:
    return (
        f"the run {record.run_id} {had}, and what a run was given stays as it was; begin a new one "
        f"with `{_anew(record, {name: value})}`"
    )


def _anew(record: RunRecord, given: Mapping[str, Any]) -> str:
    """Return the command that begins another run of a pipeline, with these values of its own."""
    options = (part for name, value in given.items() for part in ("--param", f"{name}={value}"))
    return shlex.join(["flowyml", "run", record.reference or record.pipeline, *options])


def _refuse_without_steps(
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


def _refuse_without_inputs(
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


def _cannot_go_on(record: RunRecord, pipeline: Pipeline, why: str) -> str:
    anew = _anew(record, _given_to(pipeline, record))
    return f"the run {record.run_id} cannot go on: {why} begin a new run with `{anew}`"


def _as_left_out(parameters: Mapping[str, Any], record: RunRecord) -> Context:
    """Return given values as a context: what the run's record leaves out is a secret there."""
    told = {name: value for name, value in parameters.items() if name in record.parameters}
    kept = {name: secret(value) for name, value in parameters.items() if name not in told}
    return Context({**told, **kept})


def context_of(pipeline: Pipeline, record: RunRecord) -> Context:
    """Return the context of a run: the pipeline's, and what was given for this run alone.

    A value that looks like what is recorded is taken from the pipeline, where it is the object
    itself and not its record.
    """
    return pipeline.context.over(_given_to(pipeline, record))


def _given_to(pipeline: Pipeline, record: RunRecord) -> dict[str, Any]:
    """Return what a run was given besides what its pipeline's own context has by now."""
    own = recordable(pipeline.context.public)
    return {
        name: value
        for name, value in record.parameters.items()
        if name not in own or own[name] != value
    }


def _found(record: RunRecord, project: Project) -> Pipeline:
    if record.reference is None:
        message = (
            f"the pipeline {record.pipeline!r} of the run {record.run_id} lived only in memory; "
            "resume it where it lives, with flowyml.pipelines.resume.resume(run_id, pipeline=...)"
        )
        raise PipelineError(message)
    return find_reference(record.reference, project)
