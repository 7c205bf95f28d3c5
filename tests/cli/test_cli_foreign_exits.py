"""A plugin that calls ``sys.exit()``, or answers with anything, ends no run and no command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ask, Install

# The command shows them; here they would be errors of the tests.
pytestmark = pytest.mark.filterwarnings("default::flowyml.stacks.hooks.LifecycleWarning")

Leaves = Callable[..., None]

LEAVING = """
import asyncio
import sys

from attrs import define

from flowyml.plugins import (
    ExperimentTracker, Extension, ModelDeployer, ModelRegistry, Orchestrator, hookimpl
)
from flowyml.records import LoggedRun
from flowyml_local.orchestrator import LocalOrchestrator
from flowyml_local.storage import LocalArtifactStore


class Unspeakable(Exception):
    def __str__(self):
        raise LookupError("no catalog of messages")


class Leaving:
    leaves_in: str
    how: str

    def leave(self, place):
        if self.leaves_in != place:
            return
        if self.how == "exit":
            sys.exit(0)
        raise {"cancelled": asyncio.CancelledError, "unspeakable": Unspeakable}[self.how]()

    def preflight(self):
        self.leave("preflight")

    def diagnose(self):
        self.leave("diagnose")
        return ["all well"] if self.leaves_in == "text" else ()

    def beside(self, others):
        self.leave("beside")
        return self


@define(slots=False)
class Tracker(Leaving, ExperimentTracker):
    leaves_in: str = ""
    how: str = "exit"

    def __attrs_post_init__(self):
        self.leave("making")

    @hookimpl
    def log_metrics(self, metrics, context):
        self.leave("log_metrics")
        return LoggedRun("a run")

    @hookimpl
    def log_parameters(self, parameters, context):
        return LoggedRun("a run")

    @hookimpl
    def run_started(self, run):
        self.leave("run_started")

    @hookimpl
    def step_started(self, run, step):
        self.leave("step_started")

    @hookimpl
    def artifact_stored(self, run, stored):
        self.leave("artifact_stored")

    @hookimpl
    def run_finished(self, run, status):
        self.leave("run_finished")


@define(slots=False)
class Wrapper(Leaving, Extension):
    leaves_in: str = ""
    how: str = "exit"

    @hookimpl(wrapper=True)
    def store_artifact(self, request, context):
        self.leave("store_artifact")
        return (yield)


@define(slots=False)
class Store(Leaving, LocalArtifactStore):
    leaves_in: str = ""
    how: str = "exit"

    def root_uri(self):
        self.leave("root_uri")
        return super().root_uri()


@define(slots=False)
class Registry(Leaving, ModelRegistry):
    leaves_in: str = ""
    how: str = "exit"

    @hookimpl
    def list_models(self, name):
        self.leave("list_models")
        return "all of them" if self.leaves_in == "text" else []


@define(slots=False)
class Deployer(Leaving, ModelDeployer):
    leaves_in: str = ""
    how: str = "exit"

    @hookimpl
    def list_deployments(self):
        self.leave("list_deployments")
        return []


@define(slots=False)
class Conductor(Leaving, Orchestrator):
    leaves_in: str = ""
    how: str = "exit"

    @hookimpl
    def open_executor(self, run):
        self.leave("open_executor")
        return object() if self.leaves_in == "nothing" else LocalOrchestrator().open_executor(run)
"""

POINTS = """
[flowyml.artifact_store]
leaving = leaving:Store
[flowyml.experiment_tracker]
leaving = leaving:Tracker
[flowyml.extension]
leaving = leaving:Wrapper
[flowyml.model_deployer]
leaving = leaving:Deployer
[flowyml.model_registry]
leaving = leaving:Registry
[flowyml.orchestrator]
leaving = leaving:Conductor
"""

FLOW = """
from flowyml import Metrics, Pipeline, step

@step
def measure() -> Metrics:
    return Metrics({"loss": 0.5})

