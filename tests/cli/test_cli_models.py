"""``flowyml model`` decides about registered models and serves them."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import Ask

from flowyml.cli import main
from flowyml.metadata.store import MetadataStore
from flowyml.records import RunStatus, StepStatus

KEYS = {
    "name",
    "version",
    "status",
    "approval",
    "aliases",
    "uri",
    "digest",
    "run_id",
    "registry",
    "registry_id",
    "framework",
    "metadata",
    "input_schema",
    "output_schema",
    "serving_config",
    "created_at",
    "deployments",
}


@pytest.fixture
def oracle(project: Path) -> Iterator[Path]:
    """Give a project whose model waits for somebody to deploy it; nothing serves afterwards."""
    (project / "pipeline.py").write_text(cli_pipelines.SERVED)
    (project / "flowyml.yaml").write_text(cli_pipelines.with_condition("manual"))
    yield project
    main(["model", "undeploy", "oracle"])


def answer_of(deployed: str) -> Any:
    """Ask the endpoint whose address a command has told."""
    url = next(word for word in deployed.split() if word.startswith("http"))
    request = urllib.request.Request(
        f"{url.removesuffix('/predict')}/predict",
        data=json.dumps({"instances": [[0]]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_no_model_is_registered(flowyml: Ask) -> None:
    """A list of nothing is an answer."""
    assert flowyml("model", "list").out == "No models are registered.\n"
    assert flowyml("model", "list", "-o", "json").objects == []


@pytest.mark.usefixtures("oracle")
def test_registered_models_are_listed_the_newest_first(flowyml: Ask) -> None:
    """JSON has the documented keys."""
    flowyml("run", "pipeline.py")
    flowyml("run", "pipeline.py", "-p", "version='2.0.0'", "-p", "answer=43")

    listed = flowyml("model", "list", "-o", "json").objects
    (older,) = flowyml("model", "show", "oracle", "--version", "1.0.0", "-o", "json").objects

    assert [(model["name"], model["version"]) for model in listed] == [
        ("oracle", "2.0.0"),
        ("oracle", "1.0.0"),
    ]
    assert all(set(model) == KEYS for model in listed)
    assert older == listed[1]
    assert older["framework"] == "sklearn"
    assert flowyml("model", "show", "oracle").out.startswith(
        "name        oracle\nversion     2.0.0\n"
    )


@pytest.mark.usefixtures("oracle")
def test_a_model_waits_until_it_is_deployed(flowyml: Ask) -> None:
    """The run tells the command; after it the model answers, until it is undeployed."""
    ran = flowyml("run", "pipeline.py")
    assert "waiting     flowyml model deploy oracle --version 1.0.0\n" in ran.out

    deployed = flowyml("model", "deploy", "oracle", "--version", "1.0.0")

    assert deployed.code == 0, deployed.err
    assert deployed.out.startswith("deployed oracle@1.0.0 to oracle (serving) http://127.0.0.1:")
    assert 42 in next(iter(answer_of(deployed.out).values()))
    (model,) = flowyml("model", "list", "-o", "json").objects
    assert model["status"] == "deployed"
    assert [each["endpoint"] for each in model["deployments"]] == ["oracle"]
    assert flowyml("model", "endpoints", "-o", "json").objects == model["deployments"]
    assert flowyml("model", "undeploy", "oracle").out == "oracle is no longer served at oracle\n"
    assert flowyml("model", "undeploy", "oracle").code == 2
    assert flowyml("model", "endpoints").out == "Nothing is deployed.\n"


@pytest.mark.usefixtures("oracle")
def test_a_run_with_a_step_that_was_skipped_is_not_done_when_its_model_is_deployed(
    flowyml: Ask, metadata: MetadataStore
) -> None:
    """Nothing is owed then; the step still has to run."""
    flowyml("run", "pipeline.py")
    (run,) = metadata.runs()
    metadata.add_steps(run.run_id, ["skipped"])
    metadata.set_step_status(run.run_id, "skipped", StepStatus.SKIPPED)
    metadata.set_run_status(run.run_id, RunStatus.INCOMPLETE)

    deployed = flowyml("model", "deploy", "oracle", "--version", "1.0.0")

    assert deployed.code == 0
    assert metadata.run(run.run_id).status is RunStatus.INCOMPLETE


@pytest.mark.timeout(300)  # three servers start, and each imports scikit-learn
@pytest.mark.usefixtures("oracle")
def test_a_deployment_is_rolled_back(flowyml: Ask) -> None:
    """What served before serves again, and the history tells all of it."""
    flowyml("run", "pipeline.py")
    flowyml("run", "pipeline.py", "-p", "version='2.0.0'", "-p", "answer=43")
    flowyml("model", "deploy", "oracle", "--version", "1.0.0")
    flowyml("model", "deploy", "oracle", "--version", "2.0.0")

    back = flowyml("model", "rollback", "oracle")

    assert back.out.startswith("deployed oracle@1.0.0 to oracle")
    events = flowyml("model", "history", "oracle", "-o", "json").objects
    assert [(event["kind"], event["version"]) for event in events][:3] == [
        ("rolled_back", "1.0.0"),
        ("deployed", "2.0.0"),
        ("deployed", "1.0.0"),
    ]
    assert events[0]["previous"] == events[1]["entry_hash"]


def test_approval_deploys(flowyml: Ask, oracle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who decided and why is kept; a second decision is refused."""
    monkeypatch.setenv("LOGNAME", "ada")
    (oracle / "flowyml.yaml").write_text(cli_pipelines.with_condition("on_approval"))
    ran = flowyml("run", "pipeline.py")
    assert "waiting     flowyml model approve oracle --version 1.0.0\n" in ran.out
    assert flowyml("model", "list", "-o", "json").objects[0]["status"] == "pending"

    approved = flowyml(
        "model", "approve", "oracle", "--version", "1.0.0", "--comment", "it is fine"
    )

    assert approved.code == 0, approved.err
    assert approved.out.startswith("approved oracle@1.0.0\ndeployed oracle@1.0.0 to oracle")
    events = flowyml("model", "history", "oracle", "-o", "json").objects
    (decision,) = [event for event in events if event["kind"] == "approved"]
    assert (decision["actor"], decision["comment"]) == ("ada", "it is fine")
    again = flowyml("model", "reject", "oracle", "--version", "1.0.0")
    assert again.code == 1
    assert "was approved by ada" in again.err


