"""A plugin that no stack names breaks none, and takes nothing away from one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Ask, Install

FLOW = """
from flowyml import Metrics, Pipeline, step

@step
def measure() -> Metrics:
    return Metrics({"loss": 0.5})

pipeline = Pipeline("flow").add_step(measure)
"""

TRACKER = '''
from typing import ClassVar

from attrs import define

from flowyml.plugins import ExperimentTracker, hookimpl
from flowyml.records import LoggedRun


@define(slots=False)
class Tracker(ExperimentTracker):
    """Logs nothing."""

    flowyml_api: ClassVar[str] = ">=1,<2"

    @hookimpl
    def log_metrics(self, metrics, context):
        return LoggedRun("a run")
'''

KEEPER = """
from flowyml.plugins import DeliveryHook, Role, hookspec


class Spec:
    @hookspec(firstresult=True)
    def keep_value(self, artifact, stored, context):
        pass


ROLE = Role("NAME", Spec, hooks=(DeliveryHook("keep_value", "NAME"),))
"""


@pytest.fixture
def flow(project: Path) -> Path:
    """Write a pipeline; give the file of its stacks."""
    (project / "flow.py").write_text(FLOW)
    return project / "flowyml.yaml"


@pytest.fixture
def broken(install: Install) -> None:
    """Install a role whose module cannot be imported."""
    points = "[flowyml.role]\nfeature_store = features:ROLE\n"
    install("features", {"features": "import a_library_that_is_not_there\n"}, points)


@pytest.mark.usefixtures("broken")
def test_a_broken_role_breaks_no_stack_with_rules_for_hooks(flowyml: Ask, flow: Path) -> None:
    """It is not even imported where the hooks of the rules are known without it."""
    flow.write_text(
        "plugins: { artifact_routing: { Metrics: { hooks: { log_metrics: false } } } }\n"
    )

    assert flowyml("stack", "validate").code == 0
    assert flowyml("run", "flow.py").code == 0


@pytest.mark.usefixtures("broken")
def test_a_broken_role_is_named_where_a_hook_is_not_found(flowyml: Ask, flow: Path) -> None:
    """It may be the one that would bring it."""
    flow.write_text("plugins: { artifact_routing: { Metrics: { hooks: { fill_in: true } } } }\n")
    by_rule = flowyml("stack", "validate")
    flow.write_text("plugins: {}\n")
    (flow.parent / "flow.py").write_text(
        FLOW.replace("Metrics({", "Filled({").replace(
            "@step", 'class Filled(Metrics):\n    hooks = ("fill_in",)\n\n@step'
        )
    )
    by_class = flowyml("run", "flow.py")

    for answer in (by_rule, by_class):
        assert answer.code != 0
        assert "'fill_in'" in answer.err
        assert "the role 'feature_store' of features 1.5 (features:ROLE) cannot be" in answer.err


@pytest.mark.usefixtures("broken")
def test_a_broken_role_is_no_fault_of_another_plugin(flowyml: Ask, install: Install) -> None:
    """`plugin check` looks at the hooks of the one that was asked for."""
    points = "[flowyml.experiment_tracker]\nsilent = silent:Tracker\n"
    install("silent", {"silent": TRACKER}, points)

    found = flowyml("plugin", "check", "silent", "-o", "json").objects

    assert [each["status"] for each in found if each["check"] == "hooks"] == ["ok"]


@pytest.mark.parametrize("name", ["cache", "trust", "extensions"])
def test_a_role_takes_no_setting_away(
    flowyml: Ask, install: Install, flow: Path, name: str
) -> None:
    """The key of a stack stays what it was, and whoever checks the role is told."""
    points = f"[flowyml.role]\n{name} = keeper:ROLE\n"
    install("keeper", {"keeper": KEEPER.replace("NAME", name)}, points)
    flow.write_text("plugins: { cache: true, trust: pickle, extensions: [] }\n")

    assert flowyml("run", "flow.py").code == 0
    checked = flowyml("plugin", "check", "keeper")
    assert checked.code == 1
    assert f"the role '{name}' of keeper 1.5 (keeper:ROLE)" in checked.out.replace("\n", " ")


@pytest.mark.parametrize("name", ["artifact_store", "artifact_stores.x"])
def test_a_further_store_is_not_named_like_a_component(flowyml: Ask, flow: Path, name: str) -> None:
    """A rule that names it would mean another one."""
    flow.write_text(f"plugins: {{ artifact_stores: {{ {name}: {{ type: local, path: q }} }} }}\n")

    answer = flowyml("stack", "validate")

    assert answer.code == 2
    assert f"already answers to the name {name!r}" in answer.err