pipeline = Pipeline("flow").add_step(measure)
"""


@pytest.fixture
def leaves(install: Install, project: Path) -> Leaves:
    """Install the plugins; give a function that writes a stack with one of them."""
    install("leaving", {"leaving": LEAVING}, POINTS)
    (project / "flow.py").write_text(FLOW)

    def write(role: str, place: str, how: str = "exit") -> None:
        component = f"{{ type: leaving, leaves_in: {place}, how: {how} }}"
        listed = f"[{component}]" if role == "extensions" else component
        (project / "flowyml.yaml").write_text(f"plugins:\n  {role}: {listed}\n")

    return write


HOWS = {
    "exit": "SystemExit: 0",
    "cancelled": "CancelledError: ",
    "unspeakable": "Unspeakable: (its text cannot be made: LookupError)",
}


@pytest.mark.parametrize("how", HOWS)
def test_a_delivery_that_ends_the_program_is_owed(leaves: Leaves, flowyml: Ask, how: str) -> None:
    """The run is incomplete, says who owes what, and a resume comes to its end as well."""
    leaves("experiment_tracker", "log_metrics", how)

    ran = flowyml("run", "flow.py")
    resumed = flowyml("resume", "--all")

    assert (ran.code, resumed.code) == (3, 3)
    assert "log_metrics" in ran.out
    assert HOWS[how] in ran.out
    (run,) = flowyml("runs", "list", "-o", "json").objects
    assert run["status"] == "incomplete"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("hook", ["run_started", "step_started"])
def test_a_watcher_that_ends_the_program_is_a_warning(
    leaves: Leaves, flowyml: Ask, hook: str, how: str
) -> None:
    """The run goes on without it."""
    leaves("experiment_tracker", hook, how)

    ran = flowyml("run", "flow.py")

    assert ran.code == 0
    assert f"experiment_tracker: {hook}" in ran.err
    assert HOWS[how] in ran.err


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("hook", ["artifact_stored", "run_finished"])
def test_one_that_is_told_of_the_end_ends_nothing_else(
    leaves: Leaves, flowyml: Ask, hook: str, how: str
) -> None:
    """The step is done, the run came to its end, and it is said who was not told."""
    leaves("experiment_tracker", hook, how)

    ran = flowyml("run", "flow.py")

    assert "experiment_tracker" in ran.out + ran.err
    assert HOWS[how] in ran.out + ran.err
    (run,) = flowyml("runs", "list", "-o", "json").objects
    (shown,) = flowyml("runs", "show", run["run_id"], "-o", "json").objects
    assert run["status"] in {"done", "incomplete"}
    assert [step["status"] for step in shown["steps"]] != ["failed"]


@pytest.mark.parametrize(
    ("role", "place", "command", "code"),
    [
        ("experiment_tracker", "making", "run flow.py", 2),
        ("experiment_tracker", "beside", "run flow.py", 2),
        ("experiment_tracker", "preflight", "run flow.py", 1),
        ("extensions", "store_artifact", "run flow.py", 1),
        ("orchestrator", "open_executor", "run flow.py", 1),
        ("model_registry", "list_models", "model list", 1),
        ("model_deployer", "list_deployments", "model undeploy fraud", 1),
    ],
)
@pytest.mark.parametrize("how", HOWS)
def test_whoever_ends_the_program_is_named(
    leaves: Leaves, flowyml: Ask, role: str, place: str, command: str, code: int, how: str
) -> None:
    """The exit code is the one of an error, and not of the plugin's choice."""
    leaves(role, place, how)

    answer = flowyml(*command.split())

    assert answer.code == code
    assert ("artifact_store" if role == "extensions" else role) in answer.out + answer.err
    assert HOWS[how] in answer.out + answer.err


def test_a_doctor_says_what_ended_a_diagnosis(leaves: Leaves, flowyml: Ask) -> None:
    """A component whose diagnosis ends the program, or is a text, is not well."""
    leaves("model_registry", "diagnose")
    quits = flowyml("stack", "doctor", "-o", "json")
    leaves("model_registry", "text")
    talks = flowyml("stack", "doctor", "-o", "json")

    assert (quits.code, talks.code) == (1, 1)
    found = [*quits.objects, *talks.objects]
    said = sorted(each["message"] for each in found if each["status"] == "failed")
    assert said[0] == "SystemExit: 0"
    assert said[1].endswith("diagnose with an object of the class str, not with a Check")


@pytest.mark.parametrize(
    ("role", "place", "command", "said"),
    [
        ("model_registry", "text", "model list", "class str, not with a ModelVersion"),
        ("orchestrator", "nothing", "run flow.py", "class object, not with a StepExecutor"),
    ],
)
def test_what_is_not_the_answer_of_a_hook_is_refused(
    leaves: Leaves, flowyml: Ask, role: str, place: str, command: str, said: str
) -> None:
    """It is said what the component gave, and what it was to give."""
    leaves(role, place)

    answer = flowyml(*command.split())

    assert answer.code == 1
    assert f"{role} answers the hook " in answer.err
    assert said in answer.err


def test_a_command_does_not_end_with_the_exit_code_of_a_library(
    leaves: Leaves, flowyml: Ask
) -> None:
    """Where nothing else holds it up, the place is named that ended the program."""
    leaves("artifact_store", "root_uri")

    answer = flowyml("run", "flow.py")

    assert answer.code == 1
    assert "leaving.py:" in answer.err
    assert ": leave called sys.exit(0), and the command did not come to its end" in answer.err
