"""The endpoints on this machine: one server process each."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import attrs
from attrs import define, field

from flowyml.errors import DeliveryError, FlowyMLError, NotFoundError
from flowyml.plugins import Component, ModelDeployer, hookimpl
from flowyml.plugins.limits import positive
from flowyml.records import Check, DeliveryContext, Deployment, ModelVersion
from flowyml_local.client import address, ask, is_healthy
from flowyml_local.endpoints import Endpoint, EndpointFiles
from flowyml_local.launching import ENDING, Launch, Started, start
from flowyml_local.registry import LocalModelRegistry
from flowyml_local.serving import plain

__all__ = ["LocalModelDeployer"]

DEPLOYER: Final = "local"

LAST_PORT: Final = 65535

Status = Literal["serving", "stopped", "failed"]


@define(slots=False)
class LocalModelDeployer(ModelDeployer):
    """Serves models over HTTP from processes of their own, which outlive the run.

    A new version of an endpoint is loaded and answers before the old one is ended, at the same
    port.

    Attributes:
        path: Folder of the endpoints' records and logs.
        host: Address to listen at; only this machine reaches the default.
        port: Port to listen at, for a deployer with one endpoint; any free one by default.
        start_timeout: Seconds for a model to load.
    """

    reads_schemes: ClassVar[frozenset[str] | None] = frozenset({"file"})
    stays_here: ClassVar[bool] = True

    path: Path = field(default=Path(".flowyml/endpoints"), converter=Path)
    host: str = "127.0.0.1"
    port: int | None = field(default=None)
    start_timeout: float = field(default=60.0, validator=positive)
    _registry: LocalModelRegistry | None = field(default=None, init=False, repr=False, eq=False)

    @port.validator
    def _check_port(self, _attribute: object, port: int | None) -> None:
        if port is not None and not 0 <= port <= LAST_PORT:
            message = f"port is a number up to {LAST_PORT}, not {port}"
            raise ValueError(message)

    def beside(self, others: Sequence[Component]) -> Self:
        """Learn from the local registry, if the stack has it, where models import their code."""
        for other in others:
            if isinstance(other, LocalModelRegistry):
                self._registry = other
        return self

    @hookimpl
    def deploy_model(
        self, model: ModelVersion, endpoint: str, context: DeliveryContext
    ) -> Deployment:
        """Start a server; when it serves, put it on record and end its predecessor."""
        _check_scheme(model)
        files = EndpointFiles.of(self.path, endpoint)
        with files.lock(endpoint, 2 * self.start_timeout):
            before = _settle(files)
            if before and _serves(before, model, context.key):
                return _deployment(before, "serving")
            after = self._take_over(files, before, model, endpoint, context.key)
            _settle(files)
        return _deployment(after, "serving")

    def _take_over(
        self,
        files: EndpointFiles,
        before: Endpoint | None,
        model: ModelVersion,
        endpoint: str,
        key: str,
    ) -> Endpoint:
        launch = self._launch(files, before, model, endpoint)
        with start(launch, files.log) as started:
            after = _on_record(launch, started, before, key)
            files.write(after)
        return after

    def _launch(
        self, files: EndpointFiles, before: Endpoint | None, model: ModelVersion, endpoint: str
    ) -> Launch:
        port = self.port or (before.port if before else 0)
        held = before and before.process.is_running and (before.host, before.port)
        return Launch(
            launch=uuid.uuid4().hex,
            endpoint=endpoint,
            model=model.name,
            version=model.version,
            uri=model.uri,
            digest=model.digest,
            host=self.host,
            port=port,
            shared=held == (self.host, port),
            insists=bool(self.port),
            record=str(files.record.absolute()),
            patience=self.start_timeout,
            code=self._registry.code_of(model.name, model.version) if self._registry else (),
        )

    @hookimpl
    def undeploy_model(self, endpoint: str) -> bool:
        """End the server and forget the endpoint."""
        files = EndpointFiles.of(self.path, endpoint)
        if not files.record.exists():
            return False
        with files.lock(endpoint, 2 * self.start_timeout):
            found = _settle(files)
            if found is None:
                return False
            found.process.end(ENDING)
            files.remove()
        return True

    @hookimpl
    def list_deployments(self) -> Sequence[Deployment]:
        """List the endpoints on record, each asked how it is."""
        endpoints = [
            endpoint for files in EndpointFiles.all(self.path) if (endpoint := files.read())
        ]
        endpoints.sort(key=lambda endpoint: endpoint.created_at, reverse=True)
        return [_deployment(endpoint, _status(endpoint)) for endpoint in endpoints]

    @hookimpl
    def predict(self, endpoint: str, instances: Sequence[Any]) -> Sequence[Any]:
        """Ask the server."""
        found = EndpointFiles.of(self.path, endpoint).read()
        if found is None:
            known = ", ".join(deployment.endpoint for deployment in self.list_deployments())
            message = f"there is no endpoint {endpoint!r}; there are: {known or 'none'}"
            raise NotFoundError(message)
        return ask(found, plain(list(instances)))

    def preflight(self) -> None:
        """Make sure that endpoints can be put on record."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            writable = os.access(self.path, os.W_OK | os.X_OK)
        except OSError as cause:
            message = f"the folder {self.path} of the endpoints cannot be made: {cause.strerror}"
            raise DeliveryError(message) from cause
        if not writable:
            message = f"the folder {self.path} of the endpoints may not be written"
            raise DeliveryError(message)

    def diagnose(self) -> Sequence[Check]:
        """Tell whether models can be deployed, and how each endpoint is."""
        try:
            self.preflight()
            deployments = self.list_deployments()
        except FlowyMLError as error:
            fix = "set `path` of the model deployer to a folder that may be written"
            return (Check("endpoints", ok=False, message=str(error), fix=fix),)
        found = f"{self.path} can be written; {len(deployments)} endpoints"
        return (Check("endpoints", ok=True, message=found), *map(_check, deployments))


