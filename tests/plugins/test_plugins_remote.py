"""How a run follows the jobs of its steps, whatever the service does."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from attrs import define, field

from flowyml.errors import ConfigurationError, DeliveryError, StepError
from flowyml.plugins import ArtifactStore, StepExecutor, hookimpl
from flowyml.plugins.errands import Errand
from flowyml.plugins.remote import Job, RemoteOrchestrator
from flowyml.records import RunInfo, StepOutcome, StepStatus, StepTask

RUN = RunInfo("run-1", "flow", "far", datetime(2026, 1, 1, tzinfo=UTC))

DONE = {"step": "load", "status": "done", "records": {"step": {"status": "done"}}}
FAILED = {
    "step": "load",
    "status": "failed",
    "error": "no",
    "records": {"step": {"status": "failed"}},
}

End = Literal["done", "failed", "cancelled"]


@define(slots=False)
class Service(RemoteOrchestrator):
    """Keeps jobs in memory: each is over at the second look, and leaves what it is told to.

    Attributes:
        ends: How the next jobs end, and what they leave.
        faults: Errors that the next calls end with; a call named with a star has done its work.
    """

    ends: list[tuple[End, dict[str, Any] | None]] = field(factory=lambda: [("done", DONE)])
    faults: dict[str, Exception] = field(factory=dict)
    known: list[Job] = field(factory=list)
    left: dict[int, dict[str, Any]] = field(factory=dict)
    cancelled: list[str] = field(factory=list)
    stuck: bool = False
    poll_seconds: float = field(default=0.001, kw_only=True)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        return getattr(error, "transient", None)

    def default_image(self) -> str:
        return "python"

    def jobs(self, errand: Errand) -> Sequence[Job]:
        self._fail("jobs")
        return [job for job in self.known if job.name == "earlier" or errand.key in job.name]

    def start(self, errand: Errand, archive: bytes) -> Job:
        self._fail("start")
        job = Job(errand.name, errand.attempt, "waiting", url=f"https://jobs/{errand.attempt}")
        self.known.append(job)
        self._fail("start*")
        return job

    def look(self, job: Job) -> Job:
        self._fail("look")
        if self.stuck:
            return job
        if job.state == "waiting":
            return self._now(job, state="running")
        end, content = self.ends.pop(0)
        if content is not None:
            self.left[job.attempt] = content
        return self._now(job, state=end, reason="disk full", log="https://log")

    def cancel(self, job: Job) -> None:
        self.cancelled.append(job.name)

    def outcome(self, errand: Errand) -> bytes | None:
        self._fail("outcome")
        found = self.left.get(errand.attempt)
        return json.dumps(found).encode() if found else None

    def _now(self, job: Job, **changes: Any) -> Job:
        changed = attrs.evolve(job, **changes)
        self.known = [changed if each.name == job.name else each for each in self.known]
        return changed

    def _fail(self, call: str) -> None:
        if error := self.faults.pop(call, None):
            raise error


@pytest.fixture
def task(tmp_path: Path) -> StepTask:
    """A step."""
    (tmp_path / "flow.py").write_text("")
    return StepTask("flow.py:pipeline", "load", "run-1", "far", None, str(tmp_path), {"run": {}})


def run(service: Service, task: StepTask) -> StepOutcome:
    """Run the step to its end."""
    return executor(service).submit(nothing, task).result(20)


def executor(service: Service) -> StepExecutor:
    """Open what follows the jobs."""
    return service.open_executor(RUN)


def nothing(task: StepTask) -> StepOutcome:
    """Do not run anything here."""
    raise AssertionError(task)


def attempts(service: Service) -> list[int]:
    """Return the attempts that were started."""
    return [job.attempt for job in service.known]


def test_a_step_is_one_job(task: StepTask) -> None:
    """Its outcome comes back, with the job's address."""
    service = Service()
    outcome = run(service, task)
    assert outcome.status is StepStatus.DONE
    assert outcome.records == {"step": {"status": "done", "note": "ran as the job https://jobs/1"}}
    assert attempts(service) == [1]


def test_a_job_that_did_its_work_is_not_started_again(task: StepTask) -> None:
    """A run that is gone on with finds it."""
    service = Service()
    run(service, task)
    assert run(service, task).status is StepStatus.DONE
    assert attempts(service) == [1]


def test_a_job_that_still_runs_is_waited_for(task: StepTask) -> None:
    """Also where it then fails: that is what the run was waiting for."""
    service = Service(ends=[("done", FAILED)])
    service.known.append(Job("earlier", 1, "running"))
    assert run(service, task).error == "no"
    assert attempts(service) == [1]


def test_a_step_that_failed_gets_another_job(task: StepTask) -> None:
    """When the run is gone on with, not before."""
    service = Service(ends=[("done", FAILED), ("done", DONE)])
    assert run(service, task).status is StepStatus.FAILED
    assert run(service, task).status is StepStatus.DONE
    assert attempts(service) == [1, 2]


def test_a_job_that_came_to_nothing_is_followed_by_another(task: StepTask) -> None:
    """A machine that was lost between two attempts at a run is no reason to give up."""
    service = Service()
    service.known.append(Job("earlier", 3, "cancelled"))
    assert run(service, task).status is StepStatus.DONE
    assert attempts(service) == [3, 4]


