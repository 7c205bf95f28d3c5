"""Components that take the configuration of the clouds' and do their work in the project's folder.

The types of the product document come from packages of their own, which are tested there against
real servers. Here they stand for "a backend of that type", so that the document's code and YAML run
together as they are printed.
"""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path

from attrs import define

from flowyml.artifacts import Metrics, Parameters
from flowyml.plugins import ArtifactStore, ExperimentTracker, hookimpl
from flowyml.records import DeliveryContext, LoggedRun
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders
from flowyml_local.deployer import LocalModelDeployer
from flowyml_local.orchestrator import LocalOrchestrator
from flowyml_local.registry import LocalModelRegistry

TYPES = {
    "artifact_store": {"gcs": "Gcs", "s3": "S3"},
    "experiment_tracker": {"mlflow": "Mlflow"},
    "model_registry": {
        "vertex_model_registry": "VertexRegistry",
        "sagemaker_model_registry": "SagemakerRegistry",
    },
    "model_deployer": {
        "vertex_endpoint": "VertexEndpoint",
        "sagemaker_endpoint": "SagemakerEndpoint",
    },
    "orchestrator": {"vertex_ai": "Vertex", "sagemaker": "Sagemaker"},
}


def double_entry_points() -> EntryPoints:
    """Return what an installation with the built-in backends and these doubles has."""
    local = [
        found
        for role in TYPES
        for found in entry_points(group=f"flowyml.{role}")
        if found.value.startswith("flowyml_local.")
    ]
    doubles = [
        EntryPoint(type_, f"{__name__}:{name}", f"flowyml.{role}")
        for role, types in TYPES.items()
        for type_, name in types.items()
    ]
    return EntryPoints([*local, *doubles])


@define(slots=False)
class _Bucket(ArtifactStore):
    bucket: str
    prefix: str = ""

    def _root(self) -> Path:
        return Path("buckets", self.bucket, self.prefix)

    def root_uri(self) -> str:
        return self._root().absolute().as_uri()

    def folders(self) -> ArtifactFolders:
        return LocalFolders.at(self._root())


@define(slots=False)
class Gcs(_Bucket):
    project: str | None = None


@define(slots=False)
class S3(_Bucket):
    pass


@define(slots=False)
class Mlflow(ExperimentTracker):
    tracking_uri: str
    experiment_name: str = "default"

    def _log(self, kind: str, values: Metrics | Parameters, context: DeliveryContext) -> LoggedRun:
        entry = {"kind": kind, "experiment": self.experiment_name, "values": values.data}
        with Path("tracked.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        return LoggedRun(context.run.run_id, self.tracking_uri)

    @hookimpl
    def log_metrics(self, metrics: Metrics, context: DeliveryContext) -> LoggedRun:
        return self._log("metrics", metrics, context)

    @hookimpl
    def log_parameters(self, parameters: Parameters, context: DeliveryContext) -> LoggedRun:
        return self._log("parameters", parameters, context)


@define(slots=False)
class VertexRegistry(LocalModelRegistry):
    pass


@define(slots=False)
class SagemakerRegistry(LocalModelRegistry):
    pass


@define(slots=False)
class VertexEndpoint(LocalModelDeployer):
    pass


@define(slots=False)
class SagemakerEndpoint(LocalModelDeployer):
    role_arn: str = ""


@define(slots=False)
class Vertex(LocalOrchestrator):
    project: str = ""
    location: str = ""
    staging_bucket: str = ""


@define(slots=False)
class Sagemaker(LocalOrchestrator):
    region: str = ""
