"""The local orchestrator: runs steps in threads, or each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, Literal

import attrs
from attrs import define, field

from flowyml.errors import ConfigurationError, StepError
from flowyml.plugins import Orchestrator, StepExecutor, hookimpl
from flowyml.records import RunInfo, StepOutcome, StepStatus, StepTask

__all__ = ["LocalOrchestrator"]

Work = Callable[[StepTask], StepOutcome]

WORKER: Final = (sys.executable, "-m", "flowyml.pipelines.worker")

GRACE: Final = 5.0
"""Seconds that a step's process has to end when it is told to."""


PATIENCE: Final = 0.002
"""Seconds between two steps that are taken up: if more, a further thread is started."""


def _default_workers() -> int:
    return min(32, (os.cpu_count() or 1) + 4)


@define(slots=False)
class LocalOrchestrator(Orchestrator):
    """Runs the steps on this machine.

    Attributes:
        executor: ``thread`` runs them in this process, where they hand each other live objects;
            ``process`` runs each in one of its own, which a timeout can end.
        max_workers: How many run at once; a few more than there are processors by default.
    """

    executor: Literal["thread", "process"] = "thread"
    max_workers: int | None = field(default=None)

    @max_workers.validator
    def _check(self, _field: object, count: int | None) -> None:
        if count is not None and count < 1:
            message = f"max_workers is how many steps run at once, 1 or more; got {count}"
            raise ValueError(message)

    @hookimpl
    def open_executor(self, run: RunInfo) -> StepExecutor:
        """Open threads, or what starts processes."""
        del run
        workers = self.max_workers or _default_workers()
        return _Processes(workers) if self.executor == "process" else _Threads(workers)


@define(eq=False)
class _Threads:
    """Runs work in daemon threads.

    A further thread is started only when nothing was taken up for a moment, and one leaves when
    the others take steps up more often than that: short ones are done faster by one thread than by
    several that wait for each other.

    Not a `ThreadPoolExecutor`: that one waits for its threads when the interpreter ends, and so
    for a step that was given up, for ever.
    """

    workers: int
    in_process: bool = field(default=True, init=False)
    _waiting: SimpleQueue[tuple[Future[StepOutcome], Work, StepTask] | None] = field(
        factory=SimpleQueue, init=False
    )
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _started: int = field(default=0, init=False)
    _idle: int = field(default=0, init=False)
    _taken: int = field(default=0, init=False)
    _growing: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)

    def submit(self, work: Work, task: StepTask) -> Future[StepOutcome]:
        """Run a step as soon as a thread is free."""
        future: Future[StepOutcome] = Future()
        self._waiting.put((future, work, task))
        with self._lock:
            if self._started == 0:
                self._start(self._serve)
            else:
                self._consider_growing()
        return future

    def close(self) -> None:
        """Start nothing more; threads end after the step they run."""
        with self._lock:
            self._closed = True
            started = self._started
        with suppress(Empty):
            while True:
                if waiting := self._waiting.get_nowait():
                    waiting[0].cancel()
        for _ in range(started):
            self._waiting.put(None)

    def _start(self, target: Callable[[], None]) -> None:
        self._started += 1
        threading.Thread(target=target, name=f"flowyml-step-{self._started}", daemon=True).start()

    def _consider_growing(self) -> None:
        """See that somebody takes up what waits.

        Asked for each new step, and by each thread that takes one up: a thread that was idle when a
        step came may have been about to take another.
        """
        nobody = not (self._idle or self._growing or self._closed or self._waiting.empty())
        if nobody and self._started < self.workers:
            self._growing = True
            threading.Thread(target=self._grow, name="flowyml-growth", daemon=True).start()

    def _grow(self) -> None:
        """Start threads until the waiting steps are taken up."""
        while True:
            before = self._taken
            time.sleep(PATIENCE)
            with self._lock:
                done = self._closed or self._started >= self.workers or self._waiting.empty()
                if done:
                    self._growing = False
                    return
                if self._taken == before:
                    self._start(self._serve)

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            waiting = self._waiting.get()
            with self._lock:
                self._idle -= 1
                self._taken += 1
                self._consider_growing()
                taken, began = self._taken, time.monotonic()
            if waiting is None:
                return
            _do(*waiting)
            del waiting  # what the step was given and gave is not kept until the next one comes
            if self._is_surplus(taken, began):
                return

    def _is_surplus(self, taken: int, began: float) -> bool:
        """Take a thread off the count where the others were quick enough during its last step."""
        with self._lock:
            others = self._taken - taken
            if self._started == 1 or others * PATIENCE <= time.monotonic() - began:
                return False
            self._started -= 1
            self._consider_growing()
            return True


def _do(future: Future[StepOutcome], work: Work, task: StepTask) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(work(task))
        except BaseException as error:  # noqa: BLE001  # it is the caller's to judge
            future.set_exception(error)


@define(eq=False)
class _Processes:
    """Runs every step in a process of its own."""

    workers: int
    in_process: bool = field(default=False, init=False)
    _threads: _Threads = field(init=False)
    _running: set[subprocess.Popen[bytes]] = field(factory=set, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _closed: bool = field(default=False, init=False)

    @_threads.default
    def _one_for_each_process(self) -> _Threads:
        return _Threads(self.workers)

    def submit(self, work: Work, task: StepTask) -> Future[StepOutcome]:
        """Start a process for the step as soon as fewer than ``max_workers`` run."""
        del work
        return self._threads.submit(self._run, task)

    def close(self) -> None:
        """End the processes of steps that still run."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        self._threads.close()
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()

    def _run(self, task: StepTask) -> StepOutcome:
        process = self._start()
        try:
            answer, _ = process.communicate(json.dumps(attrs.asdict(task)).encode())
        finally:
            with self._lock:
                self._running.discard(process)
        return _outcome(task, process.returncode, answer)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                message = "the run ended before this step started"
                raise ConfigurationError(message)
            # A session of its own: Ctrl-C in the terminal reaches the run, which ends its steps.
            process = subprocess.Popen(
                WORKER,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "FLOWYML_PARENT": str(os.getpid())},
                start_new_session=True,
            )
            self._running.add(process)
            return process


def _outcome(task: StepTask, code: int, answer: bytes) -> StepOutcome:
    """Return what a process said of its step, or that it ended without a word."""
    if code == 0 and answer:
        said: dict[str, Any] = json.loads(answer)
        return StepOutcome(said["step"], StepStatus(said["status"]), said["error"])
    why = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    message = (
        f"step {task.step!r}: its process {why} and left no outcome; it may have run out of "
        "memory, or what it printed above says more"
    )
    raise StepError(message, step=task.step)
