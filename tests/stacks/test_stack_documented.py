"""The files of the product document load as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stacks.conftest import Build
from tests.stacks.documented_files import CONDITIONS, EVERYTHING, PLUGINS, STACKS
from tests.stacks.stack_samples import CATALOG, BucketStore, MemoryStore, Registry, Remote, Tracker

from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project
from flowyml.stacks.templates import PathTemplate


def test_plugins_is_one_stack_named_default(build: Build) -> None:
    """Every component gets its keys, every type its rule."""
    stack = build(PLUGINS)
    assert stack.types == {
        "experiment_tracker": "mlflow",
        "artifact_store": "gcs",
        "model_registry": "vertex_model_registry",
        "orchestrator": "vertex_ai",
    }
    assert stack.components["experiment_tracker"] == Tracker(
        "http://localhost:5000", "my_experiments"
    )
    assert stack.rules["Dataset"].path == PathTemplate("{run_id}/data/{step_name}")
    assert stack.rules["Model"].register is True
    assert stack.rules["Model"].deploy is False
    assert stack.store_name(stack.rules["Model"].store) == "artifact_store"


def test_a_component_takes_what_it_lacks_from_the_others(build: Build) -> None:
    """The registry has the project that only the store names."""
    registry = build(PLUGINS).components["model_registry"]
    assert isinstance(registry, Registry)
    assert registry.project == "my-gcp-project"


def test_stacks_are_read_without_looking_into_each_other(
    build: Build, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that only another stack needs may be unset."""
    local = build(STACKS, "local")
    assert local.components["artifact_store"] == MemoryStore(project.folder / "artifacts")
    assert local.rules == {}
    monkeypatch.setenv("GCP_PROJECT", "p")
    monkeypatch.setenv("MLFLOW_URI", "http://127.0.0.1:5000/?a=1, b: {c}#d")
    prod = Configuration.read(project).build("gcp-prod", CATALOG)
    assert prod.components["orchestrator"] == Remote(project="p")
    assert prod.components["experiment_tracker"] == Tracker("http://127.0.0.1:5000/?a=1, b: {c}#d")
    assert prod.rules["Model"].endpoint_name == "production-model"


def test_the_names_and_the_active_stack_are_those_of_the_file(project: Project) -> None:
    """In the order in which they stand there."""
    assert project.config
    project.config.write_text(STACKS)
    found = Configuration.read(project)
    assert found.stack_names == ("local", "gcp-prod", "aws-staging")
    assert found.active_stack == "local"


def test_thresholds_are_numbers_by_metric(build: Build) -> None:
    """A rule named default speaks for every type."""
    rules = build(CONDITIONS).rules
    assert rules["Model"].deploy_condition == "auto"
    assert rules["Model"].deploy_min_metrics == {"accuracy": 0.95, "f1_score": 0.90}
    assert rules["default"].path == PathTemplate("{run_id}/{step_name}/{artifact_name}")


def test_more_stores_extensions_and_settings(build: Build, project: Project) -> None:
    """Anchors, merges, variables with defaults, lists of components, third parties' roles."""
    stack = build(EVERYTHING, "all")
    archive = stack.components["artifact_stores.archive"]
    assert isinstance(archive, BucketStore)
    assert (archive.prefix, archive.timeout, archive.parts, archive.verify) == (
        "old",
        5.0,
        8,
        False,
    )
    assert stack.store_name("archive") == "artifact_stores.archive"
    assert stack.store_name("gcs") == stack.store_name("default") == "artifact_store"
    assert stack.of_role("experiment_tracker") == (
        "experiment_tracker.mlflow",
        "experiment_tracker.wandb",
    )
    assert stack.of_role("extensions") == ("extensions.audit", "extensions.audit-2")
    assert stack.trust == {"pickle"}
    assert stack.cache is True
    assert stack.store_of_uri("bucket://b/old/r-1/model") == "artifact_stores.archive"
    assert stack.store_of_uri("bucket://b/other") == "artifact_store"
    assert stack.store_of_uri("bucket://bb/other") is None
    disk = stack.components["artifact_stores.disk"]
    assert disk == MemoryStore(Path("~/shelf").expanduser())
    assert Configuration.read(project).pipelines == {
        "train": "pipelines/train.py:pipeline",
        "nightly": "acme.nightly:pipeline",
    }


def test_a_stack_with_nothing_in_it_keeps_artifacts_here(build: Build, project: Project) -> None:
    """Store and orchestrator are local where the file names none; nothing else is there."""
    stack = build(EVERYTHING, "bare")
    assert stack.types == {"artifact_store": "local", "orchestrator": "local"}
    assert stack.components["artifact_store"] == MemoryStore(project.folder / "artifacts")
    assert not stack.trust
    assert not stack.cache


def test_without_a_file_the_built_in_stack_is_used(tmp_path: Path) -> None:
    """Everything but a tracker is there, and everything is local."""
    found = Configuration.read(Project(tmp_path, None))
    assert found.stack_names == ("local",)
    assert found.active_stack is None
    assert found.pipelines == {}
    assert found.build("local").types == {
        "artifact_store": "local",
        "model_registry": "local",
        "model_deployer": "local",
        "orchestrator": "local",
    }


def test_the_built_in_stack_is_there_beside_a_file(project: Project) -> None:
    """`local` works in every project."""
    assert project.config
    project.config.write_text("stacks:\n  prod:\n")
    found = Configuration.read(project)
    assert found.stack_names == ("prod",)
    assert found.build("local", CATALOG).types["model_registry"] == "local"
