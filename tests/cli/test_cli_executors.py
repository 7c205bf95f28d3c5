"""A run believes of its executor what is written down, and outlives whatever that does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ask, Install

# The command shows them; here they would be errors of the tests.
pytestmark = pytest.mark.filterwarnings("default::flowyml.stacks.hooks.LifecycleWarning")

ERRATIC = """
import sys
from concurrent.futures import Future

from attrs import define, field

from flowyml.plugins import Orchestrator, hookimpl
from flowyml.records import StepOutcome, StepStatus


class Executor:
    def __init__(self, mode, in_process):
        self.mode, self.in_process = mode, in_process

    def submit(self, work, task):
        return getattr(self, self.mode)(work, task)

    def close(self):
        if self.mode == "closes":
            raise OSError("the cluster is gone")
        if self.mode == "quits_at_last":
            sys.exit(9)

    def ended(self, outcome):
        future = Future()
        future.set_result(outcome)
        return future

    def lies(self, work, task):
        return self.ended(StepOutcome(task.step, StepStatus.DONE))

    def puts_off(self, work, task):
        return self.ended(StepOutcome(task.step, StepStatus.PENDING))

    def says_words(self, work, task):
        return self.ended("done")

    def loses(self, work, task):
        return self.ended(StepOutcome(task.step, StepStatus.FAILED, "the machine was taken away"))

    def is_down(self, work, task):
        raise ConnectionError("no scheduler answers")

    def quits(self, work, task):
        sys.exit(0)

    def quits_later(self, work, task):
        future = Future()
        future.set_exception(SystemExit(5))
        return future

    def forgets(self, work, task):
        return None

    def cancels(self, work, task):
        future = Future()
        future.cancel()
        return future

    def works(self, work, task):
        return self.ended(work(task))

    closes = quits_at_last = works

    def mixes_up(self, work, task):
        work(task)
        return self.ended(StepOutcome("another", StepStatus.STORED))


@define(slots=False)
class Erratic(Orchestrator):
    mode: str
    in_process: bool = True

    @hookimpl
    def open_executor(self, run):
        return Executor(self.mode, self.in_process)
"""

FLOW = """
from flowyml import Pipeline, step

@step
def left() -> int:
    return 1

@step
def right() -> int:
    return 2

@step
def both(left: int, right: int) -> int:
    return left + right

pipeline = Pipeline("flow").add_step(left).add_step(right).add_step(both)
"""

SAID = {
    "lies": "says that it is done, and what is written down says pending",
    "puts_off": "says that it is pending, and what is written down says pending",
    "says_words": "TypeError: submit() came to an object of the class str, not to a StepOutcome",
    "loses": "the machine was taken away",
    "is_down": "(erratic) did not bring it to its end: ConnectionError: no scheduler answers",
    "quits": "(erratic) did not bring it to its end: SystemExit: 0",
    "quits_later": "(erratic) did not bring it to its end: SystemExit: 5",
    "forgets": "TypeError: submit() came to an object of the class NoneType, not to a Future",
    "cancels": "(erratic) did not bring it to its end: CancelledError: ",
}


@pytest.fixture
def use(install: Install, project: Path) -> Callable[..., None]:
    """Install an orchestrator; give a function that writes a stack with it."""
    install("erratic", {"erratic": ERRATIC}, "[flowyml.orchestrator]\nerratic = erratic:Erratic\n")
    (project / "flow.py").write_text(FLOW)

    def write(mode: str, *, in_process: bool = True) -> None:
        fields = f"type: erratic, mode: {mode}, in_process: {str(in_process).lower()}"
        (project / "flowyml.yaml").write_text(f"plugins: {{ orchestrator: {{ {fields} }} }}\n")

    return write


@pytest.mark.parametrize("in_process", [True, False], ids=["here", "elsewhere"])
@pytest.mark.parametrize("mode", SAID)
def test_a_step_that_an_executor_does_not_do_has_failed(
    use: Callable[..., None], flowyml: Ask, mode: str, in_process: bool
) -> None:
    """Both that are ready have, the third is skipped, and it is said who did what."""
    use(mode, in_process=in_process)

    ran = flowyml("run", "flow.py")

    assert ran.code == 1
    assert SAID[mode] in ran.err
    (run,) = flowyml("runs", "list", "-o", "json").objects
    assert run["status"] == "failed"
    (shown,) = flowyml("runs", "show", run["run_id"], "-o", "json").objects
    stands = {step["name"]: step["status"] for step in shown["steps"]}
    assert stands == {"left": "failed", "right": "failed", "both": "skipped"}


def test_what_failed_so_is_resumed(use: Callable[..., None], flowyml: Ask) -> None:
    """Once the executor works, the steps run; that it mixes them up then makes no difference."""
    use("is_down")
    flowyml("run", "flow.py")
    (run,) = flowyml("runs", "list", "-o", "json").objects
    use("mixes_up")

    assert flowyml("resume", run["run_id"]).code == 0
    (shown,) = flowyml("runs", "show", run["run_id"], "-o", "json").objects
    assert [step["status"] for step in shown["steps"]] == ["done", "done", "done"]


@pytest.mark.parametrize(
    ("mode", "said"),
    [("closes", "OSError: the cluster is gone"), ("quits_at_last", "SystemExit: 9")],
)
def test_a_run_is_done_whatever_its_executor_does_after_it(
    use: Callable[..., None], flowyml: Ask, mode: str, said: str
) -> None:
    """That it could not be closed is a warning."""
    use(mode)

    ran = flowyml("run", "flow.py")

    assert ran.code == 0
    assert "orchestrator: close failed: orchestrator could not give back what ran the" in ran.err
    assert said in ran.err
