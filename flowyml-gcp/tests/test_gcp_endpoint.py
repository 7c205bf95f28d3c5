"""Vertex AI endpoints, on a server that really loads the model it is told to deploy."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import grpc
import pytest
from google.cloud.aiplatform_v1 import types
from tests.servers.vertex import VertexServer
from tests.servers.vertex_state import Fault

from flowyml.errors import DeliveryError
from flowyml.records import DeliveryContext, ModelVersion, Registration
from flowyml_gcp.deployer import VertexEndpoint
from flowyml_gcp.names import endpoint_id
from flowyml_gcp.registry import VertexModelRegistry

Deliveries = Callable[[str], DeliveryContext]
Models = Callable[..., ModelVersion]


@pytest.fixture
def model(
    registry: VertexModelRegistry,
    registration: Callable[..., Registration],
    delivery: Deliveries,
) -> Models:
    """Return a function that registers a model which always answers the same."""

    def make(version: str, answer: float) -> ModelVersion:
        return registry.register_model(registration(version, answer=answer), delivery(version))

    return make


def test_a_deployed_model_predicts(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries
) -> None:
    """The endpoint is made, the model loaded from the store, the answer its own."""
    deployed = deployer.deploy_model(model("1.0.0", 42.0), "scoring", delivery("deploy"))
    assert (deployed.endpoint, deployed.model, deployed.version) == (
        "scoring",
        "fraud_detector",
        "1.0.0",
    )
    assert deployed.status == "serving"
    assert deployer.predict("scoring", [[1], [2]]) == [42.0, 42.0]


def test_a_new_version_takes_over_and_the_old_one_goes(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries
) -> None:
    """One endpoint, one model on it, no machine paid for that serves nobody."""
    deployer.deploy_model(model("1.0.0", 1.0), "scoring", delivery("first"))
    deployer.deploy_model(model("2.0.0", 2.0), "scoring", delivery("second"))
    assert deployer.predict("scoring", [[1]]) == [2.0]
    assert [one.version for one in deployer.list_deployments()] == ["2.0.0"]


def test_a_share_of_the_traffic_leaves_the_old_version_in_place(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries
) -> None:
    """`traffic_split: 10` is a canary."""
    canary = attrs.evolve(deployer, traffic_split=10)
    canary.deploy_model(model("1.0.0", 1.0), "scoring", delivery("first"))
    canary.deploy_model(model("2.0.0", 2.0), "scoring", delivery("second"))
    assert {one.version for one in deployer.list_deployments()} == {"1.0.0", "2.0.0"}
    assert deployer.predict("scoring", [[1]]) == [1.0]


def test_the_same_delivery_deploys_once(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries, vertex: VertexServer
) -> None:
    """The second attempt finds what the first one did."""
    version = model("1.0.0", 1.0)
    first = deployer.deploy_model(version, "scoring", delivery("deploy"))
    assert deployer.deploy_model(version, "scoring", delivery("deploy")) == first
    assert vertex.state.calls.count("DeployModel") == 1


@pytest.mark.parametrize("call", ["CreateEndpoint", "DeployModel", "UndeployModel"])
def test_a_lost_answer_leaves_one_deployment(
    call: str,
    deployer: VertexEndpoint,
    model: Models,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """Whichever call it was, the next attempt waits for its operation and goes on."""
    endpoint = "scoring"
    if call != "CreateEndpoint":
        deployer.deploy_model(model("1.0.0", 1.0), endpoint, delivery("first"))
    version = model("2.0.0", 2.0)
    before = vertex.state.calls.count(call)
    vertex.state.faults.append(Fault(call, after=True))
    with pytest.raises(Exception, match="told to fail") as lost:
        deployer.deploy_model(version, endpoint, delivery("second"))
    assert deployer.is_transient(lost.value)
    deployer.deploy_model(version, endpoint, delivery("second"))
    assert vertex.state.calls.count(call) == before + 1
    assert [one.version for one in deployer.list_deployments()] == ["2.0.0"]
    assert deployer.predict(endpoint, [[1]]) == [2.0]


def test_a_failed_deployment_leaves_what_served(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries, vertex: VertexServer
) -> None:
    """With Vertex AI's reason; the version before goes on answering."""
    deployer.deploy_model(model("1.0.0", 1.0), "scoring", delivery("first"))
    crash = Fault(
        "DeployModel", grpc.StatusCode.FAILED_PRECONDITION, "container crashed", in_operation=True
    )
    vertex.state.faults.append(crash)
    with pytest.raises(DeliveryError, match=r"deploy fraud_detector@2\.0\.0.*container crashed"):
        deployer.deploy_model(model("2.0.0", 2.0), "scoring", delivery("second"))
    assert deployer.predict("scoring", [[1]]) == [1.0]


