"""Vertex AI endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, ClassVar, Final

from attrs import define, field

from flowyml.errors import DeliveryError, NotFoundError
from flowyml.plugins import ModelDeployer, hookimpl
from flowyml.records import Check, DeliveryContext, Deployment, ModelVersion
from flowyml_gcp.checks import looked_at
from flowyml_gcp.clients import make_client
from flowyml_gcp.faults import explained
from flowyml_gcp.names import deployed_id, endpoint_id
from flowyml_gcp.versions import REGISTRY, model_version
from flowyml_gcp.vertex import ENABLE, MANAGED, VertexComponent

__all__ = ["VertexEndpoint"]

TYPE: Final = "vertex_endpoint"

ALL_TRAFFIC: Final = 100


def _share(_deployer: object, _field: object, value: int) -> None:
    if not 0 < value <= ALL_TRAFFIC:
        message = f"traffic_split is the share of the new version in percent, 1 to 100, not {value}"
        raise ValueError(message)


@define(slots=False)
class VertexEndpoint(VertexComponent, ModelDeployer):
    """Serves versions of the Vertex AI Model Registry at endpoints.

    An endpoint is made once, under an id that follows from its name. A new version takes traffic
    when it is deployed, and only then the version before is undeployed.

    Attributes:
        machine_type: Type of the machines that serve.
        min_replica_count: Machines that always run.
        max_replica_count: Most machines under load.
        accelerator_type: Type of accelerator, such as ``NVIDIA_TESLA_T4``.
        accelerator_count: Accelerators of each machine.
        traffic_split: Share of the traffic in percent that a new version takes; with less than 100
            the version before goes on serving the rest.
        dedicated: Whether the endpoint has a host name of its own.
        service_account: Account that the container runs as.
    """

    reads_schemes: ClassVar[frozenset[str] | None] = frozenset({"gs"})

    machine_type: str = field(default="n1-standard-2", kw_only=True)
    min_replica_count: int = field(default=1, kw_only=True)
    max_replica_count: int = field(default=1, kw_only=True)
    accelerator_type: str | None = field(default=None, kw_only=True)
    accelerator_count: int = field(default=1, kw_only=True)
    traffic_split: int = field(default=ALL_TRAFFIC, validator=_share, kw_only=True)
    dedicated: bool = field(default=False, kw_only=True)
    service_account: str | None = field(default=None, kw_only=True)

    @cached_property
    def endpoints(self) -> Any:
        """Client of the service of endpoints."""
        return make_client("endpoint", location=self.region, endpoint_url=self.endpoint_url)

    @hookimpl
    def deploy_model(
        self, model: ModelVersion, endpoint: str, context: DeliveryContext
    ) -> Deployment:
        """Deploy beside what serves, move the traffic, then take away what served."""
        if model.registry != REGISTRY or model.registry_id is None:
            message = (
                f"{model.reference} is registered in {model.registry!r}, and a vertex_endpoint "
                "serves what the vertex_model_registry has; use that registry in the stack"
            )
            raise DeliveryError(message)
        if not model.uri.startswith("gs://"):
            message = (
                f"{model.reference} lies at {model.uri}, and Vertex AI serves what lies in Cloud "
                "Storage; store Model in a `gcs` store"
            )
            raise DeliveryError(message)
        self._verify(model)
        resource = self._made(endpoint)
        identifier = deployed_id(context.key)
        if identifier not in {one.id for one in resource.deployed_models}:
            self._deploy(model, resource, identifier)
            resource = self._resource(endpoint)
        self._take_away_idle(resource)
        resource = self._resource(endpoint)
        if identifier not in {one.id for one in resource.deployed_models}:
            message = (
                f"{model.reference} is not at the endpoint {endpoint!r}: another deployment took "
                "over, or the one before failed"
            )
            raise DeliveryError(message, transient=True)
        return self._deployment(resource, identifier, context.key)

    def _verify(self, model: ModelVersion) -> None:
        """Compare the digest with the one that was registered."""
        held = model_version(self.models.get_model(request={"name": model.registry_id}))
        if held.digest != model.digest:
            message = (
                f"{model.reference} has {held.digest} in Vertex AI, and {model.digest} was to be "
                "deployed; register it again under another version"
            )
            raise DeliveryError(message)

    def _made(self, endpoint: str) -> Any:
        """Return the endpoint, after making it where there is none."""
        name = f"{self.parent}/endpoints/{endpoint_id(endpoint)}"
        self.wait_for_others(self.endpoints, name, f"change the endpoint {endpoint!r}")
        try:
            return self._resource(endpoint)
        except NotFoundError:
            return self._make(endpoint)

    def _make(self, endpoint: str) -> Any:
        request = {
            "parent": self.parent,
            "endpoint_id": endpoint_id(endpoint),
            "endpoint": {
                "display_name": endpoint,
                "labels": MANAGED,
                "dedicated_endpoint_enabled": self.dedicated,
            },
        }
        from google.api_core.exceptions import Conflict

        doing = f"make the endpoint {endpoint!r}"
        try:
            operation = self.endpoints.create_endpoint(request=request)
        except Conflict:  # another process is making it, or has just made it
            name = f"{self.parent}/endpoints/{request['endpoint_id']}"
            self.wait_for_others(self.endpoints, name, doing)
        else:
            self.wait(operation, doing)
        return self._resource(endpoint)

    def _deploy(self, model: ModelVersion, resource: Any, identifier: str) -> None:
        request = {
            "endpoint": resource.name,
            "deployed_model": {
                "id": identifier,
                "model": model.registry_id,
                "display_name": model.reference[:128],
                "dedicated_resources": {
                    "machine_spec": self._machine(),
                    "min_replica_count": self.min_replica_count,
                    "max_replica_count": self.max_replica_count,
                },
                "service_account": self.service_account or "",
            },
            "traffic_split": self._split(resource),
        }
        from google.api_core.exceptions import Conflict

        doing = f"deploy {model.reference} to {resource.display_name!r}"
        try:
            operation = self.endpoints.deploy_model(request=request)
        except Conflict:  # the same delivery is being made by another process
            self.wait_for_others(self.endpoints, resource.name, doing)
            return
        self.wait(operation, doing)

    def _machine(self) -> Mapping[str, Any]:
        machine: dict[str, Any] = {"machine_type": self.machine_type}
        if self.accelerator_type:
            machine["accelerator_type"] = self.accelerator_type
            machine["accelerator_count"] = self.accelerator_count
        return machine

    def _split(self, resource: Any) -> dict[str, int]:
        """Give the new version, which is called ``0``, its share; the main one keeps the rest."""
        before = dict(resource.traffic_split)
        if not before or self.traffic_split == ALL_TRAFFIC:
            return {"0": ALL_TRAFFIC}
        main = max(before, key=before.__getitem__)
        return {"0": self.traffic_split, main: ALL_TRAFFIC - self.traffic_split}

    def _take_away_idle(self, resource: Any) -> None:
        """Undeploy what has no traffic any more; it costs as much as what has.

        The request leaves the traffic as it is: another process may have moved it meanwhile.
        """
        split = dict(resource.traffic_split)
        for idle in [one for one in resource.deployed_models if not split.get(one.id)]:
            self._undeploy(resource, idle, {})

    def _undeploy(self, resource: Any, going: Any, split: dict[str, int]) -> None:
        """Undeploy one model; none where another process has done it."""
        from google.api_core.exceptions import NotFound

        request = {
            "endpoint": resource.name,
            "deployed_model_id": going.id,
            "traffic_split": split,
        }
        with suppress(NotFound):
            operation = self.endpoints.undeploy_model(request=request)
            self.wait(operation, f"undeploy {going.display_name} from {resource.display_name!r}")

    @hookimpl
    def undeploy_model(self, endpoint: str) -> bool:
        """Undeploy all that serves there, then delete the endpoint."""
        try:
            resource = self._resource(endpoint)
        except NotFoundError:
            return False
        self.wait_for_others(self.endpoints, resource.name, f"change {endpoint!r}")
        left = list(self._resource(endpoint).deployed_models)
        while left:
            going = left.pop()
            self._undeploy(resource, going, {left[0].id: ALL_TRAFFIC} if left else {})
        operation = self.endpoints.delete_endpoint(request={"name": resource.name})
        self.wait(operation, f"delete the endpoint {endpoint!r}")
        return True

    @hookimpl
    def list_deployments(self) -> Sequence[Deployment]:
        """List what serves at the endpoints that FlowyML made."""
        managed = f'labels.managed-by="{MANAGED["managed-by"]}"'
        pages = self.endpoints.list_endpoints(request={"parent": self.parent, "filter": managed})
        found = [one for resource in pages for one in self._deployments(resource)]
        return sorted(found, key=lambda deployment: deployment.created_at, reverse=True)

    @hookimpl
    def predict(self, endpoint: str, instances: Sequence[Any]) -> Sequence[Any]:
        """Ask the endpoint, at its own host name where it has one."""
        from google.protobuf import json_format, struct_pb2

        resource = self._resource(endpoint)
        own = resource.dedicated_endpoint_dns
        client = make_client(
            "prediction", location=self.region, endpoint_url=own or self.endpoint_url
        )
        rows = [json_format.ParseDict(row, struct_pb2.Value()) for row in instances]
        answer = client.predict(endpoint=resource.name, instances=rows)
        return [_plain(prediction) for prediction in answer.predictions]

    def diagnose(self) -> Sequence[Check]:
        """Look at the models, which it deploys, and at the endpoints."""
        return (*super().diagnose(), looked_at("endpoints", self._look, fix=ENABLE))

    def _look(self) -> str:
        request = {"parent": self.parent, "page_size": 1}
        with explained(f"listing the endpoints in {self.parent}"):
            next(iter(self.endpoints.list_endpoints(request=request)), None)
        return f"can be listed in {self.parent}"

    def _resource(self, endpoint: str) -> Any:
        from google.api_core.exceptions import NotFound

        name = f"{self.parent}/endpoints/{endpoint_id(endpoint)}"
        try:
            return self.endpoints.get_endpoint(request={"name": name})
        except NotFound as cause:
            message = f"Vertex AI has no endpoint {endpoint!r} in {self.parent}"
            raise NotFoundError(message) from cause

    def _deployments(self, resource: Any) -> Iterator[Deployment]:
        for deployed in resource.deployed_models:
            yield self._deployment(resource, deployed.id, None)

    def _deployment(self, resource: Any, identifier: str, key: str | None) -> Deployment:
        deployed = next(one for one in resource.deployed_models if one.id == identifier)
        name = f"{deployed.model.partition('@')[0]}@{deployed.model_version_id}"
        model = model_version(self.models.get_model(request={"name": name}))
        serving = bool(dict(resource.traffic_split).get(identifier))
        return Deployment(
            endpoint=resource.display_name,
            model=model.name,
            version=model.version,
            digest=model.digest,
            deployer=TYPE,
            created_at=deployed.create_time,
            url=f"https://{self.region}-aiplatform.googleapis.com/v1/{resource.name}:predict",
            status="serving" if serving else "starting",
            key=key,
        )


def _plain(value: Any) -> Any:
    """Return a prediction as plain JSON values; the client gives its own kinds of containers."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
