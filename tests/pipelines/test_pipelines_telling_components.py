"""Components that tell their own secret whenever they fail, beside the deliveries of a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest
from tests.pipelines.conftest import WriteFile
from tests.plugins.fake_distributions import Site

from flowyml.stacks.project import Project

SECRET = "tr@cker p€ss"

SPELLED = (SECRET, "tr%40cker%20p%E2%82%ACss", "tr@cker p\\u20acss", "tr@cker p\\xe2", "tr@cker")
"""As it is, and as URLs, JSON and bytes spell it; and a part that no message has by chance."""

TELLING = """
from urllib.parse import quote

from attrs import define, field

from flowyml.errors import ConfigurationError
from flowyml.plugins import Extension, ModelRegistry, Orchestrator, hookimpl


class Telling:
    def tell(self, place):
        if self.fails_in != place:
            return
        try:
            raise RuntimeError(f"https://ann:{self.password}@host/?key={quote(self.password)}")
        except RuntimeError as cause:
            error = ConfigurationError if self.ours else KeyError
            raise error(f"401 for {self.password} {self.password!r}") from cause

    def preflight(self):
        self.tell("preflight")

    def diagnose(self):
        self.tell("diagnose")
        return ()

    def beside(self, others):
        self.tell("beside")
        return self


@define(slots=False)
class Watcher(Telling, Extension):
    password: str = field(repr=False)
    fails_in: str
    ours: bool = False

    @hookimpl
    def run_started(self, run):
        self.tell("run_started")

    @hookimpl
    def run_finished(self, run, status):
        self.tell("run_finished")

    @hookimpl
    def artifact_stored(self, run, stored):
        self.tell("artifact_stored")

    @hookimpl
    def step_started(self, run, step):
        self.tell("step_started")

    @hookimpl
    def step_finished(self, run, step, status):
        self.tell("step_finished")


@define(slots=False)
class Registry(Telling, ModelRegistry):
    password: str = field(repr=False)
    fails_in: str
    ours: bool = False

    @hookimpl
    def list_models(self, name):
        self.tell("list_models")
        return []

    @hookimpl
    def get_model(self, name, version):
        self.tell("get_model")


@define(slots=False)
class Conductor(Telling, Orchestrator):
    password: str = field(repr=False)
    fails_in: str
    ours: bool = False

    @hookimpl
    def open_executor(self, run):
        self.tell("open_executor")
"""

POINTS = """
[flowyml.extension]
telling = telling:Watcher
[flowyml.model_registry]
telling = telling:Registry
[flowyml.orchestrator]
telling = telling:Conductor
"""

FLOW = """
import logging
from flowyml import Pipeline, step

logging.basicConfig(level=logging.DEBUG)

@step
def work() -> int:
    return 1

pipeline = Pipeline("flow").add_step(work)
"""

COMMANDS = """
import sys
from flowyml.cli import main

for command in ("run flow.py", "runs list -o json", "resume --all", "stack doctor",
                "stack validate", "model list", "model show ghost", "artifact gc --dry-run"):
    print("exit code of", command, main(command.split()))
"""

LIFECYCLE = ("run_started", "run_finished", "artifact_stored", "step_started", "step_finished")

Told = Callable[[str, str, bool], str]


@pytest.fixture
def told(project: Project, write_file: WriteFile) -> Told:
    """Give all that is printed and recorded where a component fails in one place."""
    site = Site(project.folder / "site-packages")
    site.install("telling", POINTS, {"telling": TELLING})
    write_file("flow.py", FLOW)

    def tell(component: str, place: str, ours: bool) -> str:
        words = str(ours).lower()
        given = f"{{ type: telling, password: '{SECRET}', fails_in: {place}, ours: {words} }}"
        given = f"[{given}]" if component == "extensions" else given
        write_file("flowyml.yaml", f"plugins:\n  {component}: {given}\n")
        ended = subprocess.run(
            [sys.executable, "-c", COMMANDS],
            cwd=project.folder,
            env={**os.environ, "PYTHONPATH": str(site.folder), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=True,
        )
        return ended.stdout + ended.stderr + _recorded(project)

    return tell


def _recorded(project: Project) -> str:
    """Return everything that the metadata store has, as text."""
    if not project.metadata_path.exists():
        return ""
    database = sqlite3.connect(project.metadata_path)
    text = "\n".join(database.iterdump())
    database.close()
    return text


@pytest.mark.parametrize("hook", LIFECYCLE)
def test_no_secret_is_told_by_a_hook_of_the_lifecycle(told: Told, hook: str) -> None:
    """The warning names the hook and hides the secret; the run goes on."""
    text = told("extensions", hook, False)

    assert f"extensions.telling: {hook} failed: KeyError: " in text
    assert "***" in text
    assert "exit code of run flow.py 0" in text
    assert [spelled for spelled in SPELLED if spelled in text] == []


@pytest.mark.parametrize("ours", [False, True], ids=["of its library", "of ours"])
@pytest.mark.parametrize(
    ("component", "place"),
    [
        ("extensions", "preflight"),
        ("model_registry", "preflight"),
        ("model_registry", "diagnose"),
        ("model_registry", "beside"),
        ("model_registry", "list_models"),
        ("model_registry", "get_model"),
        ("orchestrator", "preflight"),
        ("orchestrator", "open_executor"),
    ],
)
def test_no_secret_is_told_by_what_refuses(
    told: Told, component: str, place: str, ours: bool
) -> None:
    """Before a run, beside one, and when the stack is built: an error without a traceback."""
    text = told(component, place, ours)

    assert "401 for ***" in text
    assert "Traceback" not in text
    assert [spelled for spelled in SPELLED if spelled in text] == []
