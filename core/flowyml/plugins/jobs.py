"""How a run follows the jobs of its steps, whatever the service does meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import attrs
from attrs import define, field, frozen

from flowyml.errors import StepError
from flowyml.plugins.errands import Errand, is_settled, pack_errand, read_outcome
from flowyml.records import StepOutcome, StepTask

if TYPE_CHECKING:
    from flowyml.plugins.remote import RemoteOrchestrator

__all__ = ["Job", "Jobs"]

T = TypeVar("T")

TRIES: Final = 5
"""How often a call is made that fails for a reason that may pass."""

GRACE: Final = 30.0
"""Seconds that the end of a run waits for jobs that are just being started, to cancel them."""

FIRST_PAUSE: Final = 0.5
GROWTH: Final = 1.5


@frozen
class Job:
    """One job, as its service tells of it.

    Attributes:
        name: The service's name for it.
        attempt: Which attempt at its step it is.
        state: ``waiting``, ``running``, or how it ended.
        reason: Why it failed, in the service's words.
        url: Where people look at it.
        log: Where its log is.
    """

    name: str
    attempt: int
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    reason: str = ""
    url: str = ""
    log: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in {"done", "failed", "cancelled"}


@define(eq=False)
class Jobs:
    """Starts a job for each step and waits for it.

    Attributes:
        service: Where they run.
    """

    service: RemoteOrchestrator
    in_process: bool = field(default=False, init=False)
    shares_project: bool = field(default=False, init=False)
    _free: threading.Semaphore = field(init=False)
    _closed: threading.Event = field(factory=threading.Event, init=False)
    _running: dict[str, Job] = field(factory=dict, init=False)
    _starting: int = field(default=0, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)

    @_free.default
    def _as_many_as_may_run(self) -> threading.Semaphore:
        return threading.Semaphore(self.service.max_jobs)

    @property
    def environment(self) -> frozenset[str]:
        """Names of the environment variables that steps find."""
        return frozenset(self.service.variables())

    def submit(
        self, work: Callable[[StepTask], StepOutcome], task: StepTask
    ) -> Future[StepOutcome]:
        """Start a job for the step, or find the one that an earlier attempt at the run started."""
        del work
        future: Future[StepOutcome] = Future()

        def follow() -> None:
            try:
                with self._free:
                    future.set_result(self._run(task))
            except BaseException as error:  # noqa: BLE001  # it is the caller's to judge
                future.set_exception(error)

        threading.Thread(target=follow, name=f"flowyml-job-{task.step}", daemon=True).start()
        return future

    def close(self) -> None:
        """Cancel the jobs that still run."""
        with self._changed:
            self._closed.set()
            self._changed.wait_for(lambda: not self._starting, GRACE)
            running = list(self._running.values())
        for job in running:
            self._cancel(job)

    def _run(self, task: StepTask) -> StepOutcome:
        errand = Errand(task.run_id, task.step)
        earlier = self._persistently(lambda: self.service.jobs(errand))
        if earlier:
            errand = attrs.evolve(errand, attempt=earlier[-1].attempt)
            found = self._taken_over(errand, earlier[-1])
            if found is not None:
                return found
            errand = attrs.evolve(errand, attempt=errand.attempt + 1)
        job = self._ended(errand, self._begin(errand, task))
        outcome = self._outcome(errand, job)
        if outcome is None:
            raise StepError(_why(job), step=task.step)
        return _checked(outcome, job)

    def _taken_over(self, errand: Errand, job: Job) -> StepOutcome | None:
        """Return the outcome of a job that is there already; None where the step has to run again.

        A step that failed before the run was gone on with runs again; one that fails while the
        run waits for it has failed.
        """
        was_over = job.is_over
        job = self._ended(errand, job)
        outcome = self._outcome(errand, job)
        if outcome is None or (was_over and not is_settled(outcome)):
            return None
        return _checked(outcome, job)

    def _begin(self, errand: Errand, task: StepTask) -> Job:
        archive = pack_errand(task, include=self.service.include)
        with self._changed:
            if self._closed.is_set():
                message = "the run ended before this step started"
                raise StepError(message, step=task.step)
            self._starting += 1
        try:
            job = self._started(errand, archive)
            self._running[job.name] = job
            return job
        finally:
            with self._changed:
                self._starting -= 1
                self._changed.notify_all()

    def _started(self, errand: Errand, archive: bytes) -> Job:
        tries = 0

        def start() -> Job:
            # What is lost may be only the answer: the job of the try before is there then.
            nonlocal tries
            tries += 1
            found = self.service.jobs(errand) if tries > 1 else ()
            same = [job for job in found if job.attempt == errand.attempt]
            return same[0] if same else self.service.start(errand, archive)

        return self._persistently(start)

    def _ended(self, errand: Errand, job: Job) -> Job:
        """Wait for the end of a job."""
        if job.is_over:
            return job
        sys.stderr.write(f"step {errand.step!r} runs as the job {job.url or job.name}\n")
        with self._changed:
            late = self._closed.is_set() and job.name not in self._running
            self._running[job.name] = job
        if late:  # the end of the run has cancelled what it knew of
            self._cancel(job)
        try:
            return self._awaited(errand, job)
        finally:
            if not self._closed.is_set():  # else whoever closes has still to cancel it
                self._running.pop(job.name, None)

    def _awaited(self, errand: Errand, job: Job) -> Job:
        end = time.monotonic() + self.service.deadline
        for pause in self._pauses():
            if self._closed.wait(min(pause, max(0.0, end - time.monotonic()))):
                message = f"the run ended before its job {job.name} did, which was cancelled"
                raise StepError(message, step=errand.step)
            with suppress(_PassingError):
                job = self._once(partial(self.service.look, job))
            if job.is_over:
                break
            if time.monotonic() > end:
                self._cancel(job)
                message = (
                    f"its job {job.name} took longer than {self.service.deadline:g} s and was "
                    f"cancelled; its log: {job.log}; a larger `deadline:` of the orchestrator "
                    "gives it more time"
                )
                raise StepError(message, step=errand.step)
        return job

    def _pauses(self) -> Iterator[float]:
        pause = min(FIRST_PAUSE, self.service.poll_seconds)
        while True:
            yield pause
            pause = min(pause * GROWTH, self.service.poll_seconds)

    def _outcome(self, errand: Errand, job: Job) -> StepOutcome | None:
        if job.state == "cancelled":
            return None
        content = self._persistently(lambda: self.service.outcome(errand))
        with suppress(ValueError):
            return read_outcome(content) if content else None
        return None

    def _cancel(self, job: Job) -> None:
        try:
            self.service.cancel(job)
        except Exception as error:  # noqa: BLE001  # the run ends whatever the service says
            sys.stderr.write(f"the job {job.url or job.name} could not be cancelled: {error}\n")

    def _persistently(self, call: Callable[[], T]) -> T:
        """Make a call again when it failed for a reason that may pass."""
        for pause, last in zip(self._pauses(), range(TRIES - 1, -1, -1), strict=False):
            try:
                return self._once(call)
            except _PassingError as error:
                if not last or self._closed.wait(pause):
                    raise error.cause from None
        raise AssertionError

    def _once(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            if self.service.is_transient(error):
                raise _PassingError(error) from error
            raise


class _PassingError(Exception):
    """A call failed for a reason that may pass."""

    def __init__(self, cause: Exception) -> None:
        """Keep the reason."""
        super().__init__(cause)
        self.cause = cause


def _checked(outcome: StepOutcome, job: Job) -> StepOutcome:
    """Return an outcome that the run can take over, with the job's address in its records.

    Raises:
        StepError: The machine wrote nothing down about the step, only why not.
    """
    if outcome.records is None:
        message = f"its job {job.name} could not run it: {outcome.error}"
        raise StepError(message, step=outcome.step)
    told: dict[str, Any] = outcome.records["step"]
    note = told.get("note") or f"ran as the job {job.url or job.name}"
    return attrs.evolve(outcome, records={**outcome.records, "step": {**told, "note": note}})


def _why(job: Job) -> str:
    log = f"; its log: {job.log}" if job.log else ""
    if job.state == "done":
        return f"its job {job.name} ended without leaving an outcome{log}"
    reason = f": {job.reason}" if job.reason else ""
    word = "was cancelled" if job.state == "cancelled" else "failed"
    return f"its job {job.name} {word}{reason}{log}"
