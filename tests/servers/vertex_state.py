"""What the Vertex AI test server knows and refuses: models, endpoints, operations, custom jobs.

Names, labels, aliases and required fields are checked as the service documents them, for its
protocol buffers check only types and field names. Operations take several polls. A model that is
deployed is really loaded: its file is fetched from the Cloud Storage emulator. The command of a
custom job is really run, with the emulator's buckets below ``/gcs``.
"""

from __future__ import annotations

import json
import pickle
import re
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from attrs import define, field, frozen
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, json_format, struct_pb2
from tests.servers.containers import Container
from tests.servers.gcs import put_gcs_object

__all__ = ["Fault", "VertexState", "VertexStatus"]

PARENT = re.compile(r"projects/[a-z0-9-]+/locations/[a-z0-9-]+")
MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
LABEL = re.compile(r"[\w-]{0,64}")
DEPLOYED_ID = re.compile(r"[0-9]{1,10}")
MOUNTED = re.compile(r"/gcs/([^/\s]+)/(\S+)")
FILTER = re.compile(r'(?:labels\.)?([\w-]+)\s*[=:]\s*"([^"]*)"')
SERVED_FILES = {
    "sklearn": ("model.joblib", "model.pkl"),
    "xgboost": ("model.bst", "model.joblib", "model.pkl"),
    "tf2": ("saved_model.pb",),
    "pytorch": ("model.mar",),
}
LONGEST_NAME = 128
NOT_FOUND = 404
POLLS = 2

Code = grpc.StatusCode