def test_a_rejected_model_is_not_deployed(flowyml: Ask, oracle: Path) -> None:
    """Not by hand either."""
    (oracle / "flowyml.yaml").write_text(cli_pipelines.with_condition("on_approval"))
    flowyml("run", "pipeline.py")

    assert flowyml("model", "reject", "oracle", "--version", "1.0.0").code == 0

    deployed = flowyml("model", "deploy", "oracle", "--version", "1.0.0")
    assert deployed.code == 1
    assert "was rejected by" in deployed.err


@pytest.mark.usefixtures("oracle")
def test_a_history_that_was_changed_is_no_history(flowyml: Ask, project: Path) -> None:
    """The first wrong entry is named; exit code 1."""
    flowyml("run", "pipeline.py")
    assert flowyml("model", "history", "oracle").code == 0
    with closing(sqlite3.connect(project / ".flowyml" / "metadata.db")) as connection:
        connection.execute("DROP TRIGGER model_events_stay")
        connection.execute("UPDATE model_events SET actor = 'nobody' WHERE sequence = 1")
        connection.commit()

    answer = flowyml("model", "history", "oracle")

    assert answer.code == 1
    assert "entry 1 is missing or is not what was written" in answer.err


@pytest.mark.usefixtures("oracle")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "oracel"], "`flowyml model list`"),
        (["show", "oracle", "--version", "9"], "its versions: 1.0.0"),
        (["deploy", "oracle", "--version", "9"], "oracle@9"),
        (["approve", "oracle", "--version", "1.0.0"], "nobody asked for approval"),
        (["rollback", "oracle"], "'oracle' never served anywhere"),
        (["undeploy", "oracle"], "no endpoint serves 'oracle'"),
        (["history", "oracel"], "has no history"),
        (["deploy", "oracle"], "Missing option '--version'"),
    ],
)
def test_what_cannot_be_done_to_a_model(flowyml: Ask, arguments: list[str], says: str) -> None:
    """The message names the model, and what there is."""
    flowyml("run", "pipeline.py")

    answer = flowyml("model", *arguments)

    assert answer.code == 2
    assert says in answer.err


def test_a_stack_without_a_registry(flowyml: Ask, project: Path) -> None:
    """It has no models, and asking for one says what is missing."""
    (project / "flowyml.yaml").write_text("stacks:\n  one:\n    artifact_store: { type: local }\n")

    assert flowyml("model", "list", "oracle").out == "The stack 'one' has no model_registry.\n"
    assert flowyml("model", "endpoints").out == "The stack 'one' has no model_deployer.\n"
    assert flowyml("model", "list", "-o", "json").objects == []
    answer = flowyml("model", "show", "oracle")
    assert answer.code == 2
    assert "the stack 'one' has no model_registry" in answer.err