def _check_scheme(model: ModelVersion) -> None:
    if not model.uri.startswith("file:"):
        message = (
            f"the model {model.reference} lies at {model.uri}, and the local deployer serves only "
            "what lies on this machine; store Model in a `local` store, or choose a deployer that "
            "reads it there"
        )
        raise DeliveryError(message)


def _settle(files: EndpointFiles) -> Endpoint | None:
    """End what an earlier deployment could not end any more; return the endpoint without it."""
    endpoint = files.read()
    if endpoint is None or not endpoint.retiring:
        return endpoint
    for process in endpoint.retiring:
        process.end(ENDING)
    settled = attrs.evolve(endpoint, retiring=())
    files.write(settled)
    return settled


def _serves(endpoint: Endpoint, model: ModelVersion, key: str) -> bool:
    same = (endpoint.key, endpoint.digest) == (key, model.digest)
    return same and _status(endpoint) == "serving"


def _on_record(launch: Launch, started: Started, before: Endpoint | None, key: str) -> Endpoint:
    return Endpoint(
        name=launch.endpoint,
        model=launch.model,
        version=launch.version,
        digest=launch.digest,
        key=key,
        created_at=datetime.now(UTC),
        launch=launch.launch,
        host=launch.host,
        port=started.port,
        process=started.process,
        retiring=(before.process,) if before else (),
    )


def _status(endpoint: Endpoint) -> Status:
    if not endpoint.process.is_running:
        return "stopped"
    return "serving" if is_healthy(endpoint) else "failed"


def _deployment(endpoint: Endpoint, status: Status) -> Deployment:
    return Deployment(
        endpoint=endpoint.name,
        model=endpoint.model,
        version=endpoint.version,
        digest=endpoint.digest,
        deployer=DEPLOYER,
        created_at=endpoint.created_at,
        url=address(endpoint),
        status=status,
        key=endpoint.key,
    )


def _check(deployment: Deployment) -> Check:
    ok = deployment.status == "serving"
    message = f"{deployment.model} {deployment.version} is {deployment.status} at {deployment.url}"
    again = f"flowyml model deploy {deployment.model} --version {deployment.version}"
    return Check(
        f"endpoint {deployment.endpoint}", ok=ok, message=message, fix=None if ok else again
    )