class VertexStatus(Exception):  # noqa: N818  # the service calls it a status
    """A refusal, with the code that the service answers."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        """Keep both for the transport."""
        super().__init__(message)
        self.code = code
        self.message = message


@frozen
class Fault:
    """A failure to come.

    Attributes:
        call: Name of the RPC.
        code: What is answered.
        message: With which words.
        after: Whether the effect takes place all the same, and only the answer is lost.
        in_operation: Whether the call succeeds and its operation ends with the error.
    """

    call: str
    code: grpc.StatusCode = Code.UNAVAILABLE
    message: str = "the test server was told to fail"
    after: bool = False
    in_operation: bool = False


@define
class _Operation:
    name: str
    finish: Callable[[], Any]
    polls: int = POLLS
    error: Fault | None = None
    done: operations_pb2.Operation | None = None
    holds: str = ""


@define
class _CustomJob:
    """A job and its container; its state advances when it is asked for."""

    resource: types.CustomJob
    container: Container

    def advance(self) -> types.CustomJob:
        """Bring the job one poll further."""
        states = types.JobState
        following = {
            states.JOB_STATE_QUEUED: states.JOB_STATE_PENDING,
            states.JOB_STATE_PENDING: states.JOB_STATE_RUNNING,
        }
        state, code = self.resource.state, self.container.code
        if state in following:
            self.resource.state = following[state]
        elif state == states.JOB_STATE_CANCELLING and code is not None:
            self.resource.state = states.JOB_STATE_CANCELLED
        elif state == states.JOB_STATE_RUNNING and code == 0:
            self.resource.state = states.JOB_STATE_SUCCEEDED
        elif state == states.JOB_STATE_RUNNING and code is not None:
            self.resource.state = states.JOB_STATE_FAILED
            self.resource.error = {
                "code": 13,
                "message": f"The replica workerpool0-0 exited with a non-zero status of {code}.",
            }
        return types.CustomJob(self.resource)


def _now() -> datetime:
    return datetime.now(UTC)


def _number() -> str:
    return str(uuid.uuid4().int)[:10]


def _raw(message: Any) -> Any:
    return type(message).pb(message) if hasattr(type(message), "pb") else message


def _require(value: object, what: str) -> None:
    if not value:
        message = f"{what} is required"
        raise VertexStatus(Code.INVALID_ARGUMENT, message)


def _match(pattern: re.Pattern[str], value: str, what: str) -> None:
    if not pattern.fullmatch(value):
        message = f"{what} {value!r} must match {pattern.pattern}"
        raise VertexStatus(Code.INVALID_ARGUMENT, message)


def _check_labels(labels: Any) -> None:
    if len(labels) > 64:
        raise VertexStatus(Code.INVALID_ARGUMENT, "at most 64 labels")
    for key, value in labels.items():
        _require(key, "label key")
        for text in (key, value):
            _match(LABEL, text, "label")
            if text != text.lower():
                raise VertexStatus(Code.INVALID_ARGUMENT, f"label {text!r} has capital letters")


def _missing(name: str) -> VertexStatus:
    return VertexStatus(Code.NOT_FOUND, f"The resource {name} is not found.")


@define
class VertexState:
    """The service's memory; one method for each RPC, under its name.

    Attributes:
        storage_url: Address of the Cloud Storage emulator.
        calls: Names of the RPCs so far.
        faults: Failures to come; each is used up by its call.
        meanwhile: What another process does right before the next call of an RPC.
    """

    storage_url: str = ""
    calls: list[str] = field(factory=list)
    faults: list[Fault] = field(factory=list)
    meanwhile: dict[str, Callable[[], object]] = field(factory=dict)
    models: dict[str, list[types.Model]] = field(factory=dict)
    endpoints: dict[str, types.Endpoint] = field(factory=dict)
    operations: dict[str, _Operation] = field(factory=dict)
    jobs: dict[str, _CustomJob] = field(factory=dict)
    loaded: dict[str, Any] = field(factory=dict)
    counts: dict[str, int] = field(factory=dict)
    lock: threading.RLock = field(factory=threading.RLock)

    def answer(self, call: str, request: Any) -> Any:
        """Carry out one call, and the failure that waits for it."""
        self.meanwhile.pop(call, lambda: None)()
        with self.lock:
            self.calls.append(call)
            fault = next((one for one in self.faults if one.call == call), None)
            if fault:
                self.faults.remove(fault)
            if fault and not fault.after and not fault.in_operation:
                raise VertexStatus(fault.code, fault.message)
            response = getattr(self, call)(request)
            if fault and fault.in_operation:
                operation = self.operations[response.name]
                operation.error = fault
            if fault and fault.after:
                raise VertexStatus(fault.code, fault.message)
            return response

    # ── operations ──

    def _begin(
        self, below: str, finish: Callable[[], Any], holds: str = ""
    ) -> operations_pb2.Operation:
        name = f"{below}/operations/{_number()}"
        self.operations[name] = _Operation(name, finish, holds=holds)
        return operations_pb2.Operation(name=name)

    def GetOperation(self, request: Any) -> operations_pb2.Operation:  # noqa: N802
        """Poll: the effect takes place at the last poll."""
        operation = self.operations.get(request.name)
        if operation is None:
            raise _missing(request.name)
        operation.polls -= 1
        if operation.done is None and operation.polls <= 0:
            operation.done = self._finished(operation)
        return operation.done or operations_pb2.Operation(name=operation.name)

    def ListOperations(self, request: Any) -> operations_pb2.ListOperationsResponse:  # noqa: N802
        """List the operations of a resource."""
        return operations_pb2.ListOperationsResponse(
            operations=[
                operation.done or operations_pb2.Operation(name=name)
                for name, operation in self.operations.items()
                if name.startswith(f"{request.name}/operations/")
            ]
        )

    def _finished(self, operation: _Operation) -> operations_pb2.Operation:
        done = operations_pb2.Operation(name=operation.name, done=True)
        if operation.error:
            done.error.code = operation.error.code.value[0]
            done.error.message = operation.error.message
        else:
            done.response.Pack(_raw(operation.finish()))
        return done

    def _under_way(self) -> set[str]:
        """Return what the operations that are not done yet will make: nobody else may."""
        return {one.holds for one in self.operations.values() if one.done is None}

    # ── models ──

    def UploadModel(self, request: Any) -> operations_pb2.Operation:  # noqa: N802
        """Make a model, or a version of one."""
        _match(PARENT, request.parent, "parent")
        model = types.Model(request.model)
        self._check_model(model)
        if request.parent_model:
            name = request.parent_model.partition("@")[0]
            if name not in self.models:
                raise _missing(name)
        else:
            identifier = request.model_id or _number()
            if request.model_id:
                _match(MODEL_ID, identifier, "model_id")
            name = f"{request.parent}/models/{identifier}"
            if name in self.models.keys() | self._under_way():
                raise VertexStatus(Code.ALREADY_EXISTS, f"Model {name} already exists.")
        taken = {alias for one in self.models.get(name, ()) for alias in one.version_aliases}
        for alias in model.version_aliases:
            _match(ALIAS, alias, "version alias")
            if alias in taken:
                raise VertexStatus(Code.ALREADY_EXISTS, f"alias {alias!r} is taken")
        holds = "" if request.parent_model else name
        return self._begin(name, lambda: self._add_version(name, model), holds=holds)

    def _check_model(self, model: types.Model) -> None:
        _require(model.display_name, "model.display_name")
        if len(model.display_name) > LONGEST_NAME:
            raise VertexStatus(Code.INVALID_ARGUMENT, "model.display_name is too long")
        _require(model.container_spec.image_uri, "model.container_spec.image_uri")
        if model.artifact_uri and not model.artifact_uri.startswith("gs://"):
            raise VertexStatus(Code.INVALID_ARGUMENT, "model.artifact_uri must be a gs:// folder")
        _check_labels(model.labels)
        self._check_served_file(model)

    def _check_served_file(self, model: types.Model) -> None:
        """Refuse a folder in which a prebuilt container would not find its file."""
        image = model.container_spec.image_uri
        found = re.search(r"/vertex-ai/prediction/(\w+?)-(?:cpu|gpu)\.", image)
        if not found or not self.storage_url:
            return
        names = SERVED_FILES[found[1]]
        if not any(self._exists(f"{model.artifact_uri}/{name}") for name in names):
            message = f"Model directory {model.artifact_uri} is expected to contain {names}"
            raise VertexStatus(Code.FAILED_PRECONDITION, message)

    def _add_version(self, name: str, model: types.Model) -> types.UploadModelResponse:
        versions = self.models.setdefault(name, [])
        model.name = name
        self.counts[name] = self.counts.get(name, 0) + 1
        model.version_id = str(self.counts[name])
        model.create_time = model.version_create_time = _now()
        model.supported_deployment_resources_types = [
            types.Model.DeploymentResourcesType.DEDICATED_RESOURCES
        ]
        if not versions:
            model.version_aliases.append("default")
        for other in versions:  # one that was uploaded at the same time loses its alias
            other.version_aliases = [
                alias for alias in other.version_aliases if alias not in model.version_aliases
            ]
        versions.append(model)
        return types.UploadModelResponse(model=name, model_version_id=model.version_id)

    def _version(self, name: str) -> types.Model:
        base, _, wanted = name.partition("@")
        for model in self.models.get(base, ()):
            if wanted in {model.version_id, *model.version_aliases}:
                return model
            if not wanted and "default" in model.version_aliases:
                return model
        raise _missing(name)

    def GetModel(self, request: Any) -> types.Model:  # noqa: N802
        """Return one version."""
        model = types.Model(self._version(request.name))
        model.name = f"{model.name}@{model.version_id}" if "@" in request.name else model.name
        return model

    def ListModels(self, request: Any) -> types.ListModelsResponse:  # noqa: N802
        """List the default version of each model."""
        default = (versions[0] for versions in self.models.values() if versions)
        return types.ListModelsResponse(
            models=[
                model
                for model in default
                if model.name.startswith(f"{request.parent}/") and _passes(model, request.filter)
            ]
        )

    def ListModelVersions(self, request: Any) -> types.ListModelVersionsResponse:  # noqa: N802
        """List the versions of a model."""
        if request.name not in self.models:
            raise _missing(request.name)
        found = [model for model in self.models[request.name] if _passes(model, request.filter)]
        return types.ListModelVersionsResponse(models=found)

    def DeleteModelVersion(self, request: Any) -> operations_pb2.Operation:  # noqa: N802
        """Delete a version that is not the only one."""
        version = self._version(request.name)
        versions = self.models[version.name]
        if len(versions) == 1:
            raise VertexStatus(Code.FAILED_PRECONDITION, "the only version cannot be deleted")

        def finish() -> empty_pb2.Empty:
            versions.remove(version)
            return empty_pb2.Empty()

        return self._begin(version.name, finish)

    def UpdateModel(self, request: Any) -> types.Model:  # noqa: N802
        """Change what the mask names."""
        version = self._version(request.model.name)
        _require(request.update_mask.paths, "update_mask")
        for path in request.update_mask.paths:
            if path not in {"labels", "description", "display_name", "version_description"}:
                raise VertexStatus(Code.INVALID_ARGUMENT, f"{path} cannot be updated")
            if path == "labels":
                _check_labels(request.model.labels)
            setattr(version, path, getattr(request.model, path))
        return types.Model(version)

    def MergeVersionAliases(self, request: Any) -> types.Model:  # noqa: N802
        """Point aliases at a version; a leading minus takes one away."""
        version = self._version(request.name)
        for alias in request.version_aliases:
            _match(ALIAS, alias.removeprefix("-"), "version alias")
            for other in self.models[version.name]:
                other.version_aliases = [
                    one for one in other.version_aliases if one != alias.removeprefix("-")
                ]
            if not alias.startswith("-"):
                version.version_aliases.append(alias)
        return types.Model(version)

    # ── endpoints ──

    def CreateEndpoint(self, request: Any) -> operations_pb2.Operation:  # noqa: N802
        """Make an endpoint."""
        _match(PARENT, request.parent, "parent")
        _require(request.endpoint.display_name, "endpoint.display_name")
        _check_labels(request.endpoint.labels)
        endpoint = types.Endpoint(request.endpoint)
        endpoint.name = f"{request.parent}/endpoints/{request.endpoint_id or _number()}"
        if endpoint.name in self.endpoints.keys() | self._under_way():
            raise VertexStatus(Code.ALREADY_EXISTS, f"Endpoint {endpoint.name} already exists.")
        endpoint.create_time = _now()

        def finish() -> types.Endpoint:
            self.endpoints[endpoint.name] = endpoint
            return endpoint

        return self._begin(endpoint.name, finish, holds=endpoint.name)

    def _endpoint(self, name: str) -> types.Endpoint:
        if name not in self.endpoints:
            raise _missing(name)
        return self.endpoints[name]

    def GetEndpoint(self, request: Any) -> types.Endpoint:  # noqa: N802
        """Return one endpoint."""
        return types.Endpoint(self._endpoint(request.name))

    def ListEndpoints(self, request: Any) -> types.ListEndpointsResponse:  # noqa: N802
        """List the endpoints of a location."""
        return types.ListEndpointsResponse(
            endpoints=[
                endpoint
                for name, endpoint in self.endpoints.items()
                if name.startswith(f"{request.parent}/") and _passes(endpoint, request.filter)
            ]
        )

    def UpdateEndpoint(self, request: Any) -> types.Endpoint:  # noqa: N802
        """Change what the mask names."""
        endpoint = self._endpoint(request.endpoint.name)
        for path in request.update_mask.paths:
            if path not in {"labels", "description", "display_name", "traffic_split"}:
                raise VertexStatus(Code.INVALID_ARGUMENT, f"{path} cannot be updated")
            setattr(endpoint, path, getattr(request.endpoint, path))
        _check_labels(endpoint.labels)
        return types.Endpoint(endpoint)

    def DeleteEndpoint(self, request: Any) -> operations_pb2.Operation:  # noqa: N802
        """Delete an endpoint that serves nothing."""
        endpoint = self._endpoint(request.name)
        if endpoint.deployed_models:
            raise VertexStatus(Code.FAILED_PRECONDITION, "undeploy its models first")

        def finish() -> empty_pb2.Empty:
            self.endpoints.pop(request.name, None)
            return empty_pb2.Empty()

        return self._begin(request.name, finish)

    def DeployModel(self, request: Any) -> operations_pb2.Operation:  # noqa: N802
        """Deploy a version; traffic moves when it serves."""
        endpoint = self._endpoint(request.endpoint)
        deployed = types.DeployedModel(request.deployed_model)
        _require(deployed.model, "deployed_model.model")
        model = self._version(deployed.model)
        if not deployed.dedicated_resources.machine_spec.machine_type:
            raise VertexStatus(
                Code.INVALID_ARGUMENT, "dedicated_resources.machine_spec is required"
            )
        _require(deployed.dedicated_resources.min_replica_count, "min_replica_count")
        if deployed.id:
            _match(DEPLOYED_ID, deployed.id, "deployed_model.id")
        deployed.id = deployed.id or _number()
        if deployed.id in {one.id for one in endpoint.deployed_models} | self._under_way():
            message = f"DeployedModel {deployed.id} already exists."
            raise VertexStatus(Code.ALREADY_EXISTS, message)
        deployed.model = model.name
        deployed.model_version_id = model.version_id
        deployed.create_time = _now()
        split = {
            key if key != "0" else deployed.id: share
            for key, share in request.traffic_split.items()
        }
        self._check_split(split, {one.id for one in endpoint.deployed_models} | {deployed.id})

        def finish() -> types.DeployModelResponse:
            self.loaded[deployed.id] = self._load(model)
            endpoint.deployed_models.append(deployed)
            if split:
                endpoint.traffic_split = split
            return types.DeployModelResponse(deployed_model=deployed)

        return self._begin(request.endpoint, finish, holds=deployed.id)

    def _check_split(self, split: dict[str, int], known: set[str]) -> None:
        if split and sum(split.values()) != 100:
            raise VertexStatus(Code.INVALID_ARGUMENT, "traffic_split must add up to 100")
        if unknown := split.keys() - known:
            raise VertexStatus(Code.INVALID_ARGUMENT, f"traffic_split names {min(unknown)}")

    def UndeployModel(self, request: Any) -> operations_pb2.Operation:  # noqa: N802
        """Take a deployed model away; one that has traffic only with a new split."""
        endpoint = self._endpoint(request.endpoint)
        left = [one for one in endpoint.deployed_models if one.id != request.deployed_model_id]
        if len(left) == len(endpoint.deployed_models):
            raise _missing(request.deployed_model_id)
        split = dict(request.traffic_split)
        self._check_split(split, {one.id for one in left})
        if left and not split and endpoint.traffic_split.get(request.deployed_model_id, 0):
            raise VertexStatus(Code.FAILED_PRECONDITION, "the model has traffic")

        def finish() -> types.UndeployModelResponse:
            endpoint.deployed_models = [
                one for one in endpoint.deployed_models if one.id != request.deployed_model_id
            ]
            remaining = {
                key: share
                for key, share in endpoint.traffic_split.items()
                if key != request.deployed_model_id
            }
            endpoint.traffic_split = split or ({} if sum(remaining.values()) != 100 else remaining)
            self.loaded.pop(request.deployed_model_id, None)
            return types.UndeployModelResponse()

        return self._begin(request.endpoint, finish)

    # ── custom jobs ──

    def CreateCustomJob(self, request: Any) -> types.CustomJob:  # noqa: N802
        """Make a job and start its container."""
        _match(PARENT, request.parent, "parent")
        job = types.CustomJob(request.custom_job)
        _require(job.display_name, "custom_job.display_name")
        if len(job.display_name) > LONGEST_NAME:
            raise VertexStatus(Code.INVALID_ARGUMENT, "custom_job.display_name is too long")
        _check_labels(job.labels)
        _require(job.job_spec.worker_pool_specs, "job_spec.worker_pool_specs")
        pool = job.job_spec.worker_pool_specs[0]
        _require(pool.machine_spec.machine_type, "machine_spec.machine_type")
        _require(pool.replica_count, "replica_count")
        _require(pool.container_spec.image_uri, "container_spec.image_uri")
        job.name = f"{request.parent}/customJobs/{_number()}"
        job.state = types.JobState.JOB_STATE_QUEUED
        job.create_time = _now()
        container = Container(
            command=[*pool.container_spec.command, *pool.container_spec.args],
            environment={one.name: one.value for one in pool.container_spec.env},
            mounts=("/gcs/",),
            bring=self._bring,
            take=self._take,
        )
        self.jobs[job.name] = _CustomJob(job, container)
        container.start()
        return types.CustomJob(job)

    def _bring(self, root: Path, command: list[str]) -> None:
        """Put the objects that a command names below ``/gcs``."""
        for bucket, name in MOUNTED.findall(" ".join(command)):
            path = root / "gcs" / bucket / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._exists(f"gs://{bucket}/{name}"):
                path.write_bytes(self._object(f"gs://{bucket}/{name}", media=True))

    def _take(self, root: Path, new: list[Path]) -> None:
        """Put what was written below ``/gcs`` into the buckets."""
        for path in new:
            bucket, *rest = path.relative_to(root / "gcs").parts
            put_gcs_object(self.storage_url, bucket, "/".join(rest), path.read_bytes())

    def _job(self, name: str) -> _CustomJob:
        if name not in self.jobs:
            raise _missing(name)
        return self.jobs[name]

    def GetCustomJob(self, request: Any) -> types.CustomJob:  # noqa: N802
        """Poll."""
        return self._job(request.name).advance()

    def ListCustomJobs(self, request: Any) -> types.ListCustomJobsResponse:  # noqa: N802
        """List the jobs of a location."""
        return types.ListCustomJobsResponse(
            custom_jobs=[
                types.CustomJob(job.resource)
                for name, job in self.jobs.items()
                if name.startswith(f"{request.parent}/") and _passes(job.resource, request.filter)
            ]
        )

    def CancelCustomJob(self, request: Any) -> empty_pb2.Empty:  # noqa: N802
        """End the container."""
        job = self._job(request.name)
        job.resource.state = types.JobState.JOB_STATE_CANCELLING
        job.container.end()
        return empty_pb2.Empty()

    def end_jobs(self) -> None:
        """End every container that runs, and show what those printed that failed."""
        for job in list(self.jobs.values()):
            job.container.end()
            if job.container.code:
                step = job.resource.display_name
                sys.stderr.write(f"{step} ended with {job.container.code}:\n{job.container.log}\n")

    # ── prediction ──

    def Predict(self, request: Any) -> types.PredictResponse:  # noqa: N802
        """Predict with the model that has the traffic."""
        endpoint = self._endpoint(request.endpoint)
        if not endpoint.traffic_split:
            raise VertexStatus(Code.FAILED_PRECONDITION, "no model is deployed")
        serving = max(endpoint.traffic_split, key=endpoint.traffic_split.__getitem__)
        rows = [
            json_format.MessageToDict(row) for row in types.PredictRequest.pb(request).instances
        ]
        predictions = self.loaded[serving].predict(rows).tolist()
        response = types.PredictResponse.pb(types.PredictResponse(deployed_model_id=serving))
        for prediction in predictions:
            response.predictions.append(json_format.ParseDict(prediction, struct_pb2.Value()))
        return types.PredictResponse.wrap(response)

    def _load(self, model: types.Model) -> Any:
        for name in ("model.pkl", "model.joblib"):
            if self._exists(f"{model.artifact_uri}/{name}"):
                return pickle.loads(self._object(f"{model.artifact_uri}/{name}", media=True))
        return None

    def _exists(self, uri: str) -> bool:
        try:
            json.loads(self._object(uri, media=False))
        except urllib.error.HTTPError as error:
            if error.code == NOT_FOUND:
                return False
            raise
        return True

    def _object(self, uri: str, *, media: bool) -> bytes:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        quoted = urllib.parse.quote(name, safe="")
        address = (
            f"{self.storage_url}/storage/v1/b/{bucket}/o/{quoted}{'?alt=media' if media else ''}"
        )
        with urllib.request.urlopen(address, timeout=60) as response:
            content: bytes = response.read()
        return content


def _passes(resource: Any, filter_: str) -> bool:
    """Whether a resource passes a filter of labels and display names, joined by AND."""
    if not filter_:
        return True
    for clause in filter_.split(" AND "):
        found = FILTER.fullmatch(clause.strip())
        if not found:
            raise VertexStatus(Code.INVALID_ARGUMENT, f"the filter {clause!r} is not understood")
        key, value = found.groups()
        held = resource.display_name if key == "display_name" else resource.labels.get(key)
        if held != value:
            return False
    return True
