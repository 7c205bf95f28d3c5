"""The facade: one component for each call, wrappers around it, errors that name who is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.stacks.conftest import Build
from tests.stacks.stack_samples import Audit, MemoryStore, Tracker

from flowyml.artifacts import Metrics
from flowyml.errors import DeliveryError, PluginError
from flowyml.records import (
    DeliveryContext,
    Manifest,
    Producer,
    Receipt,
    RunInfo,
    RunStatus,
    StoredArtifact,
)
from flowyml.stacks.hooks import LifecycleWarning
from flowyml.stacks.stack import Stack
from flowyml.storage.files import StoreRequest

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN = RunInfo("r-1", "production", "default", NOW)
CONTEXT = DeliveryContext("key", RUN, Producer("production", "r-1", "train", "model"))
MANIFEST = Manifest("dict", "builtins:dict", None, "json", 1, (), "model", NOW)
REQUEST = StoreRequest("r-1/model", MANIFEST, lambda _: None)


def store(stack: Stack, name: str) -> MemoryStore:
    """Return a store of the sample class."""
    component = stack.components[name]
    assert isinstance(component, MemoryStore)
    return component


def test_only_the_named_component_is_called(build: Build) -> None:
    """Two stores with one configuration are two stores all the same."""
    stack = build(
        "plugins:\n  artifact_store: { type: memory }\n"
        "  artifact_stores: { second: { type: memory } }\n"
    )
    stored = stack.hooks.store_artifact("artifact_stores.second", REQUEST, CONTEXT)
    assert store(stack, "artifact_store").stored == []
    assert store(stack, "artifact_stores.second").stored == ["key"]
    assert stored.store == "artifact_stores.second"


def test_extensions_wrap_whichever_component_is_called(build: Build) -> None:
    """The extension that the file names first is the outermost."""
    stack = build("plugins:\n  extensions: [audit, { type: audit, name: inner }]\n")
    outer, inner = stack.components["extensions.audit"], stack.components["extensions.audit-2"]
    assert isinstance(outer, Audit)
    assert isinstance(inner, Audit)
    inner.seen = outer.seen
    stack.hooks.store_artifact("artifact_store", REQUEST, CONTEXT)
    assert outer.seen == [
        "audit before r-1/model",
        "inner before r-1/model",
        "inner after r-1/model",
        "audit after r-1/model",
    ]


def test_each_of_several_trackers_is_called_by_name(build: Build) -> None:
    """A second tracker of one type is numbered."""
    stack = build("plugins:\n  experiment_tracker: [{ type: mlflow }, { type: mlflow }]\n")
    assert stack.of_role("experiment_tracker") == (
        "experiment_tracker.mlflow",
        "experiment_tracker.mlflow-2",
    )
    stack.hooks.log_metrics("experiment_tracker.mlflow-2", Metrics({"loss": 1.0}), CONTEXT)
    logged = [
        component.logged
        for component in stack.components.values()
        if isinstance(component, Tracker)
    ]
    assert logged == [[], [{"loss": 1.0}]]


def test_a_component_that_does_not_answer_is_named(build: Build) -> None:
    """A hook that has to give something back, and does not, is an error and no None."""
    stack = build("plugins:\n  orchestrator: { type: broken }\n")
    with pytest.raises(DeliveryError, match="orchestrator does not answer the hook open_executor"):
        stack.hooks.open_executor(RUN)


def test_a_hook_that_finds_nothing_says_so_by_none(build: Build) -> None:
    """Looking up is no delivery: none found is an answer."""
    stack = build("plugins:\n  model_registry: { type: local }\n")
    assert stack.hooks.get_model("model_registry", "fraud", None) is None
    assert stack.hooks.list_models("model_registry") == ()


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (KeyError("the component knows this one"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ValueError(), False),
        (DeliveryError("busy", transient=True), True),
        (DeliveryError("forbidden"), False),
    ],
)
def test_the_component_says_first_what_may_pass(
    build: Build, error: Exception, transient: bool
) -> None:
    """Where it does not know, connections and time-outs may pass and nothing else."""
    stack = build("plugins:\n  orchestrator: { type: broken }\n")
    assert stack.hooks.is_transient("orchestrator", error) is transient


def test_lifecycle_reaches_everybody_whatever_one_raises(build: Build) -> None:
    """What an observer raises is a warning that names it, and the next one is told all the same."""
    stack = build("plugins:\n  extensions: [grumpy, audit]\n")
    audit = stack.components["extensions.audit"]
    assert isinstance(audit, Audit)
    with pytest.warns(LifecycleWarning, match=r"extensions\.grumpy: run_started failed: .*no r-1"):
        stack.hooks.run_started(RUN)
    assert audit.seen == ["audit r-1"]
    with pytest.warns(LifecycleWarning, match="r-1 is done"):
        stack.hooks.run_finished(RUN, RunStatus.DONE)


def test_a_third_partys_role_delivers_through_its_own_hook(build: Build) -> None:
    """A role that an entry point adds is a key of the stack like any other."""
    stack = build("plugins:\n  prompt_registry: { type: memory }\n")
    stored = StoredArtifact("file:///x", "artifact_store", MANIFEST)
    receipt = stack.hooks.deliver("publish_prompt", "prompt_registry", "hello", stored, CONTEXT)
    assert receipt == Receipt("prompt:hello")
    assert list(stack.roles)[-1] == "prompt_registry"


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("misspelt", r"implements the hook 'register_modle'.*did you mean 'register_model'"),
        ("greedy", r"has a hook that does not fit: .*register_model.*'password'"),
        ("unmarked", r"'register_model' that is not marked.*@flowyml\.hookimpl.*in Unmarked"),
    ],
)
def test_a_wrong_hook_names_plugin_distribution_and_version(
    build: Build, type_: str, said: str
) -> None:
    """Hooks are held against the specifications when the stack is built, not when they are due."""
    with pytest.raises(PluginError, match=rf"model_registry '{type_}' of samples 1\.0 .*{said}"):
        build(f"plugins:\n  model_registry: {{ type: {type_} }}\n")
