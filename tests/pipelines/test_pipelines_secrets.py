"""Backends that quote what they were told, and secrets that are to be read nowhere for all that."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Iterator

import pytest
from tests.pipelines.conftest import WriteFile
from tests.plugins.fake_distributions import Site

from flowyml.cli import main
from flowyml.errors import FlowyMLError
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.resume import resume
from flowyml.plugins import discovery
from flowyml.records import RunStatus
from flowyml.stacks.hooks import LifecycleWarning
from flowyml.stacks.project import Project

SECRETS = ("tr@cker pass", "AbCd+/9=", "c0ntext-k€y", "n4med-key", "l0gin")
"""The tracker's password, the key in its connection string, two of the context, one in a URL."""

ECHO = """
import os
from urllib.parse import quote

from attrs import define, field

from flowyml.plugins import ArtifactStore, ExperimentTracker, ModelRegistry, hookimpl


def refuse(self, *given):
    keys = [os.environ["CONTEXT_KEY"], os.environ["NAMED_KEY"]]
    try:
        raise RuntimeError(f"POST https://ann:l0gin@host/?key={quote(self.password)} {keys}")
    except RuntimeError as cause:
        key = self.connection.rpartition("AccountKey=")[2]
        raise ValueError(f"401: {self.password} {self.password!r} {key}") from cause


@define(slots=False)
class Tracker(ExperimentTracker):
    password: str = field(repr=False)
    connection: str = field(repr=False)

    @hookimpl
    def log_metrics(self, metrics, context):
        refuse(self)

    @hookimpl
    def log_parameters(self, parameters, context):
        refuse(self)
"""

GOSSIP = """

@define(slots=False)
class Gossip(ExperimentTracker):
    password: str = field(repr=False)

    @hookimpl
    def run_started(self, run):
        refuse_quietly(self)

    @hookimpl
    def step_finished(self, run, step, status):
        refuse_quietly(self)


def refuse_quietly(self):
    raise ValueError([self.password, os.environ["CONTEXT_KEY"], os.environ["NAMED_KEY"]])
"""

CONFIG = """
stacks:
  echo:
    experiment_tracker:
      type: echo
      password: "tr@cker pass"
      connection: "Endpoint=x;AccountKey=AbCd+/9="
    artifact_routing:
      Metrics: {{ on_error: {on_error} }}
"""

FLOW = """
import os
import flowyml
from flowyml import Metrics, Pipeline, context, secret, step

@step
def work(value: str, api_key: str) -> Metrics:
    flowyml.log_parameters({"a": 1})
    return Metrics({"a": 1})

values = context(value=secret(os.environ["CONTEXT_KEY"]), api_key=os.environ["NAMED_KEY"], plain=1)
pipeline = Pipeline("echo", context=values).add_step(work)
"""


@pytest.fixture
def echo(
    project: Project, monkeypatch: pytest.MonkeyPatch, write_file: WriteFile
) -> Iterator[None]:
    """Install a tracker that quotes every secret that it can get at in its errors."""
    site = Site(project.folder / "site-packages")
    site.install(
        "echo",
        "[flowyml.experiment_tracker]\necho = echo_tracker:Tracker\ngossip = echo_tracker:Gossip\n",
        {"echo_tracker": ECHO + GOSSIP},
    )
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.setenv("CONTEXT_KEY", SECRETS[2])
    monkeypatch.setenv("NAMED_KEY", SECRETS[3])
    write_file("flow.py", FLOW)
    discovery.installed.cache_clear()
    yield
    discovery.installed.cache_clear()


def _recorded(project: Project) -> str:
    """Return everything that the metadata store has, as text."""
    with sqlite3.connect(project.metadata_path) as database:
        text = "\n".join(database.iterdump())
    database.close()
    return text


def _read_in(text: str) -> list[str]:
    """Return the secrets that can be read in a text, also as URLs and Python spell them."""
    spelled = {"tr%40cker%20pass", "c0ntext-k\\u20acy", *SECRETS}
    return [secret for secret in spelled if secret in text]


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("on_error", ["defer", "fail"])
def test_no_secret_that_a_backend_quotes_is_recorded_or_shown(
    project: Project, write_file: WriteFile, capsys: pytest.CaptureFixture[str], on_error: str
) -> None:
    """Neither in the ledger, nor by `runs show`, nor in the error that the run raises."""
    write_file("flowyml.yaml", CONFIG.format(on_error=on_error))

    result = find_pipeline("flow.py", project).run()

    assert result.status is not RunStatus.DONE
    with MetadataStore.open(project.metadata_path) as metadata:
        errors = [debt.error for debt in metadata.debts()]
    assert len(errors) == 3
    assert all(error and "401: ***" in error for error in errors)
    with pytest.raises(FlowyMLError) as raised:
        result.raise_for_status()
    told = "".join(traceback.format_exception(raised.value))
    assert main(["runs", "show", result.run_id, "-o", "json"]) == 0
    assert main(["runs", "show", result.run_id]) == 0
    assert _read_in(_recorded(project) + capsys.readouterr().out + told + str(result)) == []


@pytest.mark.usefixtures("echo")
def test_no_secret_is_recorded_when_debts_are_paid(project: Project, write_file: WriteFile) -> None:
    """A process that only resumes knows the components' secrets, and those it is given."""
    write_file("flowyml.yaml", CONFIG.format(on_error="defer"))
    run = find_pipeline("flow.py", project).run()

    again = resume(run.run_id, parameters={"value": SECRETS[2], "api_key": SECRETS[3]})

    assert again.status is RunStatus.INCOMPLETE
    assert max(delivery.attempts for delivery in again.deliveries) > 2
    assert _read_in(_recorded(project)) == []


@pytest.mark.usefixtures("echo")
def test_no_secret_is_recorded_by_a_step_in_a_process_of_its_own(
    project: Project, write_file: WriteFile
) -> None:
    """What is written down there is written down by the same rules."""
    write_file(
        "flowyml.yaml",
        CONFIG.format(on_error="fail") + "    orchestrator: { type: local, executor: process }\n",
    )
    path = project.folder / "site-packages"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(path))
        result = find_pipeline("flow.py", project).run()

    assert result.status is RunStatus.FAILED
    assert "401: ***" in _recorded(project)
    assert _read_in(_recorded(project) + str(result)) == []


@pytest.mark.usefixtures("echo")
def test_no_secret_is_in_what_is_said_of_a_watcher_that_fails(
    project: Project, write_file: WriteFile
) -> None:
    """Neither those of its component nor those of the run's context."""
    write_file(
        "flowyml.yaml",
        'plugins:\n  experiment_tracker: { type: gossip, password: "tr@cker pass" }\n',
    )

    with pytest.warns(LifecycleWarning) as warned:
        run = find_pipeline("flow.py", project).run()
    with pytest.warns(LifecycleWarning) as warned_again:
        resume(run.run_id, parameters={"value": SECRETS[2], "api_key": SECRETS[3]})

    told = [str(each.message) for each in (*warned, *warned_again)]
    said = [message.partition("tracker: ")[2] for message in told]
    assert said == [
        f"{hook} failed: ValueError: ['***', '***', '***']"
        for hook in ("run_started", "step_finished", "run_started")
    ]
