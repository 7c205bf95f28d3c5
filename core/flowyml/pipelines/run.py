"""A run from its beginning to its end."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from flowyml.artifacts import Parameters
from flowyml.errors import ConfigurationError, DeliveryError, FlowyMLError, PipelineError, StepError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.context import Context, is_secret, recordable
from flowyml.pipelines.coordinator import Coordinator
from flowyml.pipelines.elsewhere import check_environment
from flowyml.pipelines.graph import Graph
from flowyml.pipelines.planning import CONTEXT_HOOKS, check_parameters, logs_context, plan_graph
from flowyml.pipelines.result import RunResult, read_result
from flowyml.pipelines.watching import RunObserver, current_observer
from flowyml.pipelines.workplace import Workplace
from flowyml.plugins.components import StepExecutor
from flowyml.records import CONTEXT, RunInfo, RunStatus, StepOutcome, StepStatus, StepTask
from flowyml.routing.containers import Leaf
from flowyml.routing.deliver import Courier
from flowyml.routing.router import Router
from flowyml.routing.telling import ENDED
from flowyml.stacks.active import current_project, current_stack, from_here
from flowyml.stacks.project import Project
from flowyml.stacks.secrecy import component_secrets, is_told, redact, text_of
from flowyml.stacks.stack import Stack

if TYPE_CHECKING:
    from flowyml.pipelines.pipeline import Pipeline

__all__ = ["Undertaking", "new_run_id", "start_run"]


def new_run_id(moment: datetime) -> str:
    """Return an id that sorts by time and that no other run has (``20261125-071845-3f9a1c``)."""
    return f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def start_run(
    pipeline: Pipeline, stack_name: str | None, parameters: Mapping[str, Any] | None
) -> RunResult:
    """Start a new run and see it to its end.

    Raises:
        PipelineError: The pipeline cannot be wired, or a parameter fits no step; nothing has run.
        ConfigurationError: The stack cannot be used, or the plan has errors; nothing has run.
    """
    project, stack = current_project(), current_stack(stack_name)
    graph = pipeline.graph(parameters)
    given, context = dict(parameters or {}), pipeline.context.over(parameters or {})
    check_parameters(pipeline, graph, given)
    stack = stack.keeping(context.secrets)
    router = Router(stack)
    if errors := plan_graph(pipeline.name, graph, context, stack, router).errors:
        raise ConfigurationError(*errors)
    started_at = datetime.now(UTC)
    run = RunInfo(new_run_id(started_at), pipeline.name, stack.name, started_at)
    reference = pipeline.reference(project.folder)
    undertaking = Undertaking(project, stack, router, run, reference, graph, context, given)
    with from_here():
        return undertaking.begin()


@frozen(eq=False)
class Undertaking:
    """A run, with all that is settled before its first step starts.

    Attributes:
        project: The project that it belongs to.
        stack: The stack that it runs on.
        router: Answers which deliveries a value gets.
        run: The run.
        reference: What finds the pipeline again; None for one that lives only in memory.
        graph: The steps, wired.
        context: The context values of this run.
        given: Those of them that were given for this run alone.
    """

    project: Project
    stack: Stack
    router: Router
    run: RunInfo
    reference: str | None
    graph: Graph
    context: Context
    given: Mapping[str, Any]

    def begin(self) -> RunResult:
        """Write the new run down and run it."""
        self.stack.preflight()
        executor = self.open_executor()
        try:
            with MetadataStore.open(self.project.metadata_path) as metadata:
                with metadata.transaction():
                    metadata.add_run(self._record())
                    metadata.add_steps(self.run.run_id, self.graph.nodes)
                with Lease(metadata, self.run.run_id) as lease:
                    return self.proceed(metadata, executor, lease)
        finally:
            self.stack.hooks.close_executor(executor)

    def open_executor(self) -> StepExecutor:
        """Open what runs the steps.

        Raises:
            PipelineError: It runs them in other processes, which would not find the pipeline, or
                would not know its context.
            ConfigurationError: Those would not have the environment variables of the stack.
        """
        with self.stack.hooks.in_words("open what runs the steps", "orchestrator"):
            executor = self.stack.hooks.open_executor(self.run)
        if executor.in_process:
            return executor
        try:
            self._check_other_processes()
            check_environment(executor, self.project, self.stack.name)
        except BaseException:
            self.stack.hooks.close_executor(executor)
            raise
        return executor

    def _check_other_processes(self) -> None:
        if self.reference is None:
            message = (
                f"pipeline {self.run.pipeline!r} lives only in memory, and the orchestrator of the "
                f"stack {self.stack.name!r} runs steps in other processes, which cannot find it; "
                "assign it to a name at the top level of a Python file"
            )
            raise PipelineError(message)
        for name in self.given:
            value = self.context.given[name]
            if is_secret(name, value) or recordable(value) != value:
                message = (
                    f"the parameter {name!r} of this run cannot be handed to another process "
                    "(secrets are written down nowhere, and objects have no JSON form); let the "
                    f"pipeline's own context give it, from the environment for example"
                )
                raise PipelineError(message)

    def proceed(
        self,
        metadata: MetadataStore,
        executor: StepExecutor,
        lease: Lease,
        finished: Collection[str] = (),
    ) -> RunResult:
        """Run every step that is not finished, and close the run.

        Raises:
            KeyboardInterrupt: The user interrupted it; it is written down as such.
        """
        observer = current_observer()
        courier = Courier(
            stack=self.stack,
            metadata=metadata,
            run=self.run,
            router=self.router,
            observer=observer,
            secrets=self.context.secrets,
        )
        workplace = Workplace(self.run, self.graph, self.context, self.stack, metadata, courier)
        coordinator = Coordinator(workplace, executor, self._tasks(), lease, observer)
        try:
            observer.run_started(self.run, tuple(self.graph.nodes))
            self.stack.hooks.run_started(self.run)
            if not self._log_context(coordinator):
                coordinator.run(finished)
            return self._close(coordinator, observer)
        except BaseException as error:
            self._break_off(error, courier, observer)
            raise

    def _tasks(self) -> dict[str, StepTask]:
        config = self.project.config
        return {
            name: StepTask(
                pipeline=self.reference or "",
                step=name,
                run_id=self.run.run_id,
                stack=self.stack.name,
                config=str(config) if config else None,
                project=str(self.project.folder),
            )
            for name in self.graph.nodes
        }

    def _record(self) -> RunRecord:
        config = self.project.config
        return RunRecord(
            run_id=self.run.run_id,
            pipeline=self.run.pipeline,
            stack=self.run.stack,
            status=RunStatus.RUNNING,
            started_at=self.run.started_at,
            reference=self.reference,
            config=str(config) if config else None,
            parameters=recordable(self.context.public),
        )

    def _log_context(self, coordinator: Coordinator) -> bool:
        """Log the context values as parameters, where somebody tracks them.

        Returns:
            Whether that failed and a rule says that nothing may go on then.
        """
        if not logs_context(self.context, self.stack):
            return False
        leaf = Leaf(CONTEXT, Parameters(recordable(self.context.public)))
        try:
            coordinator.workplace.courier.deliver_one(CONTEXT, leaf, hooks=CONTEXT_HOOKS)
        except DeliveryError as error:
            failed = StepOutcome(CONTEXT, StepStatus.FAILED, str(error))
            coordinator.outcomes[CONTEXT] = failed
            coordinator.workplace.failures[CONTEXT] = error
            return True
        return False

    def _close(self, coordinator: Coordinator, observer: RunObserver) -> RunResult:
        """Settle what waits for the end of the run, and say how it ended."""
        workplace = coordinator.workplace
        workplace.courier.settle_gates()
        workplace.courier.pay_debts()
        failed = [
            outcome
            for outcome in coordinator.outcomes.values()
            if outcome.status is StepStatus.FAILED
        ]
        skipped = any(each.status is StepStatus.SKIPPED for each in coordinator.outcomes.values())
        debts = workplace.metadata.debts(self.run.run_id)
        owing = skipped or any(debt.hook != ENDED for debt in debts)  # that it ends is told now
        error = _error(workplace, failed[0].step, failed[0].error) if failed else None
        status = RunStatus.FAILED if failed else RunStatus.DONE
        status = RunStatus.INCOMPLETE if owing and not failed else status
        said = failed[0].error if failed else None
        return self._finish(status, error, said, workplace.courier, observer)

    def _break_off(self, error: BaseException, courier: Courier, observer: RunObserver) -> None:
        """Write down that a run did not come to its end."""
        interrupted = isinstance(error, KeyboardInterrupt)
        status = RunStatus.INTERRUPTED if interrupted else RunStatus.FAILED
        said = "interrupted" if interrupted else f"{type(error).__name__}: {text_of(error)}"
        try:
            known = component_secrets(self.stack.components.values())
            said = redact(said, (*self.context.secrets, *known))
            # Whoever is too impatient to wait until everybody is told finds it written down.
            courier.metadata.set_run_status(self.run.run_id, status, error=said)
            self._finish(status, None, said, courier, observer)
        except FlowyMLError:
            return  # the metadata store itself is what failed; the first error says so

    def _finish(
        self,
        status: RunStatus,
        error: FlowyMLError | None,
        said: str | None,
        courier: Courier,
        observer: RunObserver,
    ) -> RunResult:
        """Tell how the run ended and write it down; killed in between, it is told again."""
        metadata, run_id = courier.metadata, self.run.run_id
        metadata.set_run_status(run_id, courier.end(status), error=said)
        result = read_result(metadata, run_id, self.project, self.stack, error)
        observer.run_finished(result)
        return result


def _error(workplace: Workplace, step: str, said: str | None) -> FlowyMLError:
    """Return why a run failed, chained to what the step raised where that was in this process.

    What a step or a backend raised may hold a secret in its text; then it is left out.
    """
    error = StepError(said or f"step {step!r} failed", step=step)
    failure = workplace.failures.get(step)
    cause = failure.__cause__ if isinstance(failure, StepError) else failure
    if not is_told(cause, workplace.courier.secrets):
        error.__cause__ = cause
    return error
