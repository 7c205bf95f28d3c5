"""Calling a user's function, whatever kind it is: plain, generator, async, with a time limit."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import copy_context
from typing import Any

from attrs import define, frozen

from flowyml.pipelines.failures import StepTimeoutError
from flowyml.pipelines.graph import AnyStep

__all__ = ["Arguments", "call"]

OnYield = Callable[[object], None]


@frozen
class Arguments:
    """What a function is called with."""

    positional: Sequence[object]
    named: Mapping[str, object]


def call(step: AnyStep, arguments: Arguments, on_yield: OnYield) -> object:
    """Call a step's function and return what it returns at last.

    Args:
        step: The step.
        arguments: Its arguments.
        on_yield: Is given each value that a generator yields, before it goes on.

    Raises:
        StepTimeoutError: It took longer than the step allows. Its thread cannot be ended.
        BaseException: Whatever the function raises.
    """
    if step.timeout is None:
        return _call(step, arguments, on_yield)
    return _within(step, lambda: _call(step, arguments, on_yield))


def _call(step: AnyStep, arguments: Arguments, on_yield: OnYield) -> object:
    result = step.function(*arguments.positional, **arguments.named)
    if inspect.iscoroutine(result):
        return _awaited(result)
    if step.is_generator and inspect.isgenerator(result):
        return _drained(result, on_yield)
    if step.is_generator and inspect.isasyncgen(result):
        return _awaited(_drained_async(result, on_yield))
    return result


def _drained(generator: Generator[object, Any, object], on_yield: OnYield) -> object:
    try:
        while True:
            on_yield(next(generator))
    except StopIteration as end:
        return end.value
    finally:
        generator.close()


async def _drained_async(generator: AsyncGenerator[object, Any], on_yield: OnYield) -> None:
    async for value in generator:
        on_yield(value)


def _awaited(coroutine: Coroutine[Any, Any, object]) -> object:
    """Run a coroutine to its end, also where an event loop runs in this thread (a notebook)."""
    import asyncio  # noqa: PLC0415  # sixty modules that few steps need

    if _runs_a_loop(asyncio.get_running_loop):
        return _Elsewhere(lambda: asyncio.run(coroutine)).result(None)
    return asyncio.run(coroutine)


def _runs_a_loop(find: Callable[[], object]) -> bool:
    """Whether an event loop runs; that none does is no part of what a step raises later."""
    try:
        find()
    except RuntimeError:
        return False
    return True


def _within(step: AnyStep, work: Callable[[], object]) -> object:
    elsewhere = _Elsewhere(work)
    try:
        return elsewhere.result(step.timeout)
    except _StillRunningError:
        message = (
            f"step {step.name!r} took longer than its timeout of {step.timeout:g} s and was given "
            "up; give it more with @step(timeout=...), or less to do"
        )
        raise StepTimeoutError(message, step=step.name) from None


class _StillRunningError(Exception):
    """The work took longer than the caller waits."""


@define(slots=False)
class _Elsewhere:
    """Work in a thread of its own, in a copy of the context that it was started in.

    The thread is a daemon, so that one which never ends does not keep the process from ending.
    """

    work: Callable[[], object]
    value: object = None
    error: BaseException | None = None

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), daemon=True)
        self._thread.start()

    def result(self, seconds: float | None) -> object:
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise _StillRunningError
        if self.error is not None:
            raise self.error
        return self.value

    def _run(self) -> None:
        try:
            self.value = self.work()
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is asked for
            self.error = error
