"""Going on with a run: what is stored stays, what has not run runs, what is owed is paid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowyml.errors import PipelineError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.context import Context, recordable, secret
from flowyml.pipelines.finding import find_reference
from flowyml.pipelines.graph import Graph
from flowyml.pipelines.pipeline import Pipeline
from flowyml.pipelines.result import RunResult, read_result
from flowyml.pipelines.run import Undertaking
from flowyml.records import RunInfo, RunStatus, StepStatus
from flowyml.routing.router import Router
from flowyml.stacks.active import command_line, current_project, current_stack, from_here
from flowyml.stacks.project import Project

__all__ = ["context_of", "resume"]

FINISHED = frozenset({StepStatus.STORED, StepStatus.DONE})


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
        parameters: Context values that are written down nowhere, such as secrets.

    Returns:
        How the run stands now. A run that is done is left as it is.

    Raises:
        NotFoundError: There is no such run.
        PipelineError: Another process works on the run, or its pipeline is not to be found.
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
    finished = {step.name for step in metadata.steps(record.run_id) if step.status in FINISHED}
    unfinished = {
        step.name for step in metadata.steps(record.run_id) if step.status not in FINISHED
    }
    graph, context = Graph({}, {}), _as_left_out(parameters or {}, record)
    if unfinished:  # a run that only has debts pays them without its pipeline
        pipeline = pipeline or _found(record, project)
        context = context_of(pipeline, record).over(parameters or {})
        graph = pipeline.graph(context)
    stack = stack.keeping(context.secrets)
    run = RunInfo(record.run_id, record.pipeline, record.stack, record.started_at)
    undertaking = Undertaking(
        project, stack, Router(stack), run, record.reference, graph, context, parameters or {}
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
        executor.close()


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
    own = recordable(pipeline.context.public)
    given = {
        name: value
        for name, value in record.parameters.items()
        if name not in own or own[name] != value
    }
    return pipeline.context.over(given)


def _found(record: RunRecord, project: Project) -> Pipeline:
    if record.reference is None:
        message = (
            f"the pipeline {record.pipeline!r} of the run {record.run_id} lived only in memory; "
            "resume it where it lives, with flowyml.pipelines.resume.resume(run_id, pipeline=...)"
        )
        raise PipelineError(message)
    return find_reference(record.reference, project)
