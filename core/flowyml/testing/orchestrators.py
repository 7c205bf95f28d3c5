"""What every orchestrator has to do.

Subclass `OrchestratorContract`, give its fixture, and write the same as in flowyml.yaml::

    class TestLabOrchestrator(OrchestratorContract):
        settings = "{ type: lab, queue: short }"

        @pytest.fixture
        def new_orchestrator(self):
            return lambda: LabOrchestrator(queue="short")

The type has to be installed: runs find it through its entry point.

Where steps run on another machine, the store of the stack has to be one that they reach::

        @pytest.fixture
        def stack_components(self):
            return {"artifact_store": "{ type: s3, bucket: ${BUCKET} }"}
"""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.result import RunResult
from flowyml.plugins import Component, StepExecutor
from flowyml.records import RunInfo, RunStatus, StepOutcome, StepStatus, StepTask
from flowyml.stacks.active import command_line, current_project
from flowyml.testing.components import ComponentContract

__all__ = ["OrchestratorContract"]

NewOrchestrator = Callable[[], Any]
RunFlow = Callable[..., RunResult]

FLOW = """\
from flowyml import Metrics, Pipeline, context, step

@step(outputs=["numbers"])
def load(count: int) -> list[int]:
    print("a step may print")
    return list(range(count))

@step(outputs=["total"])
def add(numbers: list[int]) -> int:
    return sum(numbers)

@step(outputs=["largest"])
def find(numbers: list[int]) -> int:
    return max(numbers)

@step
def report(total: int, largest: int) -> Metrics:
    return Metrics({"total": total, "largest": largest})

pipeline = Pipeline("conformance", context=context(count=5))
for each in (load, add, find, report):
    pipeline.add_step(each)
"""

BREAK = """\
from flowyml import Pipeline, step

@step
def sound() -> int:
    return 1

@step
def broken(sound: int) -> int:
    raise ValueError("the data is not what it was")

@step
def beside(sound: int) -> int:
    return sound

@step
def after(broken: int) -> int:
    return broken

pipeline = Pipeline("broken")
for each in (sound, broken, beside, after):
    pipeline.add_step(each)
"""

SLOW = """\
import time
from flowyml import Pipeline, step

@step(timeout=0.2)
def slow() -> int:
    time.sleep(60)
    return 1

@step(timeout=0.2)
def slower() -> int:
    time.sleep(60)
    return 1

# Two at once: a run may do a step that is alone by itself, without its executor.
pipeline = Pipeline("slow").add_step(slow).add_step(slower)
"""


