"""What goes wrong in a step is told with the user's own lines, and takes nothing else along."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any, ClassVar

import pytest
from tests.pipelines.conftest import WriteFile

import flowyml
from flowyml import Metrics, Model, Pipeline, Retry, context, secret, step
from flowyml.errors import StepError
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.result import RunResult
from flowyml.pipelines.resume import resume
from flowyml.pipelines.step import Step
from flowyml.records import RunStatus, StepStatus
from flowyml.stacks.project import Project

pytestmark = pytest.mark.usefixtures("project")


def run(*steps: Step[..., Any], **values: object) -> RunResult:
    pipeline = Pipeline("test", context=context(**values))
    for each in steps:
        pipeline.add_step(each)
    return pipeline.run()


def statuses(result: RunResult) -> dict[str, StepStatus]:
    return {each.name: each.status for each in result.steps}


@step
def broken() -> int:
    def inner() -> int:
        return 1 // 0

    return inner()


def test_a_failed_run_raises_nothing() -> None:
    """The result says that it failed; asking for the status raises, chained to the cause."""
    result = run(broken)

    assert result.status is RunStatus.FAILED
    assert not result.success
    with pytest.raises(StepError, match=r"^step 'broken' raised ZeroDivisionError") as raised:
        result.raise_for_status()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_what_an_async_step_raises_comes_of_nothing_of_ours() -> None:
    """That no event loop ran before its own is not why it failed."""

    @step
    async def work() -> int:
        return 1 // 0

    result = run(work)

    said = str(result.error)
    assert said.startswith("step 'work' raised ZeroDivisionError")
    assert said.count("Traceback") == 1
    assert "event loop" not in said


def test_a_text_that_is_not_valid_is_told_with_escapes() -> None:
    """A file name may be of bytes that are no text, and errors quote it."""

    @step
    def work() -> int:
        message = "bad rows in caf\udce9.csv"
        raise ValueError(message)

    assert str(run(work).error).startswith(
        "step 'work' raised ValueError: bad rows in caf\\udce9.csv\n"
    )


def test_an_error_that_cannot_tell_itself_is_named() -> None:
    """Its class is what there is to go by, and not that of what it raised instead."""

    @step
    def work() -> int:
        raise DumbError

    assert str(run(work).error).startswith("step 'work' raised DumbError: (its text cannot be made")


class DumbError(Exception):
    """Raises when it is asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError


def test_the_traceback_is_that_of_the_user() -> None:
    """It begins in the step's function and holds no line of ours."""
    said = str(run(broken).error)

    assert "in broken" in said
    assert "return 1 // 0" in said
    assert "execution.py" not in said
    assert "calling.py" not in said


def test_the_traceback_of_a_wrong_value_is_that_of_the_user_too() -> None:
    """It ends where the value was made, not where our code looked at it."""

    @step
    def measure() -> Metrics:
        return Metrics({"accuracy": "high"})

    said = str(run(measure).error)

    assert 'return Metrics({"accuracy": "high"})' in said
    assert said.rstrip().endswith("go into with_metadata(...)")
    assert "artifacts.py" not in said
    assert "generated methods" not in said


@pytest.mark.filterwarnings("ignore:.*_thread.lock is stored with cloudpickle")
def test_a_failure_names_its_step_once() -> None:
    """Also where a delivery ended the step, which names it too."""

    @step
    def locked() -> object:
        return threading.Lock()

    result = run(locked)

    assert str(result.error).startswith("step 'locked', output 'locked': a _thread.lock")
    assert str(result.error).count("step 'locked'") == 1


def test_a_failure_is_written_down(metadata: MetadataStore) -> None:
    """Run and step keep what was raised."""
    result = run(broken)

    (record,) = metadata.steps(result.run_id)
    assert record.status is StepStatus.FAILED
    assert "ZeroDivisionError" in (record.error or "")
    assert "ZeroDivisionError" in (metadata.run(result.run_id).error or "")


def test_only_what_is_downstream_is_skipped() -> None:
    """Independent steps come to their end; those that take from the failed one do not start."""

    @step
    def fine() -> int:
        return 1

    @step
    def after(broken: int) -> int:
        return broken

    @step
    def long_after(after: int, fine: int) -> int:
        return after + fine

    @step
    def also_fine(fine: int) -> int:
        return fine + 1

    result = run(broken, fine, after, long_after, also_fine)

    assert statuses(result) == {
        "broken": StepStatus.FAILED,
        "fine": StepStatus.DONE,
        "after": StepStatus.SKIPPED,
        "long_after": StepStatus.SKIPPED,
        "also_fine": StepStatus.DONE,
    }


