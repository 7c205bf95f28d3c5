"""Going on with a run: what is stored stays, what has not run runs, what is owed is paid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowyml.errors import MetadataError, PipelineError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import FINISHED, RunRecord, StepRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.context import Context, secret
from flowyml.pipelines.finding import find_reference
from flowyml.pipelines.given import context_of
from flowyml.pipelines.graph import Graph
from flowyml.pipelines.obstacles import (
    refuse_in_place_of_defaults,
    refuse_other_values,
    refuse_without_inputs,
    refuse_without_steps,
)
from flowyml.pipelines.pipeline import Pipeline
from flowyml.pipelines.planning import check_parameters
from flowyml.pipelines.result import RunResult, read_result
from flowyml.pipelines.run import Undertaking
from flowyml.records import RunInfo, RunStatus, StepStatus
from flowyml.routing.router import Router
from flowyml.stacks.active import command_line, current_project, current_stack, from_here
from flowyml.stacks.project import Project

__all__ = ["resume"]


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
    steps = _steps_of(record, metadata)
    finished = {step.name for step in steps if step.status in FINISHED}
    unfinished = {step.name for step in steps} - finished
    given = dict(parameters or {})
    refuse_other_values(given, record)
    graph, context = Graph({}, {}), _as_left_out(given, record)
    if unfinished:  # a run that only has debts pays them without its pipeline
        pipeline = pipeline or _found(record, project)
        context = context_of(pipeline, record).over(given)
        graph = pipeline.graph(context)
        check_parameters(pipeline, graph, given)
        refuse_in_place_of_defaults(given, record, pipeline, graph)
        refuse_without_steps(record, pipeline, graph, unfinished)
        refuse_without_inputs(record, pipeline, graph, finished, metadata)
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


def _steps_of(record: RunRecord, metadata: MetadataStore) -> list[StepRecord]:
    """Return the steps of a run; without any it would seem done.

    Raises:
        MetadataError: They are lost: there is no pipeline without any.
    """
    if steps := metadata.steps(record.run_id):
        return steps
    message = (
        f"the steps of the run {record.run_id} are lost, the metadata store is damaged; restore it "
        "from a backup, or begin a new run"
    )
    raise MetadataError(message)


def _as_left_out(parameters: Mapping[str, Any], record: RunRecord) -> Context:
    """Return given values as a context: what the run's record leaves out is a secret there."""
    told = {name: value for name, value in parameters.items() if name in record.parameters}
    kept = {name: secret(value) for name, value in parameters.items() if name not in told}
    return Context({**told, **kept})


def _found(record: RunRecord, project: Project) -> Pipeline:
    if record.reference is None:
        message = (
            f"the pipeline {record.pipeline!r} of the run {record.run_id} lived only in memory; "
            "resume it where it lives, with flowyml.pipelines.resume.resume(run_id, pipeline=...)"
        )
        raise PipelineError(message)
    return find_reference(record.reference, project)
