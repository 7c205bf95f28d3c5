"""One step in a process of its own: ``python -m flowyml.pipelines.worker``.

The task comes as JSON on standard input, the outcome leaves as JSON on standard output. What the
step prints goes to standard error, so that it cannot get in between.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import attrs

from flowyml.errors import FlowyMLError, PipelineError
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.execution import execute
from flowyml.pipelines.failures import StepTimeoutError
from flowyml.pipelines.finding import find_reference
from flowyml.pipelines.given import context_of
from flowyml.pipelines.luggage import for_the_way_back, unpack_there
from flowyml.pipelines.notices import plain_warnings
from flowyml.pipelines.workplace import Workplace
from flowyml.records import RunInfo, StepOutcome, StepStatus, StepTask
from flowyml.routing.deliver import Courier
from flowyml.routing.router import Router
from flowyml.stacks.active import command_line, from_here
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project
from flowyml.stacks.text import printable

__all__ = ["main", "run_task"]

PARENT: Final = "FLOWYML_PARENT"
"""Process whose end ends this one, where it says so in the environment."""

INTERRUPTED: Final = 130


def main() -> int:
    """Run the task on standard input; return the exit code, 0 whenever there is an outcome."""
    answer = _own_output()
    _end_with_parent(os.environ.get(PARENT))
    try:
        task = _task(json.load(sys.stdin))
        with plain_warnings(_complain):
            outcome, ended = run_task(task)
    except KeyboardInterrupt:
        return INTERRUPTED
    except FlowyMLError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    json.dump(attrs.asdict(outcome), answer)
    answer.flush()
    if not ended:  # the step's thread is still busy, and nothing but this ends it
        os._exit(0)
    return 0


def run_task(task: StepTask) -> tuple[StepOutcome, bool]:
    """Run a step; return its outcome, and whether its code has come to an end.

    Raises:
        FlowyMLError: The run or the metadata store cannot be used.
    """
    config = Path(task.config) if task.config else None
    project = Project(Path(task.project), config)
    with (
        command_line(task.stack, config),
        from_here(project.folder),
        MetadataStore.open(project.metadata_path) as metadata,
    ):
        if task.records is not None:
            unpack_there(metadata, task.step, task.records)
        try:
            workplace = _workplace(task, project, metadata)
        except FlowyMLError as error:
            said = f"step {task.step!r} cannot start in its process: {error}"
            metadata.set_step_status(task.run_id, task.step, StepStatus.FAILED, error=said)
            failed = StepOutcome(task.step, StepStatus.FAILED, said)
            return _with_records(failed, task, metadata), True
        outcome = _with_records(execute(task, workplace), task, metadata)
        stuck = isinstance(workplace.failures.get(task.step), StepTimeoutError)
        return outcome, not stuck


def _with_records(outcome: StepOutcome, task: StepTask, metadata: MetadataStore) -> StepOutcome:
    """Add what was written down here, where nobody else can read it."""
    if task.records is None:
        return outcome
    return attrs.evolve(outcome, records=for_the_way_back(metadata, task.run_id, task.step))


def _workplace(task: StepTask, project: Project, metadata: MetadataStore) -> Workplace:
    record = metadata.run(task.run_id)
    pipeline = find_reference(task.pipeline, project)
    context = context_of(pipeline, record)
    graph = pipeline.graph(context)
    if task.step not in graph.nodes:
        message = f"the pipeline {task.pipeline} has no step {task.step!r} here"
        raise PipelineError(message)
    # What dispatches steps may need what only the machine has that dispatched this one.
    leaving_out = ("orchestrator",) if task.records is not None else ()
    built = Configuration.read(project).build(task.stack, leaving_out=leaving_out)
    stack = built.keeping(context.secrets)
    run = RunInfo(record.run_id, record.pipeline, record.stack, record.started_at)
    courier = Courier(stack, metadata, run, Router(stack), secrets=context.secrets)
    return Workplace(run, graph, context, stack, metadata, courier, ends_with_step=True)


def _task(plain: Mapping[str, Any]) -> StepTask:
    known = {field.name for field in attrs.fields(StepTask)}
    return StepTask(**{name: value for name, value in plain.items() if name in known})


def _own_output() -> IO[str]:
    """Keep standard output for the outcome; whatever else is printed goes to standard error."""
    sys.stdout.flush()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answer


def _complain(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")


def _end_with_parent(parent: str | None) -> None:
    """End this process when its parent is gone: the run may be resumed elsewhere by then."""
    if parent is None:
        return

    def watch() -> None:
        while str(os.getppid()) == parent:
            time.sleep(1)
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, name="flowyml-parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