def test_a_secret_in_an_exception_is_not_shown(metadata: MetadataStore) -> None:
    """What a step says about its own secret is neither written down nor chained."""

    @step
    def log_in(password: str) -> int:
        message = f"wrong password {password}"
        raise ValueError(message)

    result = run(log_in, password=secret("hunter22"))

    assert "hunter22" not in str(result.error)
    assert "hunter22" not in str(metadata.steps(result.run_id))
    assert result.error is not None
    assert result.error.__cause__ is None


def test_leaving_the_interpreter_fails_the_step() -> None:
    """``sys.exit()`` in a step does not take the process along."""

    @step
    def leave() -> None:
        sys.exit(3)

    assert "step 'leave' raised SystemExit: 3" in str(run(leave).error)


def test_a_wrong_number_of_values_is_refused() -> None:
    """A step with two outputs that returns three says both numbers."""

    @step(outputs=["a", "b"])
    def three() -> Any:
        return 1, 2, 3

    @step(outputs=["c", "d"])
    def one() -> Any:
        return 1

    result = run(three, one)

    errors = [each.error for each in result.steps]
    assert errors == [
        "step 'three' has 2 outputs (a, b) but returned 3 values; return one for each",
        "step 'one' has 2 outputs (c, d) but returned one int; return a tuple of 2",
    ]


def test_a_broken_promise_is_refused() -> None:
    """A step that promises a model and returns a number is named."""

    @step
    def train() -> Model:
        return 1  # type: ignore[return-value]

    assert "step 'train' promises Model for output 'train'" in str(run(train).error)


def test_a_value_for_no_output_is_refused() -> None:
    """``outputs=[]`` promises to return nothing."""

    @step(outputs=[])
    def notify() -> Any:
        return 1

    assert "has outputs=[] but returned a int" in str(run(notify).error)


def test_a_step_is_tried_again() -> None:
    """``retry`` counts the further tries; each is written down."""
    tries: list[int] = []

    @step(retry=2)
    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            message = "not yet"
            raise ConnectionError(message)
        return len(tries)

    result = run(flaky)

    assert result.outputs["flaky"] == 3
    assert result.steps[0].attempts == 3


def test_another_try_does_not_see_what_the_one_before_changed() -> None:
    """It gets what was stored, and the context as it was given."""
    seen: list[object] = []

    @step
    def rows() -> list[int]:
        return [1, 2, 3]

    @step(retry=1)
    def drain(rows: list[int], seeds: list[int]) -> int:
        seen.append((list(rows), list(seeds)))
        total = sum(rows)
        rows.clear()
        seeds.clear()
        if len(seen) == 1:
            message = "later"
            raise ConnectionError(message)
        return total

    result = Pipeline("drained", context=context(seeds=[7])).add_step(rows).add_step(drain).run()

    assert seen == [([1, 2, 3], [7])] * 2
    assert result.outputs["drain"] == 6


def test_tries_come_to_an_end() -> None:
    """After the last try the step has failed."""
    tries: list[int] = []

    @step(retry=1)
    def hopeless() -> int:
        tries.append(1)
        message = "never"
        raise ConnectionError(message)

    assert run(hopeless).status is RunStatus.FAILED
    assert len(tries) == 2


def test_only_chosen_exceptions_are_worth_another_try() -> None:
    """An exception that ``on`` does not name ends the step at once."""
    tries: list[int] = []

    @step(retry=Retry(5, on=(ConnectionError,)))
    def typo() -> int:
        tries.append(1)
        message = "typo"
        raise TypeError(message)

    assert run(typo).status is RunStatus.FAILED
    assert len(tries) == 1


class Weights:
    """Can be read only while the network is there."""

    away: ClassVar[int] = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, ()


def _arrived() -> Weights:
    if Weights.away:
        Weights.away -= 1
        message = "the network is away"
        raise ConnectionError(message)
    return Weights()


@pytest.mark.filterwarnings("ignore::flowyml.serialization.PickleWarning")
@pytest.mark.parametrize(("retry", "tries", "attempts"), [(3, 2, 4), (2, 1, 3)])
def test_a_try_that_cannot_load_its_inputs_is_one_of_them(
    monkeypatch: pytest.MonkeyPatch, retry: int, tries: int, attempts: int
) -> None:
    """What made the first try fail lasts for two more, and the next one is the last or none."""
    called: list[int] = []

    @step
    def learn() -> Model:
        return Model(Weights())

    @step(retry=Retry(retry, on=(ConnectionError,)))
    def use(learn: Model) -> int:
        called.append(1)
        if len(called) == 1:
            monkeypatch.setattr(Weights, "away", 2)
            message = "the network is away"
            raise ConnectionError(message)
        return len(called)

    result = run(learn, use)

    assert len(called) == tries
    assert [each.attempts for each in result.steps if each.name == "use"] == [attempts]
    assert result.success is (tries == 2)
    assert result.success or "the network is away" in str(result.error)


