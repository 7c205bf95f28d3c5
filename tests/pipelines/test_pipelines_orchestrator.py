"""The local orchestrator runs steps in threads, as many as it takes and no more than allowed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from datetime import UTC, datetime

import pytest

from flowyml.plugins import StepExecutor
from flowyml.records import RunInfo, StepOutcome, StepStatus, StepTask
from flowyml_local.orchestrator import LocalOrchestrator

RUN = RunInfo("run-1", "production", "local", datetime(2026, 11, 25, tzinfo=UTC))


def task(name: str) -> StepTask:
    """Return the task of a step."""
    return StepTask("flow.py:pipeline", name, "run-1", "local", None, "/project")


def done(task: StepTask) -> StepOutcome:
    """Do the work of a step at once."""
    return StepOutcome(task.step, StepStatus.DONE)


@pytest.fixture
def executor() -> Iterator[StepExecutor]:
    """Give an executor of at most three threads."""
    opened = LocalOrchestrator(max_workers=3).open_executor(RUN)
    yield opened
    opened.close()


def test_threads_hand_over_live_objects() -> None:
    """Threads are in this process; processes are not."""
    threads = LocalOrchestrator().open_executor(RUN)
    processes = LocalOrchestrator(executor="process").open_executor(RUN)

    assert threads.in_process
    assert not processes.in_process
    threads.close()
    processes.close()


def test_every_step_is_run(executor: StepExecutor) -> None:
    """A hundred short steps all come to their end."""
    futures = [executor.submit(done, task(str(number))) for number in range(100)]

    assert [future.result(30).step for future in futures] == [str(n) for n in range(100)]


def test_no_step_is_left_to_a_thread_that_is_busy() -> None:
    """A thread that is about to take one step is not counted on for the next, however close."""
    for _ in range(300):
        together = threading.Barrier(2)

        def meet(task: StepTask, together: threading.Barrier = together) -> StepOutcome:
            together.wait(20)
            return done(task)

        executor = LocalOrchestrator().open_executor(RUN)
        futures = [executor.submit(meet, task(name)) for name in ("left", "right")]
        assert [future.result(30).step for future in futures] == ["left", "right"]
        executor.close()


def test_waiting_steps_get_threads_of_their_own(executor: StepExecutor) -> None:
    """Steps that wait for each other run at once, up to the number that is allowed."""
    together = threading.Barrier(3)

    def meet(task: StepTask) -> StepOutcome:
        together.wait(30)
        return done(task)

    futures = [executor.submit(meet, task(str(number))) for number in range(3)]

    assert [future.result(30).status for future in futures] == [StepStatus.DONE] * 3


def test_threads_leave_when_others_are_quick_enough(executor: StepExecutor) -> None:
    """Three were needed once; for pairs of short steps, fewer are enough."""
    before = set(threading.enumerate())

    def working() -> int:
        threads = set(threading.enumerate()) - before
        return sum(thread.name.startswith("flowyml-step") for thread in threads)

    def meeting(count: int) -> list[StepOutcome]:
        together = threading.Barrier(count)

        def meet(task: StepTask) -> StepOutcome:
            together.wait(30)
            return done(task)

        futures = [executor.submit(meet, task(str(number))) for number in range(count)]
        return [future.result(30) for future in futures]

    meeting(3)  # takes a thread for each
    for _ in range(1000):
        meeting(2)
        if working() < 3:
            break

    assert working() < 3


def test_short_steps_go_on_beside_a_long_one() -> None:
    """Its thread counts for none of those that take them up."""
    executor = LocalOrchestrator(max_workers=2).open_executor(RUN)
    go_on = threading.Event()

    def wait(task: StepTask) -> StepOutcome:
        go_on.wait(60)
        return done(task)

    for number in range(20):
        short = [executor.submit(done, task(f"before-{number}")) for _ in range(20)]
        go_on.clear()
        long = executor.submit(wait, task("long"))
        short += [executor.submit(done, task(f"after-{number}")) for _ in range(20)]
        assert [future.result(30).status for future in short] == [StepStatus.DONE] * 40
        go_on.set()
        assert long.result(30).step == "long"
    executor.close()


def test_no_more_run_at_once_than_allowed() -> None:
    """With one worker a step waits for the one before."""
    executor = LocalOrchestrator(max_workers=1).open_executor(RUN)
    running: list[int] = []
    most: list[int] = []

    def count(task: StepTask) -> StepOutcome:
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.005)
        running.pop()
        return done(task)

    futures = [executor.submit(count, task(str(number))) for number in range(5)]
    for future in futures:
        future.result(30)
    executor.close()

    assert max(most) == 1


def test_an_exception_is_the_futures(executor: StepExecutor) -> None:
    """The thread goes on after work that raised."""

    def fail(task: StepTask) -> StepOutcome:
        raise KeyError(task.step)

    with pytest.raises(KeyError, match="a"):
        executor.submit(fail, task("a")).result(30)
    assert executor.submit(done, task("b")).result(30).step == "b"


def test_closing_drops_what_has_not_begun() -> None:
    """A step that waits for a thread is cancelled; the one that runs comes to its end."""
    executor = LocalOrchestrator(max_workers=1).open_executor(RUN)
    begun, go_on = threading.Event(), threading.Event()

    def wait(task: StepTask) -> StepOutcome:
        begun.set()
        go_on.wait(30)
        return done(task)

    first = executor.submit(wait, task("first"))
    second = executor.submit(wait, task("second"))
    begun.wait(30)
    executor.close()
    go_on.set()

    assert first.result(30).step == "first"
    with pytest.raises(CancelledError):
        second.result(30)


def test_a_number_of_workers_below_one_is_refused() -> None:
    """Nothing would ever run."""
    with pytest.raises(ValueError, match="1 or more; got 0"):
        LocalOrchestrator(max_workers=0)
