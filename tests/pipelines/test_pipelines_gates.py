"""What a gate lets through is what was measured: the model as it is stored."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

from tests.pipelines.conftest import WriteFile

from flowyml import Metrics, Model, Pipeline, step
from flowyml.records import DeliveryStatus

STACK = """
    plugins:
      artifact_store: { type: local }
      model_registry: { type: local }
      model_deployer: { type: local }
      artifact_routing:
        Model: { deploy: true, deploy_condition: auto, deploy_min_metrics: { accuracy: 0.9 } }
"""


@step
def base() -> Model:
    return Model({"accuracy": 0.2}, name="base")


@step
def refit(base: Model) -> int:
    base.data["accuracy"] = 0.95  # as what trains in place does
    return 20


@step
def score(base: Model, refit: int) -> Metrics:
    return Metrics({"accuracy": base.data["accuracy"]})


def test_a_model_that_is_trained_further_in_place_is_measured_as_it_is_stored(
    write_file: WriteFile,
) -> None:
    """A step that changes it in its own hands opens no gate for the one in the store."""
    write_file("flowyml.yaml", STACK)

    result = Pipeline("gate").add_step(base).add_step(refit).add_step(score).run()

    assert result.outputs["score"] == Metrics({"accuracy": 0.2})
    (deployment,) = (each for each in result.deliveries if each.hook == "deploy_model")
    assert deployment.status is DeliveryStatus.SKIPPED
    assert "accuracy is 0.2, below 0.9" in (deployment.reason or "")
