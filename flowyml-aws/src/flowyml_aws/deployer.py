"""The model deployer ``sagemaker_endpoint``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Final

from attrs import define, field

from flowyml.errors import DeliveryError, NotFoundError
from flowyml.plugins import ModelDeployer, hookimpl
from flowyml.plugins.limits import at_least_one, positive
from flowyml.records import Check, DeliveryContext, Deployment, ModelVersion
from flowyml_aws.bundles import Bundle, make_bundle, verify_bundle
from flowyml_aws.checks import looked_at
from flowyml_aws.endpoints import Endpoint, Endpoints, status_of
from flowyml_aws.faults import explained, is_missing, is_taken
from flowyml_aws.images import image_for
from flowyml_aws.leftovers import ENDPOINT, sweep, tags_of
from flowyml_aws.names import resource_name, tag_list, unique_name
from flowyml_aws.packages import registered_bundle
from flowyml_aws.roles import look_at_role
from flowyml_aws.sagemaker import SageMakerComponent
from flowyml_aws.variants import (
    DataCapture,
    Serverless,
    capture_config,
    container_environment,
    production_variant,
)

__all__ = ["SageMakerEndpoint"]

TYPE: Final = "sagemaker_endpoint"
MOST_SWEPT: Final = 2
"""How often model and configuration are made again that another deployment took away."""

FACTS: Final = ("model", "version", "digest", "key")


@define(slots=False)
class SageMakerEndpoint(SageMakerComponent, ModelDeployer):
    """Serves models at SageMaker endpoints: a model and a configuration for each deployment.

    Attributes:
        role_arn: Role that SageMaker takes on to fetch image and model.
        runtime_endpoint_url: Address that answers predictions, where it is not AWS's own.
        instance_type: What a model runs on, unless its ``serving_config`` says otherwise.
        initial_instance_count: On how many of them.
        serverless: Run without instances instead.
        data_capture: Keep requests and answers in S3.
        images: Image by framework, in place of AWS's own images.
        subnets: Subnets of a VPC that the containers are in; with ``security_group_ids``.
        security_group_ids: Their security groups.
        network_isolation: Whether the containers reach no network at all.
        kms_key_id: Key that encrypts the instances' disks.
        tags: Tags of models, configurations and endpoints.
        wait_minutes: How long a deployment may take.
        poll_seconds: Most seconds between two looks at an endpoint that changes.
    """

    type: ClassVar[str] = TYPE
    reads_schemes: ClassVar[frozenset[str] | None] = frozenset({"s3"})

    role_arn: str
    runtime_endpoint_url: str | None = None
    instance_type: str = "ml.m5.large"
    initial_instance_count: int = field(default=1, validator=at_least_one)
    serverless: Serverless | None = None
    data_capture: DataCapture | None = None
    images: dict[str, str] = field(factory=dict)
    subnets: list[str] = field(factory=list)
    security_group_ids: list[str] = field(factory=list)
    network_isolation: bool = False
    kms_key_id: str | None = None
    tags: dict[str, str] = field(factory=dict)
    wait_minutes: float = field(default=30, validator=positive)
    poll_seconds: float = field(default=15, validator=positive)

    @cached_property
    def runtime(self) -> Any:
        """The client that predictions are asked through."""
        address = self.runtime_endpoint_url or self.endpoint_url
        return self.account.client("sagemaker-runtime", endpoint_url=address)

    @property
    def endpoints(self) -> Endpoints:
        """The endpoints, and how patiently they are waited for."""
        return Endpoints(self.client, self.poll_seconds, self.wait_minutes * 60)

    @hookimpl
    def deploy_model(
        self, model: ModelVersion, endpoint: str, context: DeliveryContext
    ) -> Deployment:
        """Make model and configuration, let them serve, then remove what served before.

        Both have names made from the key and from all their settings: an attempt that was killed
        is gone on with, and changed settings are another configuration.
        """
        with explained(f"deploying {model.reference} to the endpoint {endpoint!r}"):
            bundle = self._verified(model)
            tags = {**self.tags, ENDPOINT: endpoint}
            tags |= {
                "flowyml:model": model.name,
                "flowyml:version": model.version,
                "flowyml:digest": model.digest,
                "flowyml:key": context.key,
            }
            try:
                config = self._serving(model, bundle, endpoint, tags)
            except DeliveryError:
                self._sweep(endpoint)
                raise
            self._sweep(endpoint)
            return self._deployment(endpoint, self._found(resource_name(endpoint)), config, tags)

    def _serving(
        self, model: ModelVersion, bundle: Bundle, endpoint: str, tags: dict[str, str]
    ) -> str:
        """Let a model serve; return the name of its configuration.

        Another deployment to this endpoint sweeps what does not serve yet, so also this.
        """
        for _ in range(MOST_SWEPT):
            try:
                return self._put(model, bundle, endpoint, tags)
            except Exception as error:
                if not is_missing(error):
                    raise
        return self._put(model, bundle, endpoint, tags)

    def _put(self, model: ModelVersion, bundle: Bundle, endpoint: str, tags: dict[str, str]) -> str:
        name = self._make_model(model, bundle, endpoint, tags)
        config = self._make_config(model, name, endpoint, tags)
        own = tag_list({**self.tags, ENDPOINT: endpoint})
        self.endpoints.serve(resource_name(endpoint), config, own)
        return config

    def _verified(self, model: ModelVersion) -> Bundle:
        """Return the bundle, read again and compared with what was registered."""
        expected = self._registered(model)
        store = self.store.covering(model.uri)
        bundle = make_bundle(store, model.uri, model.digest, framework=model.framework)
        verify_bundle(store, bundle, expected=expected)
        return bundle

    def _registered(self, model: ModelVersion) -> str | None:
        """Return the digest of the bundle that the SageMaker registry has, if it has the model."""
        arn = model.registry_id or ""
        if ":model-package/" not in arn:
            return None
        package = self.client.describe_model_package(ModelPackageName=arn)
        if package.get("ModelApprovalStatus") == "Rejected":
            message = (
                f"{model.reference} is rejected in the SageMaker Model Registry, so it is not "
                "deployed; `flowyml model approve` takes that back"
            )
            raise DeliveryError(message)
        return registered_bundle(package)

    def _make_model(
        self, model: ModelVersion, bundle: Bundle, endpoint: str, tags: dict[str, str]
    ) -> str:
        fields: dict[str, Any] = {
            "ExecutionRoleArn": self.role_arn,
            "PrimaryContainer": {
                "Image": self._image(model),
                "ModelDataUrl": bundle.uri,
                "Environment": container_environment(model.serving_config),
            },
        }
        if self.subnets or self.security_group_ids:
            groups = self.security_group_ids
            fields["VpcConfig"] = {"Subnets": self.subnets, "SecurityGroupIds": groups}
        if self.network_isolation:
            fields["EnableNetworkIsolation"] = True
        name = self._name(endpoint, tags["flowyml:key"], fields)
        with _already_there():
            self.client.create_model(ModelName=name, **fields, Tags=tag_list(tags))
        return name

    def _image(self, model: ModelVersion) -> str:
        serving = model.serving_config
        wanted = serving.get("image") or self.images.get(model.framework or "")
        return wanted or image_for(
            model.framework,
            region=self.account.region_name,
            instance_type=serving.get("instance_type", self.instance_type),
            name=model.name,
        )

    def _make_config(
        self, model: ModelVersion, sagemaker_model: str, endpoint: str, tags: dict[str, str]
    ) -> str:
        variant = production_variant(
            sagemaker_model,
            serverless=self.serverless,
            instance_type=self.instance_type,
            count=self.initial_instance_count,
            serving=model.serving_config,
        )
        fields: dict[str, Any] = {"ProductionVariants": [variant]}
        if self.data_capture is not None:
            fields["DataCaptureConfig"] = capture_config(self.data_capture)
        if self.kms_key_id is not None:
            fields["KmsKeyId"] = self.kms_key_id
        name = self._name(endpoint, tags["flowyml:key"], fields)
        with _already_there():
            self.client.create_endpoint_config(
                EndpointConfigName=name, **fields, Tags=tag_list(tags)
            )
        return name

    def _name(self, endpoint: str, key: str, fields: dict[str, Any]) -> str:
        return unique_name(resource_name(endpoint), key, json.dumps(fields, sort_keys=True))

    def _sweep(self, endpoint: str) -> None:
        sweep(self.client, endpoint, lambda: self.endpoints.find(resource_name(endpoint)))

    def _found(self, name: str) -> Endpoint:
        endpoint = self.endpoints.find(name)
        if endpoint is None:
            message = f"somebody deleted the endpoint {name!r} right after it was deployed"
            raise DeliveryError(message)
        return endpoint

    def _deployment(
        self, endpoint: str, described: Endpoint, config: str, tags: dict[str, str]
    ) -> Deployment:
        facts = {name: tags.get(f"flowyml:{name}", "") for name in FACTS}
        made = self.client.describe_endpoint_config(EndpointConfigName=config)["CreationTime"]
        address = self.runtime.meta.endpoint_url.rstrip("/")
        return Deployment(
            endpoint=endpoint,
            model=facts["model"],
            version=facts["version"],
            digest=facts["digest"],
            deployer=TYPE,
            created_at=made.astimezone(UTC) if isinstance(made, datetime) else datetime.now(UTC),
            url=f"{address}/endpoints/{described.name}/invocations",
            status=status_of(described),
            key=facts["key"],
        )

    @hookimpl
    def undeploy_model(self, endpoint: str) -> bool:
        """Delete the endpoint, then its configurations and models."""
        with explained(f"undeploying {endpoint!r}"):
            found = self.endpoints.delete(resource_name(endpoint))
            self._sweep(endpoint)
            return found

    @hookimpl
    def list_deployments(self) -> Sequence[Deployment]:
        """List the endpoints that FlowyML made, with what serves there now."""
        with explained("listing SageMaker's endpoints"):
            found = list(self._deployments())
            return sorted(found, key=lambda one: one.created_at, reverse=True)

    def _deployments(self) -> Iterator[Deployment]:
        pages = self.client.get_paginator("list_endpoints").paginate()
        for name in [entry["EndpointName"] for page in pages for entry in page["Endpoints"]]:
            endpoint = self.endpoints.find(name)
            own = tags_of(self.client, endpoint.arn).get(ENDPOINT) if endpoint else None
            if endpoint is None or own is None:
                continue
            tags = tags_of(self.client, _config_arn(endpoint))
            if "flowyml:model" in tags:
                yield self._deployment(own, endpoint, endpoint.config, tags)

    @hookimpl
    def predict(self, endpoint: str, instances: Sequence[Any]) -> Sequence[Any]:
        """Send the rows as JSON, and return the predictions of the answer."""
        name = resource_name(endpoint)
        try:
            with explained(f"asking the endpoint {endpoint!r}"):
                answer = self.runtime.invoke_endpoint(
                    EndpointName=name,
                    ContentType="application/json",
                    Accept="application/json",
                    Body=json.dumps({"instances": list(instances)}).encode(),
                )
        except DeliveryError as error:
            if is_missing(error.__cause__ or error):
                message = (
                    f"SageMaker has no endpoint {endpoint!r}; `flowyml model deploy` makes one"
                )
                raise NotFoundError(message) from error
            raise
        return _predictions(answer["Body"].read(), endpoint, len(instances))

    def diagnose(self) -> Sequence[Check]:
        """Look whether endpoints can be listed, and whether SageMaker may take on the role."""
        return (
            looked_at("endpoints", self._look),
            looked_at("role", lambda: look_at_role(self.account, self.role_arn)),
        )

    def _look(self) -> str:
        with explained("listing SageMaker's endpoints"):
            self.client.list_endpoints(MaxResults=1)
        return f"SageMaker answers in {self.account.region_name}"


class _already_there:  # noqa: N801  # reads as the statement that it is
    """Let a creation pass whose name is taken: the name says that it is the same thing."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Pass the one refusal that means success."""
        del kind, trace
        return error is not None and is_taken(error)


def _config_arn(endpoint: Endpoint) -> str:
    start = endpoint.arn.rpartition(":")[0]
    return f"{start}:endpoint-config/{endpoint.config}"


def _predictions(body: bytes, endpoint: str, asked: int) -> Sequence[Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    found = answer.get("predictions") if isinstance(answer, dict) else answer
    if not isinstance(found, list) or len(found) != asked:
        message = (
            f"the endpoint {endpoint!r} answered {body[:200]!r} for {asked} rows; its container "
            'has to answer {"predictions": [...]} with one prediction a row'
        )
        raise DeliveryError(message)
    return found
