"""The permissions that the README lists are those of the calls that the components make."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from tests.servers.processes import ServerProcess
from tests.servers.vertex import VertexServer

from flowyml.plugins.errands import Errand
from flowyml.records import DeliveryContext, Registration
from flowyml_gcp.deployer import VertexEndpoint
from flowyml_gcp.orchestrator import VertexAIOrchestrator
from flowyml_gcp.registry import VertexModelRegistry
from flowyml_gcp.storage import GCSArtifactStore

README = Path(__file__).parents[1] / "README.md"

PERMISSIONS = {
    "CancelCustomJob": "aiplatform.customJobs.cancel",
    "CreateCustomJob": "aiplatform.customJobs.create",
    "CreateEndpoint": "aiplatform.endpoints.create",
    "DeleteEndpoint": "aiplatform.endpoints.delete",
    "DeleteModelVersion": "aiplatform.models.delete",
    "DeployModel": "aiplatform.endpoints.deploy",
    "GetCustomJob": "aiplatform.customJobs.get",
    "GetEndpoint": "aiplatform.endpoints.get",
    "GetModel": "aiplatform.models.get",
    "ListCustomJobs": "aiplatform.customJobs.list",
    "ListEndpoints": "aiplatform.endpoints.list",
    "ListModelVersions": "aiplatform.models.list",
    "ListModels": "aiplatform.models.list",
    "ListOperations": "aiplatform.operations.list",
    "MergeVersionAliases": "aiplatform.models.update",
    "Predict": "aiplatform.endpoints.predict",
    "UndeployModel": "aiplatform.endpoints.undeploy",
    "UpdateModel": "aiplatform.models.update",
    "UploadModel": "aiplatform.models.upload",
}
"""What Vertex AI asks for; an operation may be looked at by whoever began it."""

Registrations = Callable[..., Registration]
Deliveries = Callable[[str], DeliveryContext]


def listed(component: str) -> set[str]:
    """Return the permissions in a component's row of the README."""
    rows = re.compile(rf"^\| `{component}` \| (.*aiplatform\..*) \|$", re.MULTILINE)
    (row,) = rows.findall(README.read_text())
    return set(re.findall(r"`(aiplatform\.\w+\.\w+)`", row))


def needed(vertex: VertexServer) -> set[str]:
    """Return the permissions of all calls so far, and forget them."""
    calls = {call for call in vertex.state.calls if call != "GetOperation"}
    vertex.state.calls.clear()
    return {PERMISSIONS[call] for call in calls}


def test_the_registry_needs_what_is_listed(
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """Register, find, decide, alias, look, and give up what another process was faster with."""
    twin = attrs.evolve(registry)
    registry.register_model(registration("0.9.0"), delivery("before"))
    vertex.state.meanwhile["UploadModel"] = lambda: twin.models.upload_model(
        request=twin._upload(registration(), delivery("twin"))
    )
    registry.register_model(registration(), delivery("own"))
    twin.register_model(registration(), delivery("twin"))
    registry.get_model("fraud_detector", "1.0.0")
    registry.list_models(None)
    registry.set_approval("fraud_detector", "1.0.0", "approved", "")
    registry.set_alias("fraud_detector", "1.0.0", "champion")
    registry.diagnose()
    assert needed(vertex) == listed("vertex_model_registry")


def test_the_deployer_needs_what_is_listed(
    registry: VertexModelRegistry,
    deployer: VertexEndpoint,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """Deploy, replace, predict, list, look and undeploy."""
    models = [
        registry.register_model(registration(version, answer=answer), delivery(version))
        for version, answer in (("1", 1.0), ("2", 2.0))
    ]
    needed(vertex)
    for model in models:
        deployer.deploy_model(model, "scoring", delivery(f"deploy {model.version}"))
    deployer.predict("scoring", [[1]])
    deployer.list_deployments()
    deployer.diagnose()
    deployer.undeploy_model("scoring")
    assert needed(vertex) == listed("vertex_endpoint")


def test_the_orchestrator_needs_what_is_listed(gcs: ServerProcess, vertex: VertexServer) -> None:
    """Look for jobs, start one, look at it, cancel it."""
    orchestrator = VertexAIOrchestrator(project="test-project", endpoint_url=vertex.url)
    orchestrator = orchestrator.beside([GCSArtifactStore("models", endpoint_url=gcs.url)])
    errand = Errand("run-permissions", "a")
    orchestrator.preflight()
    orchestrator.jobs(errand)
    job = orchestrator.start(errand, b"")
    orchestrator.cancel(orchestrator.look(job))
    assert needed(vertex) == listed("vertex_ai")


@pytest.mark.parametrize("component", ["vertex_model_registry", "vertex_endpoint"])
def test_the_role_that_is_shown_has_them(component: str) -> None:
    """Whoever copies the command can register and deploy."""
    (role,) = re.findall(r"--permissions=\\\n((?:aiplatform.*\n)+)", README.read_text())
    assert listed(component) <= set(re.findall(r"aiplatform\.\w+\.\w+", role))
