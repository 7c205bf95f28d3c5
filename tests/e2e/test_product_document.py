"""What the product document prints works as it is printed.

The files in ``product_document/`` are its blocks, letter for letter. What a block leaves open (its
data, the pipeline it runs) is given to it from outside, as names that are there already.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
from sklearn import ensemble, metrics
from tests.e2e.cloud_doubles import double_entry_points

import flowyml
from flowyml import Pipeline, core, step
from flowyml.artifacts import Dataset, Metrics, Model, Parameters
from flowyml.cli import main
from flowyml.pipelines.result import RunResult
from flowyml.plugins import discovery
from flowyml.stacks.active import configuration, current_stack, stack_name
from flowyml.stacks.stack import Stack

BLOCKS = Path(__file__).parent / "product_document"

LABELS = [0, 0, 0, 1, 1, 1]

FRAME = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 40.0, 50.0, 60.0], "hour": [9, 10, 11, 2, 3, 4]})


def _block(name: str) -> str:
    return (BLOCKS / name).read_text(encoding="utf-8")


def _execute(name: str, **given: object) -> dict[str, Any]:
    """Run a block of Python as the module ``__main__`` of its own, with the names it is given."""
    namespace: dict[str, Any] = {"__name__": "document", **given}
    exec(compile(_block(name), name, "exec"), namespace)
    return namespace


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the data that the document reads, and without a configuration."""
    for variable in ("FLOWYML_STACK", "FLOWYML_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    FRAME.to_csv(tmp_path / "data.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a backend for every type that the document names."""
    monkeypatch.setattr(discovery, "entry_points", double_entry_points)
    discovery.installed.cache_clear()
    yield
    discovery.installed.cache_clear()


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[RunResult]:
    """Collect what the blocks' calls of ``pipeline.run()`` return, which they do not keep."""
    found: list[RunResult] = []
    run: Callable[..., RunResult] = Pipeline.run

    def kept(*arguments: Any, **more: Any) -> RunResult:
        found.append(run(*arguments, **more))
        return found[-1]

    monkeypatch.setattr(Pipeline, "run", kept)
    return found


def _paths(result: RunResult, root: Path) -> dict[str, str]:
    """Return where each output lies, relative to a root, with the run's id left open."""
    return {
        artifact.output: str(Path(urlsplit(artifact.uri).path).relative_to(root)).replace(
            result.run_id, "RUN"
        )
        for artifact in result.artifacts
    }


def _done(result: RunResult) -> set[tuple[str, str]]:
    return {(d.hook, d.output) for d in result.deliveries if d.status == "done"}


def _setting(stack: Stack, component: str, name: str) -> object:
    return getattr(stack.components[component], name)


def test_the_pipeline_runs_without_a_configuration(project: Path, results: list[RunResult]) -> None:
    """On the built-in stack everything is stored in the project, and the model registered."""
    _execute("production.py.txt", labels=LABELS)

    (result,) = results
    assert result.success, result
    assert result.stack == "local"
    assert _paths(result, project / ".flowyml" / "artifacts") == {
        "training_data": "RUN/training_data",
        "model": "RUN/model",
        "metrics": "RUN/metrics",
    }
    assert ("register_model", "model") in _done(result)
    assert result.outputs["metrics"] == Metrics({"accuracy": 0.95, "f1": 0.92})


def test_the_pipeline_runs_with_the_documented_plugins(
    project: Path, clouds: None, results: list[RunResult]
) -> None:
    """Each promise of the steps' docstrings holds with the YAML that is printed beside them."""
    (project / "flowyml.yaml").write_text(_block("plugins.yaml"), encoding="utf-8")

    _execute("production.py.txt", labels=LABELS)

    (result,) = results
    assert result.success, result
    assert result.stack == "default"
    assert _paths(result, project / "buckets" / "my-ml-artifacts" / "experiments") == {
        "training_data": "RUN/data/load_data",
        "model": "RUN/model",
        "metrics": "RUN/metrics",
    }
    assert _done(result) >= {("register_model", "model"), ("log_metrics", "metrics")}
    assert not [d for d in result.deliveries if d.hook == "deploy_model" and d.status == "done"]
    (model,) = current_stack().hooks.list_models("model_registry", "fraud_detector")
    assert model.version == "1.0.0"
    logged = [json.loads(line) for line in (project / "tracked.jsonl").read_text().splitlines()]
    assert {
        "kind": "metrics",
        "experiment": "my_experiments",
        "values": {"accuracy": 0.95, "f1": 0.92},
    } in logged


def test_the_pipeline_runs_from_the_command_line(project: Path) -> None:
    """The same file runs once under `flowyml run`, although it calls `pipeline.run()` itself."""
    code = f"labels = {LABELS}\n\n{_block('production.py.txt')}"
    (project / "pipeline.py").write_text(code, encoding="utf-8")

    assert main(["run", "pipeline.py"]) == 0

    runs = [path for path in (project / ".flowyml" / "artifacts").iterdir() if path.name[0] != "."]
    assert len(runs) == 1


def test_bare_steps_are_wired_by_type(project: Path, results: list[RunResult]) -> None:
    """The steps of "Core Artifact Types" make one pipeline, wired by the annotations."""
    block = _execute(
        "artifact_types.py.txt",
        step=step,
        pd=pd,
        RandomForestClassifier=ensemble.RandomForestClassifier,
        accuracy_score=metrics.accuracy_score,
        f1_score=metrics.f1_score,
        clean_and_transform=lambda frame: frame * 2,
        labels=LABELS,
        y_true=LABELS,
    )

    @step
    def raw_data() -> pd.DataFrame:
        return FRAME

    pipeline = Pipeline("artifact_types")
    for each in (raw_data, block["preprocess"], block["train_model"], block["evaluate"]):
        pipeline.add_step(each)
    result = pipeline.run()

    assert result.success, result
    assert result.outputs["preprocess"].name == "training_features"
    assert result.outputs["train_model"].framework == "sklearn"
    assert result.outputs["evaluate"]["accuracy"] == 1.0


def test_metrics_in_the_metadata_decide_about_deployment(project: Path) -> None:
    """The step of "Setting metrics for conditional deployment" gives the gate what it asks for."""
    block = _execute(
        "train_and_evaluate.py.txt",
        step=step,
        Model=core.Model,
        train=lambda data: ensemble.RandomForestClassifier().fit(data, LABELS),
        evaluate=lambda model, data: model.score(data, LABELS),
        data=FRAME,
        test_data=FRAME,
        f1=0.5,
    )
    option = _option(2).replace("store: gcs", "store: local")
    (project / "flowyml.yaml").write_text(
        "plugins:\n"
        "  artifact_store: { type: local }\n"
        "  model_registry: { type: local }\n"
        "  model_deployer: { type: local }\n" + textwrap.indent(option, "  ")
    )

    result = Pipeline("conditional").add_step(block["train_and_evaluate"]).run()

    (deployment,) = (d for d in result.deliveries if d.hook == "deploy_model")
    assert deployment.status == "skipped"
    assert "f1_score" in (deployment.reason or "")


def _option(number: int) -> str:
    """Return the block on conditional deployment with one of its three options."""
    head, *options = _block("conditional_deployment.yaml").split("    # Option ")
    return head + "    # Option " + options[number - 1]


@pytest.mark.parametrize(("number", "condition"), [(1, "manual"), (2, "auto"), (3, "on_approval")])
def test_each_deploy_condition_loads(
    project: Path, clouds: None, number: int, condition: str
) -> None:
    """Each of the three options is a rule for Model."""
    stack = "plugins:\n  artifact_store: { type: gcs, bucket: b }\n"
    text = stack + textwrap.indent(_option(number), "  ")
    (project / "flowyml.yaml").write_text(text)

    rule = current_stack().rules["Model"]

    assert (rule.store, rule.register, rule.deploy) == ("gcs", True, True)
    assert rule.deploy_condition == condition
    thresholds = {"accuracy": 0.95, "f1_score": 0.90} if condition == "auto" else None
    assert (rule.deploy_min_metrics or None) == thresholds


def test_the_path_template_loads_and_is_followed(project: Path) -> None:
    """Its three placeholders become the run, the step and the type in lower case."""
    rule = textwrap.indent(_block("path_template.yaml"), " " * 6)
    (project / "flowyml.yaml").write_text(
        "plugins:\n  artifact_store: { type: local }\n  artifact_routing:\n    Dataset:\n" + rule
    )

    @step
    def load() -> Dataset:
        return Dataset([1, 2])

    result = Pipeline("paths").add_step(load).run()

    assert _paths(result, project / ".flowyml" / "artifacts") == {"load": "RUN/load/dataset"}


def test_the_documented_stacks_load(
    project: Path, clouds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables in flow mappings are filled in, and rules and settings are what is printed."""
    (project / "flowyml.yaml").write_text(_block("stacks.yaml"), encoding="utf-8")
    for variable in ("GCP_PROJECT", "MLFLOW_URI", "SAGEMAKER_ROLE"):
        monkeypatch.setenv(variable, f"the-{variable}")

    assert configuration().stack_names == ("local", "gcp-prod", "aws-staging")
    assert stack_name() == "local"
    assert _setting(current_stack(), "artifact_store", "path") == project / "artifacts"

    gcp = current_stack("gcp-prod")
    assert _setting(gcp, "orchestrator", "project") == "the-GCP_PROJECT"
    assert _setting(gcp, "experiment_tracker", "tracking_uri") == "the-MLFLOW_URI"
    assert gcp.rules["Model"].endpoint_name == "production-model"
    assert str(gcp.rules["Dataset"].path) == "{run_id}/datasets/{step_name}"

    aws = current_stack("aws-staging")
    assert _setting(aws, "model_deployer", "role_arn") == "the-SAGEMAKER_ROLE"
    assert (aws.rules["Model"].store, aws.rules["Model"].register) == ("s3", True)


def test_variables_of_other_stacks_may_be_unset(
    project: Path, clouds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local stack works although no cloud is configured; the other ones name what is unset."""
    (project / "flowyml.yaml").write_text(_block("stacks.yaml"), encoding="utf-8")
    for variable in ("GCP_PROJECT", "MLFLOW_URI", "SAGEMAKER_ROLE"):
        monkeypatch.delenv(variable, raising=False)

    assert current_stack().name == "local"
    with pytest.raises(flowyml.errors.ConfigurationError) as caught:
        current_stack("gcp-prod")
    assert "GCP_PROJECT" in str(caught.value)
    assert "MLFLOW_URI" in str(caught.value)


def test_stacks_switch_in_the_documented_ways(
    project: Path,
    clouds: None,
    results: list[RunResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The block with `use_stack` runs as printed; `FLOWYML_STACK` and `--stack` do the same."""
    (project / "flowyml.yaml").write_text(_block("stacks.yaml"), encoding="utf-8")
    for variable in ("GCP_PROJECT", "MLFLOW_URI", "SAGEMAKER_ROLE"):
        monkeypatch.setenv(variable, "set")

    @step
    def count() -> dict[str, int]:
        return {"count": 1}

    pipeline = Pipeline("switching").add_step(count)
    _execute("via_context_manager.py.txt", pipeline=pipeline)
    assert stack_name() == "local"
    monkeypatch.setenv("FLOWYML_STACK", "aws-staging")
    pipeline.run()

    assert [(result.stack, result.success) for result in results] == [
        ("gcp-prod", True),
        ("aws-staging", True),
    ]
    assert (project / "buckets" / "my-ml-artifacts").is_dir()
    assert (project / "buckets" / "my-s3-bucket").is_dir()


def test_the_documented_commands_work(
    project: Path,
    clouds: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """List, show, set and run, word for word; setting leaves every other character alone."""
    text = _block("stacks.yaml")
    (project / "flowyml.yaml").write_text(text, encoding="utf-8")
    code = f"labels = {LABELS}\n\n{_block('production.py.txt')}"
    (project / "pipeline.py").write_text(code, encoding="utf-8")
    for variable in ("GCP_PROJECT", "MLFLOW_URI", "SAGEMAKER_ROLE"):
        monkeypatch.setenv(variable, "set")

    commands = [line for line in _block("commands.txt").splitlines() if line.startswith("flowyml ")]
    assert len(commands) == 4
    for command in commands:
        assert main(command.split()[1:]) == 0, command

    said = capsys.readouterr().out
    for name in ("local", "gcp-prod", "aws-staging"):
        assert name in said
    changed = text.replace("active_stack: local", "active_stack: gcp-prod")
    assert (project / "flowyml.yaml").read_text(encoding="utf-8") == changed
    assert (project / "buckets" / "my-ml-artifacts").is_dir()


def test_the_reference_of_model_is_right() -> None:
    """Every documented field is there; what is detected may be given."""
    model = _execute("model.py.txt", trained_model=ensemble.RandomForestClassifier())["model"]

    assert isinstance(model, Model)
    assert (model.name, model.version, model.framework) == ("my_model", "1.0.0", "sklearn")
    assert model.metadata == {"key": "value"}
    assert model.serving_config == {}


def test_the_reference_of_dataset_is_right() -> None:
    """Every documented field is there."""
    dataset = _execute("dataset.py.txt", dataframe=FRAME)["dataset"]

    assert isinstance(dataset, Dataset)
    assert (dataset.name, dataset.format) == ("training_data", "parquet")
    assert (dataset.rows, dataset.columns) == (6, ("amount", "hour"))


def test_the_reference_of_metrics_is_right() -> None:
    """The last of the three examples carries its metadata."""
    found = _execute("metrics.py.txt")["metrics"]

    assert found == Metrics({"accuracy": 0.95}, metadata={"model_version": "1.0"})


def test_the_reference_of_parameters_is_right() -> None:
    """The settings are a mapping."""
    found = _execute("parameters.py.txt")["params"]

    assert isinstance(found, Parameters)
    assert dict(found) == {"learning_rate": 0.001, "epochs": 100, "batch_size": 32}


def test_the_faces_are_the_same_classes() -> None:
    """`flowyml` and `flowyml.core` show one class each."""
    for name in ("Model", "Dataset", "Metrics", "Parameters"):
        assert getattr(flowyml, name) is getattr(core, name)