def test_what_was_delivered_in_an_earlier_try_is_not_delivered_again() -> None:
    """The second try of a generator finds what the first one yielded."""
    tries: list[int] = []

    @step(retry=1)
    def learn():  # type: ignore[no-untyped-def]  # noqa: ANN202
        tries.append(1)
        yield Metrics({"loss": 1.0})
        if len(tries) == 1:
            message = "later"
            raise ConnectionError(message)

    result = run(learn)

    assert [artifact.output for artifact in result.artifacts] == ["learn.yielded"]


def test_a_step_that_takes_too_long_fails() -> None:
    """A timeout fails the step and says that its thread may be running still."""
    given_up = threading.Event()

    @step(timeout=0.05)
    def slow() -> bool:
        return given_up.wait(30)

    @step
    def fine() -> int:
        return 1

    result = run(slow, fine)
    given_up.set()

    said = str(result.error)
    assert "step 'slow' took longer than its timeout of 0.05 s" in said
    assert "may still be running" in said
    assert statuses(result)["fine"] is StepStatus.DONE


def test_a_try_that_takes_too_long_is_the_last_one() -> None:
    """Its code may be running still, and would do everything twice beside another try."""
    given_up, tries = threading.Event(), []

    @step(timeout=0.05, retry=2)
    def slow() -> bool:
        tries.append(1)
        return given_up.wait(30)

    result = run(slow)
    given_up.set()

    assert "longer than its timeout" in str(result.error)
    assert len(tries) == 1


def test_a_step_within_its_timeout_is_done() -> None:
    """What it returns and what it raises come back from its thread."""

    @step(timeout=30)
    def quick() -> int:
        return 1

    @step(timeout=30)
    def wrong() -> int:
        return 1 // 0

    result = run(quick, wrong)

    assert result.outputs["quick"] == 1
    assert "ZeroDivisionError" in str(result.error)


LENIENT = """\
plugins:
  artifact_store: { type: local }
  artifact_routing:
    default: { on_error: defer }
"""


@pytest.mark.filterwarnings("ignore::flowyml.serialization.PickleWarning")
@pytest.mark.parametrize("config", ["", LENIENT], ids=["by default", "where storing is deferred"])
@pytest.mark.parametrize("output", ["make", "make.call"], ids=["returned", "stored by call"])
def test_a_value_that_nothing_can_store_fails_its_step(
    config: str, output: str, write_file: WriteFile
) -> None:
    """No store will ever take it, so nothing is owed: resuming runs the step again."""
    if config:
        write_file("flowyml.yaml", config)
    calls: list[object] = []

    @step
    def make() -> object:
        calls.append(1)
        value = threading.Lock() if len(calls) == 1 else {"a": 1}
        if output == "make":
            return value
        flowyml.store_artifact(value, name="call")
        return 1

    pipeline = Pipeline("test").add_step(make)
    failed = pipeline.run()

    assert failed.status is RunStatus.FAILED
    assert statuses(failed) == {"make": StepStatus.FAILED}
    named = f"step 'make', output '{output}': a _thread.lock cannot be stored: cannot pickle"
    assert named in str(failed.error)
    assert "not stored (artifact_store): a _thread.lock" in str(failed)
    assert "owed" not in str(failed)
    again = resume(failed.run_id, pipeline=pipeline)
    assert again.success
    assert len(calls) == 2
    assert again.deliveries[0].error is None


FORKING = """
    import os
    import sys

    from flowyml import Pipeline, step

    def forked(end):
        def work():
            child = os.fork()
            if not child:
                return end()
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        return work

    returns = step(name="returns")(forked(lambda: 5))
    exits = step(name="exits")(forked(lambda: sys.exit(7)))
    raises = step(name="raises")(forked(lambda: 1 // 0))

    pipeline = Pipeline("forking").add_step(returns).add_step(exits).add_step(raises)

    if __name__ == "__main__":
        result = pipeline.run()
        print(result.status, *(result.outputs[name] for name in ("returns", "exits", "raises")))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_process_that_a_step_forks_ends_with_the_step(
    write_file: WriteFile, project: Project
) -> None:
    """The run goes on in one process, and the other one does not wait for ever."""
    write_file("flow.py", FORKING)

    done = subprocess.run(
        [sys.executable, "flow.py"], cwd=project.folder, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == ["done 0 7 1"]
    assert "ZeroDivisionError" in done.stderr