def test_a_slow_deployment_is_waited_for_again(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries, vertex: VertexServer
) -> None:
    """What takes longer than the deadline is transient and goes on."""
    version = model("1.0.0", 1.0)
    deployer.deploy_model(version, "other", delivery("other"))  # the clients are loaded by now
    hasty = attrs.evolve(deployer, deadline=0.001)
    with pytest.raises(DeliveryError, match="needs longer than") as late:
        hasty.deploy_model(version, "scoring", delivery("deploy"))
    assert late.value.transient
    assert deployer.deploy_model(version, "scoring", delivery("deploy")).status == "serving"
    assert vertex.state.calls.count("DeployModel") == 2


def test_an_endpoint_that_is_made_meanwhile_is_waited_for(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries, vertex: VertexServer
) -> None:
    """Vertex AI refuses to make it twice, and has it only when the other operation is done."""
    endpoint = types.Endpoint(display_name="scoring", labels={"managed-by": "flowyml"})
    request = types.CreateEndpointRequest(
        parent=deployer.parent, endpoint_id=endpoint_id("scoring"), endpoint=endpoint
    )
    vertex.state.meanwhile["CreateEndpoint"] = lambda: vertex.state.answer(
        "CreateEndpoint", request
    )
    deployed = deployer.deploy_model(model("1.0.0", 42.0), "scoring", delivery("deploy"))
    assert deployer.list_deployments() == [attrs.evolve(deployed, key=None)]


def test_two_deployments_at_once_leave_one(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries, vertex: VertexServer
) -> None:
    """The one that took over serves; the other is told, and may be tried again."""
    first, second, third = (model(f"{n}.0.0", float(n)) for n in (1, 2, 3))
    deployer.deploy_model(first, "scoring", delivery("first"))
    other = attrs.evolve(deployer)
    vertex.state.meanwhile["UndeployModel"] = lambda: other.deploy_model(
        third, "scoring", delivery("third")
    )
    with pytest.raises(DeliveryError, match="another deployment took over") as told:
        deployer.deploy_model(second, "scoring", delivery("second"))
    assert told.value.transient
    assert [one.version for one in deployer.list_deployments()] == ["3.0.0"]
    assert deployer.predict("scoring", [[1]]) == [3.0]


def test_a_changed_digest_is_not_deployed(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries
) -> None:
    """What is deployed is what was registered, or nothing."""
    changed = attrs.evolve(model("1.0.0", 1.0), digest="sha256:" + "0" * 64)
    with pytest.raises(DeliveryError, match="was to be deployed"):
        deployer.deploy_model(changed, "scoring", delivery("deploy"))
    assert deployer.list_deployments() == []


def test_a_model_of_another_registry_is_refused(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries
) -> None:
    """Vertex AI serves only what its own registry has."""
    foreign = attrs.evolve(model("1.0.0", 1.0), registry="mlflow")
    with pytest.raises(DeliveryError, match="registered in 'mlflow'"):
        deployer.deploy_model(foreign, "scoring", delivery("deploy"))


def test_an_undeployed_endpoint_is_gone(
    deployer: VertexEndpoint, model: Models, delivery: Deliveries, vertex: VertexServer
) -> None:
    """Nothing is left that costs anything; a second time there is nothing to do."""
    canary = attrs.evolve(deployer, traffic_split=10)
    canary.deploy_model(model("1.0.0", 1.0), "scoring", delivery("first"))
    canary.deploy_model(model("2.0.0", 2.0), "scoring", delivery("second"))
    assert deployer.undeploy_model("scoring")
    assert vertex.state.endpoints == {}
    assert not deployer.undeploy_model("scoring")


def test_a_share_beyond_all_is_refused() -> None:
    """With what the number means."""
    with pytest.raises(ValueError, match="share of the new version in percent"):
        VertexEndpoint(traffic_split=101)


def test_the_doctor_looks_at_the_endpoints(deployer: VertexEndpoint, vertex: VertexServer) -> None:
    """Whoever may read models may still be denied them."""
    assert [check.ok for check in deployer.diagnose()] == [True, True]
    vertex.state.faults.append(Fault("ListEndpoints", grpc.StatusCode.PERMISSION_DENIED))
    models, endpoints = deployer.diagnose()
    assert (models.ok, endpoints.ok) == (True, False)
    assert "roles/aiplatform.user" in (endpoints.fix or "")
