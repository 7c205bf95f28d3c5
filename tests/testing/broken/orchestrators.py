"""Orchestrators with one mistake each, and the test of the suite that finds it.

Runs find an orchestrator by its type, so each check has a type of its own that a distribution on
disk provides.
"""

# mypy: ignore-errors

from __future__ import annotations

import sys
from concurrent.futures import Future

import pytest
from attrs import define
from tests.testing.broken.table import suites

from flowyml.plugins import Orchestrator, discovery, hookimpl
from flowyml.records import StepOutcome, StepStatus
from flowyml.testing import ComponentContract, OrchestratorContract
from flowyml_local.orchestrator import LocalOrchestrator


@define(slots=False)
class Sound(Orchestrator):
    executor = None

    @hookimpl
    def open_executor(self, run):
        inner = LocalOrchestrator(max_workers=3).open_executor(run)
        return inner if self.executor is None else self.executor(inner)


class Inner:
    in_process = True

    def __init__(self, inner):
        self.inner = inner

    def submit(self, work, task):
        return self.inner.submit(lambda task: self.do(work, task), task)

    def do(self, work, task):
        return work(task)

    def close(self):
        self.inner.close()


def mistaken(executor):
    return define(slots=False)(type(executor.__name__, (Sound,), {"executor": executor}))


class Idle(Inner):
    def do(self, work, task):
        return StepOutcome(task.step, StepStatus.DONE)


class Vague(Inner):
    def do(self, work, task):
        raise RuntimeError("a step failed")


class Undecided(Inner):
    in_process = None


class Twice(Inner):
    def do(self, work, task):
        work(task)
        return work(task)


class OneByOne(Inner):
    def submit(self, work, task):
        future = Future()
        try:
            future.set_result(work(task))
        except BaseException as error:
            future.set_exception(error)
        return future


class Wrapping(Inner):
    def do(self, work, task):
        try:
            return work(task)
        except BaseException as error:
            raise RuntimeError from error


class Fragile(Inner):
    closed = False

    def close(self):
        assert not self.closed, "closed twice"
        self.closed = True
        super().close()


class Base(OrchestratorContract):
    patience = 2.0

    @pytest.fixture(autouse=True)
    def _installed(self, tmp_path, monkeypatch):
        info = tmp_path / "site" / "mistaken-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mistaken\nVersion: 1.0\n")
        entry = f"tried = {__name__}:TRIED"
        (info / "entry_points.txt").write_text(f"[flowyml.orchestrator]\n{entry}\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.setattr(sys.modules[__name__], "TRIED", self.make, raising=False)
        discovery.installed.cache_clear()
        yield
        discovery.installed.cache_clear()

    settings = "{ type: tried }"

    @pytest.fixture
    def new_orchestrator(self):
        return lambda: self.make()


SHARED = {name for name in vars(ComponentContract) if name.startswith("test_")}

BROKEN = {
    "test_a_run_comes_to_its_end": mistaken(Idle),
    "test_a_failure_comes_back_with_its_message": mistaken(Idle),
    "test_a_step_that_takes_too_long_is_given_up": mistaken(Vague),
    "test_it_says_where_steps_run": mistaken(Undecided),
    "test_work_runs_once": mistaken(Twice),
    "test_independent_work_runs_at_once": mistaken(OneByOne),
    "test_what_work_raises_is_the_futures": mistaken(Wrapping),
    "test_closing_twice_is_closing": mistaken(Fragile),
}

globals().update(suites(Base, BROKEN, Sound))