def test_a_failed_job_is_told_with_reason_and_log(task: StepTask) -> None:
    """In the service's words."""
    with pytest.raises(StepError, match="failed: disk full; its log: https://log"):
        run(Service(ends=[("failed", None)]), task)


def test_a_job_that_leaves_nothing_is_an_error(task: StepTask) -> None:
    """Whatever the service says of it."""
    with pytest.raises(StepError, match="without leaving an outcome"):
        run(Service(ends=[("done", None)]), task)


def test_an_outcome_counts_although_the_job_failed(task: StepTask) -> None:
    """The step's own words say more than the service's."""
    assert run(Service(ends=[("failed", FAILED)]), task).error == "no"


def test_an_outcome_without_records_is_an_error(task: StepTask) -> None:
    """The machine could not even begin; the run writes it down."""
    bare = {"step": "", "status": "failed", "error": "no such module"}
    with pytest.raises(StepError, match="could not run it: no such module"):
        run(Service(ends=[("done", bare)]), task)


@pytest.mark.parametrize("call", ["jobs", "start", "look", "outcome"])
def test_what_may_pass_is_tried_again(task: StepTask, call: str) -> None:
    """And the step has one job all the same."""
    service = Service(faults={call: DeliveryError("busy", transient=True)})
    assert run(service, task).status is StepStatus.DONE
    assert attempts(service) == [1]


def test_a_lost_answer_makes_no_second_job(task: StepTask) -> None:
    """The job that was started is found."""
    service = Service(faults={"start*": DeliveryError("lost", transient=True)})
    assert run(service, task).status is StepStatus.DONE
    assert attempts(service) == [1]


@pytest.mark.parametrize("call", ["jobs", "start", "look", "outcome"])
def test_what_does_not_pass_fails_the_step(task: StepTask, call: str) -> None:
    """At once."""
    with pytest.raises(DeliveryError, match="denied"):
        run(Service(faults={call: DeliveryError("denied")}), task)


def test_a_job_that_takes_too_long_is_cancelled(task: StepTask) -> None:
    """And the error names the field that gives it more time."""
    service = Service(stuck=True, deadline=0.01)
    with pytest.raises(StepError, match="larger `deadline:`"):
        run(service, task)
    assert len(service.cancelled) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("deadline", 0), ("deadline", math.inf), ("deadline", math.nan), ("max_jobs", 0)],
)
def test_numbers_with_which_no_job_would_come_to_an_end_are_refused(
    field: str, value: float
) -> None:
    """Before anything waits for ever, or asks without a pause."""
    with pytest.raises(ValueError, match=rf"^{field} is .*, not {value}"):
        Service(**{field: value})  # type: ignore[arg-type]


def test_closing_cancels_what_runs(task: StepTask) -> None:
    """No machine goes on for a run that has ended."""
    service = Service(stuck=True)
    jobs = executor(service)
    future = jobs.submit(nothing, task)
    while not service.known:
        pass
    jobs.close()
    with pytest.raises(StepError, match="was cancelled"):
        future.result(20)
    assert service.cancelled


def test_a_step_that_waits_for_its_turn_is_not_started_any_more(task: StepTask) -> None:
    """When the run has ended meanwhile."""
    service = Service(stuck=True, max_jobs=1)
    jobs = executor(service)
    jobs.submit(nothing, task)
    while not service.known:
        pass
    waiting = jobs.submit(nothing, attrs.evolve(task, step="other"))
    jobs.close()
    with pytest.raises(StepError, match="before this step started"):
        waiting.result(20)
    assert len(service.known) == 1


def test_a_job_that_is_just_being_started_is_cancelled_too(task: StepTask) -> None:
    """The end of a run waits for the service's answer."""
    entered, answered = threading.Event(), threading.Event()

    class Slow(Service):
        def start(self, errand: Errand, archive: bytes) -> Job:
            entered.set()
            answered.wait(20)
            return super().start(errand, archive)

    service = Slow(stuck=True)
    jobs = executor(service)
    jobs.submit(nothing, task)
    entered.wait(20)
    closing = threading.Thread(target=jobs.close)
    closing.start()
    answered.set()
    closing.join(20)
    assert len(service.cancelled) == 1


def test_an_image_of_ones_own_is_taken_as_it_is() -> None:
    """Everything is in it."""
    assert Service(image="mine").command("in", "out") == [
        *("python", "-m", "flowyml.pipelines.errand"),
        *("in", "out"),
    ]


def test_requirements_are_installed_into_ones_own_image() -> None:
    """And nothing else is."""
    command = Service(image="mine", requirements=["polars"]).command("in", "out")
    assert command[4:] == ["in", "out", "polars"]


class Here(ArtifactStore):
    """A store that only this machine reaches."""

    stays_here = True


def test_a_component_of_this_machine_is_refused() -> None:
    """What a job writes there would be gone with the job's disk."""
    service = Service()
    service.knowing([Here()])
    with pytest.raises(ConfigurationError, match="the artifact_store is local"):
        service.preflight()
