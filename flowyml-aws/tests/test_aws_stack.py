"""The stack ``aws-staging`` of the product document, from the command line to an answer."""

from __future__ import annotations

from collections.abc import Callable

import boto3
import pytest
from tests.servers.projects import Project
from tests.servers.sagemaker import SageMakerServer

STACK = """
stacks:
  aws-staging:
    artifact_store: { type: s3, bucket: BUCKET }
    model_registry: { type: sagemaker_model_registry }
    model_deployer: { type: sagemaker_endpoint, role_arn: ${SAGEMAKER_ROLE} }

    artifact_routing:
      Model: { store: s3, register: true, deploy: true, deploy_condition: CONDITION }
      Dataset: { store: s3 }
"""

PIPELINE = """
import pandas as pd
from sklearn.linear_model import LinearRegression

from flowyml import Pipeline, step
from flowyml.core import Dataset, Metrics, Model

@step(outputs=["training_data"])
def load_data() -> Dataset:
    frame = pd.DataFrame({"amount": [0.0, 1.0, 2.0], "risk": [0.0, 2.0, 4.0]})
    return Dataset(data=frame, name="training_features")

@step(inputs=["training_data"], outputs=["model"])
def train(training_data: Dataset) -> Model:
    frame = training_data.data
    fitted = LinearRegression().fit(frame[["amount"]], frame["risk"])
    metrics = {"accuracy": fitted.score(frame[["amount"]], frame["risk"])}
    return Model(fitted, name="fraud_detector", version="1.0.0", metadata={"metrics": metrics})

@step(inputs=["model", "training_data"], outputs=["metrics"])
def evaluate(model: Model, training_data: Dataset) -> Metrics:
    return Metrics({"rows": training_data.rows})

pipeline = Pipeline("production")
pipeline.add_step(load_data)
pipeline.add_step(train)
pipeline.add_step(evaluate)
"""

SMALL = """
from flowyml import Model, Pipeline, step

@step(outputs=["model"])
def train() -> Model:
    facts = {"metadata": {"metrics": {"accuracy": 0.95}}, "serving_config": {"image": "adder"}}
    return Model([1.0, 2.0], name="fraud_detector", version="1.0.0", **facts)

pipeline = Pipeline("production").add_step(train)
"""

Configure = Callable[[str, str], None]


@pytest.fixture
def configure(project: Project, bucket: str) -> Configure:
    """Return a function that writes a pipeline, and when its models are deployed."""

    def write(pipeline: str, condition: str) -> None:
        stack = STACK.replace("BUCKET", bucket).replace("CONDITION", condition)
        (project.folder / "flowyml.yaml").write_text(stack)
        (project.folder / "pipeline.py").write_text(pipeline)

    return write


def made(url: str) -> list[int]:
    """Count package groups, packages, models, configurations and endpoints."""
    client = boto3.client("sagemaker", endpoint_url=url)
    return [
        len(client.list_model_package_groups()["ModelPackageGroupSummaryList"]),
        len(client.list_model_packages(ModelPackageType="Versioned")["ModelPackageSummaryList"]),
        len(client.list_models()["Models"]),
        len(client.list_endpoint_configs()["EndpointConfigs"]),
        len(client.list_endpoints()["Endpoints"]),
    ]


def test_from_a_run_to_an_answer(
    project: Project, configure: Configure, sagemaker: SageMakerServer
) -> None:
    """Run, approve, predict, undeploy: one of each, and nothing left at the end."""
    configure(PIPELINE, "on_approval")
    project.flowyml("run", "pipeline.py")
    assert made(sagemaker.url) == [1, 1, 0, 0, 0]

    approve = ("model", "approve", "fraud_detector", "--version", "1.0.0", "--comment", "good")
    project.flowyml(*approve)
    assert made(sagemaker.url) == [1, 1, 1, 1, 1]
    (model,) = project.rows("model", "list")
    assert (model["version"], model["approval"]) == ("1.0.0", "approved")
    # What was trained in the run is what answers, by column.
    assert project.predictions("fraud_detector", [[3.0], [4.0]]) == pytest.approx([6.0, 8.0])

    project.flowyml("model", "undeploy", "fraud_detector")
    assert made(sagemaker.url) == [1, 1, 0, 0, 0]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "operation",
    [
        "CreateModelPackageGroup",
        "CreateModelPackage",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
    ],
)
def test_a_killed_run_is_gone_on_with(
    project: Project, configure: Configure, sagemaker: SageMakerServer, operation: str
) -> None:
    """Killed between any two calls and resumed, it ends with exactly one of each."""
    configure(SMALL, "auto, deploy_min_metrics: { accuracy: 0.9 }")
    sagemaker.steer(hold=operation)
    with project.running() as process:
        project.wait_for(process, sagemaker.holds)
        process.kill()
    sagemaker.steer(hold=None)
    (run,) = project.rows("runs", "list")
    project.flowyml("resume", run["run_id"])

    assert made(sagemaker.url) == [1, 1, 1, 1, 1]
    (run,) = project.rows("runs", "list")
    assert run["status"] == "done"
