"""The coordinator: starts each step when all that it takes is there."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import TypeVar

from attrs import define, evolve, field

from flowyml.errors import DeliveryError, FlowyMLError, StepError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import FINISHED
from flowyml.pipelines.execution import execute
from flowyml.pipelines.failures import of_step
from flowyml.pipelines.watching import RunObserver
from flowyml.pipelines.workplace import Workplace
from flowyml.plugins.components import StepExecutor
from flowyml.records import StepOutcome, StepStatus, StepTask
from flowyml.stacks.secrecy import redact, said

__all__ = ["Coordinator"]

T = TypeVar("T")


@define(eq=False)
class Coordinator:
    """Runs the steps of one run.

    A step that failed takes those downstream of it along, and so does one whose output is neither
    at hand nor stored yet; the others go on. A single step that is ready while nothing runs is
    executed in this thread, for there is nobody to wait for.

    Attributes:
        workplace: Where the steps are executed, as far as that is in this process.
        executor: Runs the steps.
        tasks: The task of each step.
        lease: The hold on the run.
        observer: Looks on.
        outcomes: How each step ended that has.
    """

    workplace: Workplace
    executor: StepExecutor
    tasks: Mapping[str, StepTask]
    lease: Lease
    observer: RunObserver
    outcomes: dict[str, StepOutcome] = field(factory=dict)
    _missing: dict[str, int] = field(factory=dict, init=False)
    _ready: deque[str] = field(factory=deque, init=False)
    _running: dict[str, float] = field(factory=dict, init=False)
    _ended: SimpleQueue[tuple[str, Future[StepOutcome]]] = field(factory=SimpleQueue, init=False)

    def run(self, finished: Collection[str] = ()) -> None:
        """Run every step that is not finished.

        Args:
            finished: Steps whose outputs an earlier attempt at the run has stored.

        Raises:
            KeyboardInterrupt: The user wants no more of it.
        """
        nodes = self.workplace.graph.nodes
        for name, node in nodes.items():
            if name not in finished:
                self._missing[name] = sum(above not in finished for above in node.upstream)
        self._ready.extend(name for name, count in self._missing.items() if not count)
        while self._ready or self._running:
            self._start()
            if self._running:
                self._finish(*self._ended.get())

    def _start(self) -> None:
        """Start everything that is ready."""
        while self._ready:
            name = self._ready.popleft()
            if name in self.outcomes:
                continue
            if self.lease.is_lost:
                self._end(self._failed(name, "another process has taken over the run"))
            elif self.executor.in_process and not self._running and not self._ready:
                self._end(self._execute(self.tasks[name]))
            else:
                self._submit(name)

    def _submit(self, name: str) -> None:
        self._running[name] = time.monotonic()
        try:
            future = self._submitted(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # an executor may even call sys.exit()
            future = Future()
            future.set_exception(error)
        future.add_done_callback(lambda ended: self._ended.put((name, ended)))

    def _submitted(self, name: str) -> Future[StepOutcome]:
        if self.executor.in_process:
            # Each step in a copy of the caller's context: it knows the caller's `use_stack`.
            context = copy_context()
            future = self.executor.submit(
                lambda task: context.run(self._execute, task), self.tasks[name]
            )
        else:
            self._tell_started(name)
            future = self.executor.submit(self._execute, self._task_for_elsewhere(name))
        return _given(future, Future)

    def _task_for_elsewhere(self, name: str) -> StepTask:
        """Return a task with all that a machine needs which does not share the project's folder."""
        task = self.tasks[name]
        if getattr(self.executor, "shares_project", True):
            return task
        from flowyml.pipelines.luggage import for_the_way_there  # noqa: PLC0415  # brings cattrs

        upstream = self.workplace.graph.nodes[name].upstream
        records = for_the_way_there(self.workplace.metadata, task.run_id, upstream)
        return evolve(task, records=records)

    def _execute(self, task: StepTask) -> StepOutcome:
        """Execute a step in this process."""
        self._tell_started(task.step)
        began = time.monotonic()
        try:
            outcome = execute(task, self.workplace)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  # the format of a value may call sys.exit()
            outcome = self._failed(task.step, said(error))
        self._tell_finished(outcome, time.monotonic() - began)
        return outcome

    def _finish(self, name: str, future: Future[StepOutcome]) -> None:
        began, untold = self._running.pop(name), not self.executor.in_process
        try:
            outcome = self._confirmed(name, future.result())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever an executor does, the step failed
            outcome, untold = self._failed(name, self._why(error)), True
        if untold:
            self._tell_finished(outcome, time.monotonic() - began)
        self._end(outcome)

    def _confirmed(self, name: str, given: object) -> StepOutcome:
        """Return how a step ended, by what is written down; what an executor says is no proof.

        Raises:
            TypeError: It says it with no outcome.
            DeliveryError: It says that the step ended, and nothing of that is written down.
        """
        outcome = _given(given, StepOutcome)
        if outcome.records is not None:
            from flowyml.pipelines.luggage import unpack_back  # noqa: PLC0415  # as above

            unpack_back(self.workplace.metadata, outcome.records)
        metadata, run_id = self.workplace.metadata, self.workplace.run.run_id
        recorded = metadata.step_status(run_id, name)
        is_deferred = recorded is outcome.status is StepStatus.PENDING and any(
            debt.step == name for debt in metadata.debts(run_id)
        )
        failed = outcome.status is StepStatus.FAILED and recorded in {*FINISHED, StepStatus.FAILED}
        if failed or is_deferred:
            return evolve(outcome, step=name)
        if outcome.status in FINISHED and recorded in FINISHED:
            return StepOutcome(name, recorded)
        message = outcome.error or (
            f"the orchestrator says that it is {outcome.status}, and what is written down says "
            f"{recorded}; look for it where it was to run, then resume the run"
        )
        raise DeliveryError(message)

    def _why(self, error: BaseException) -> str:
        """Return why a step failed that failed outside of its own code."""
        if isinstance(error, FlowyMLError):
            return said(error)
        type_ = self.workplace.stack.types["orchestrator"]
        return f"the orchestrator ({type_}) did not bring it to its end: {said(error)}"

    def _failed(self, name: str, why: str) -> StepOutcome:
        """Write down that a step failed for a reason outside of it, which may name it already."""
        error = redact(of_step(name, why), self.workplace.courier.secrets)
        self.workplace.failures[name] = StepError(error, step=name)
        self.workplace.metadata.set_step_status(
            self.workplace.run.run_id, name, StepStatus.FAILED, error=error
        )
        return StepOutcome(name, StepStatus.FAILED, error)

    def _end(self, outcome: StepOutcome) -> None:
        """Note how a step ended; find out what can start now, or cannot any more."""
        self.outcomes[outcome.step] = outcome
        is_pending = outcome.status is StepStatus.PENDING
        lacking = self.workplace.out_of_reach(outcome.step) if is_pending else set()
        for name in self.workplace.graph.nodes[outcome.step].downstream:
            if outcome.status in {StepStatus.FAILED, StepStatus.SKIPPED}:
                self._skip(name, f"step {outcome.step!r} {outcome.status}")
            elif lacking & self.workplace.taken_by(name):
                self._skip(name, f"what step {outcome.step!r} made for it is not stored yet")
            elif name in self._missing:
                self._missing[name] -= 1
                if not self._missing[name]:
                    self._ready.append(name)

    def _skip(self, name: str, note: str) -> None:
        if name in self.outcomes or name not in self._missing:
            return
        self.workplace.metadata.set_step_status(
            self.workplace.run.run_id, name, StepStatus.SKIPPED, note=note
        )
        self.workplace.give_up(name)
        outcome = StepOutcome(name, StepStatus.SKIPPED)
        self._tell_finished(outcome, 0.0)
        self._end(outcome)

    def _tell_started(self, step: str) -> None:
        self.observer.step_started(step)
        self.workplace.stack.hooks.step_started(self.workplace.run, step)

    def _tell_finished(self, outcome: StepOutcome, seconds: float) -> None:
        self.workplace.stack.hooks.step_finished(self.workplace.run, outcome.step, outcome.status)
        self.observer.step_finished(outcome.step, outcome.status, seconds, outcome.error)


def _given(given: object, cls: type[T]) -> T:
    """Return what an executor gave, which has to be of a class."""
    if isinstance(given, cls):
        return given
    message = (
        f"submit() came to an object of the class {type(given).__name__}, not to a {cls.__name__}"
    )
    raise TypeError(message)