class OrchestratorContract(ComponentContract):
    """Tests of an orchestrator; a subclass may add its own beside them.

    Attributes:
        settings: The orchestrator as flowyml.yaml has it, as a mapping on one line.
        patience: Seconds that a short step may take.
    """

    settings: ClassVar[str]
    patience: ClassVar[float] = 60.0

    @pytest.fixture
    def new_orchestrator(self) -> NewOrchestrator:
        """Return a function that makes the orchestrator."""
        raise NotImplementedError

    @pytest.fixture
    def new_component(self, new_orchestrator: NewOrchestrator) -> Callable[[], Component]:
        """Let the tests of any component have an orchestrator."""
        return new_orchestrator

    @pytest.fixture
    def stack_components(self) -> Mapping[str, str]:
        """Return the other components of the stack by role, each as `settings` has its own."""
        return {}

    @pytest.fixture
    def run_flow(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        stack_components: Mapping[str, str],
    ) -> Iterator[RunFlow]:
        """Return a function that runs a pipeline in a project whose stack has the orchestrator."""
        config = tmp_path / "flowyml.yaml"
        components = {"orchestrator": self.settings, **stack_components}
        lines = (f"  {role}: {settings}\n" for role, settings in components.items())
        config.write_text("plugins:\n" + "".join(lines))
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("FLOWYML_STACK", raising=False)
        known = set(sys.modules)

        def run(source: str, **parameters: object) -> RunResult:
            (tmp_path / "flow.py").write_text(textwrap.dedent(source))
            with command_line(None, config):
                pipeline = find_pipeline("flow.py", current_project())
                return pipeline.run(parameters=parameters)

        yield run
        for name in set(sys.modules) - known:
            if name.rpartition(".")[2] == "flow":
                del sys.modules[name]

    @pytest.fixture
    def executor(self, new_orchestrator: NewOrchestrator) -> Iterator[StepExecutor]:
        """Open an executor for one run."""
        run = RunInfo("run-1", "conformance", "local", datetime(2026, 5, 1, tzinfo=UTC))
        opened = new_orchestrator().open_executor(run=run)
        yield opened
        opened.close()

    def test_a_run_comes_to_its_end(self, run_flow: RunFlow) -> None:
        """Each step has what the steps before it returned, and the context's values."""
        result = run_flow(FLOW, count=4)
        assert result.status is RunStatus.DONE, str(result)
        assert dict(result.outputs["report"]) == {"total": 6, "largest": 3}
        assert set(_statuses(result).values()) == {StepStatus.DONE}

    def test_a_failure_comes_back_with_its_message(self, run_flow: RunFlow) -> None:
        """It names step and cause; what depends on the step is not run."""
        result = run_flow(BREAK)
        assert result.status is RunStatus.FAILED
        assert "the data is not what it was" in str(result.error)
        assert "broken" in str(result.error)
        assert _statuses(result) == {
            "sound": StepStatus.DONE,
            "broken": StepStatus.FAILED,
            "beside": StepStatus.DONE,
            "after": StepStatus.SKIPPED,
        }

    def test_a_step_that_takes_too_long_is_given_up(self, run_flow: RunFlow) -> None:
        """The run does not wait for it."""
        result = run_flow(SLOW)
        assert result.status is RunStatus.FAILED
        assert "0.2" in str(result.error)

    def test_it_says_where_steps_run(self, executor: StepExecutor) -> None:
        """In this process, where they hand over live objects, or elsewhere."""
        assert executor.in_process in {True, False}
        assert getattr(executor, "shares_project", True) in {True, False}
        assert not executor.in_process or getattr(executor, "shares_project", True)

    def test_work_runs_once(self, executor: StepExecutor) -> None:
        """Each task by itself, as many as there are."""
        _only_in_process(executor)
        begun: list[str] = []

        def work(task: StepTask) -> StepOutcome:
            begun.append(task.step)
            return StepOutcome(task.step, StepStatus.DONE)

        futures = [executor.submit(work, _task(str(number))) for number in range(50)]
        steps = [future.result(self.patience).step for future in futures]
        assert steps == [str(number) for number in range(50)]
        assert sorted(begun) == sorted(steps)

    def test_independent_work_runs_at_once(self, executor: StepExecutor) -> None:
        """Two steps that wait for each other come to their end."""
        _only_in_process(executor)
        together = threading.Barrier(2)

        def meet(task: StepTask) -> StepOutcome:
            together.wait(self.patience)
            return StepOutcome(task.step, StepStatus.DONE)

        futures = [executor.submit(meet, _task(name)) for name in ("a", "b")]
        assert [future.result(self.patience).step for future in futures] == ["a", "b"]

    @pytest.mark.parametrize("error", [KeyError("a"), SystemExit(3), KeyboardInterrupt()])
    def test_what_work_raises_is_the_futures(
        self, executor: StepExecutor, error: BaseException
    ) -> None:
        """Whatever it is; work that comes later still runs."""
        _only_in_process(executor)

        def fail(_task: StepTask) -> StepOutcome:
            raise error

        failed = executor.submit(fail, _task("a"))
        assert failed.exception(self.patience) is error
        later = executor.submit(lambda task: StepOutcome(task.step, StepStatus.DONE), _task("b"))
        assert later.result(self.patience).step == "b"

    def test_closing_twice_is_closing(self, executor: StepExecutor) -> None:
        """It gives back what it has, and has nothing more to give back then."""
        executor.close()
        executor.close()


def _statuses(result: RunResult) -> dict[str, StepStatus]:
    return {step.name: step.status for step in result.steps}


def _only_in_process(executor: StepExecutor) -> None:
    if not executor.in_process:
        pytest.skip("its steps run elsewhere, so the work of this process is not called")


def _task(step: str) -> StepTask:
    return StepTask("flow.py:pipeline", step, "run-1", "local", None, "/project")
