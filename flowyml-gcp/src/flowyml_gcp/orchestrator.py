"""The orchestrator ``vertex_ai``: each step is a custom job of Vertex AI."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal, Self

from attrs import define, field

from flowyml.errors import ConfigurationError
from flowyml.plugins import Component
from flowyml.plugins.errands import ANSWER, ARCHIVE, Errand
from flowyml.plugins.limits import positive
from flowyml.plugins.remote import Job, RemoteOrchestrator
from flowyml.records import Check
from flowyml_gcp.checks import looked_at
from flowyml_gcp.clients import make_client
from flowyml_gcp.faults import explained
from flowyml_gcp.names import label_value
from flowyml_gcp.staging import Staging
from flowyml_gcp.storage import GCSArtifactStore
from flowyml_gcp.vertex import ENABLE, MANAGED, VertexComponent

__all__ = ["VertexAIOrchestrator"]

State = Literal["waiting", "running", "done", "failed", "cancelled"]

ERRAND: Final = "flowyml-errand"
ATTEMPT: Final = "flowyml-attempt"

CONSOLE: Final = "https://console.cloud.google.com"

STATES: Final[Mapping[str, State]] = {
    "JOB_STATE_CANCELLED": "cancelled",
    "JOB_STATE_CANCELLING": "running",
    "JOB_STATE_EXPIRED": "failed",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "failed",
    "JOB_STATE_PAUSED": "waiting",
    "JOB_STATE_PENDING": "waiting",
    "JOB_STATE_QUEUED": "waiting",
    "JOB_STATE_RUNNING": "running",
    "JOB_STATE_SUCCEEDED": "done",
    "JOB_STATE_UNSPECIFIED": "waiting",
    "JOB_STATE_UPDATING": "running",
}

LONGEST_NAME: Final = 128


@define(slots=False)
class VertexAIOrchestrator(VertexComponent, RemoteOrchestrator):
    """Runs each step as a custom job of Vertex AI.

    Attributes:
        staging_bucket: Bucket that errands go through (``gs://BUCKET/PREFIX``); the stack's ``gcs``
            store where it is None.
        machine_type: Type of the machine of each job.
        accelerator_type: Type of accelerator, such as ``NVIDIA_TESLA_T4``.
        accelerator_count: How many of them.
        boot_disk_size_gb: Size of the machine's disk.
        service_account: Account that the steps run as.
        network: Full name of the VPC network that the jobs are peered with.
        spot: Whether jobs run on machines that Google may take away, for less.
        labels: Further labels of the jobs.
        deadline: Seconds that a job may take; Vertex AI ends it then as well.
    """

    staging_bucket: str | None = field(default=None, kw_only=True)
    machine_type: str = field(default="n1-standard-4", kw_only=True)
    accelerator_type: str | None = field(default=None, kw_only=True)
    accelerator_count: int = field(default=1, kw_only=True)
    boot_disk_size_gb: int = field(default=100, kw_only=True)
    service_account: str | None = field(default=None, kw_only=True)
    network: str | None = field(default=None, kw_only=True)
    spot: bool = field(default=False, kw_only=True)
    labels: dict[str, str] = field(factory=dict, kw_only=True)
    deadline: float = field(default=86400.0, kw_only=True, validator=positive)

    def beside(self, others: Sequence[Component]) -> Self:
        """Take project and location, and where errands go through, from the others."""
        completed = super().beside(others)
        completed.knowing(others)
        return completed

    @cached_property
    def client(self) -> Any:
        """Client of the service of jobs."""
        return make_client("job", location=self.region, endpoint_url=self.endpoint_url)

    @cached_property
    def staging(self) -> Staging:
        """Where errands go through.

        Raises:
            ConfigurationError: Nobody says where.
        """
        stores = [each for each in self.neighbours if isinstance(each, GCSArtifactStore)]
        url = stores[0].endpoint_url if stores else None
        if self.staging_bucket:
            return Staging.at(self.staging_bucket, project=self.project, endpoint_url=url)
        if not stores:
            message = (
                "the orchestrator vertex_ai does not know where steps are sent through: the stack "
                "has no `gcs` store; give it `staging_bucket: gs://BUCKET`"
            )
            raise ConfigurationError(message)
        return Staging(stores[0].objects)

    def default_image(self) -> str:
        """Return the public image of the Python of this process."""
        return f"docker.io/library/python:{sys.version_info.major}.{sys.version_info.minor}"

    def provided(self) -> dict[str, str]:
        """Say which project the jobs are in, so that the components there need not be told."""
        return {
            "GOOGLE_CLOUD_PROJECT": self.project or "",
            "GOOGLE_CLOUD_LOCATION": self.region,
        }

    def preflight(self) -> None:
        """Look for the bucket, and ask for a list of jobs, which needs the API and the role."""
        super().preflight()
        self._look_at_staging()
        self._look_at_jobs()

    def diagnose(self) -> Sequence[Check]:
        """Look at where errands go through and at the service of jobs."""
        return (
            looked_at("staging bucket", self._look_at_staging),
            looked_at("Vertex AI", self._look_at_jobs, fix=ENABLE),
        )

    def _look_at_staging(self) -> str:
        self.staging.get("errands/probe")
        return f"errands go through {self.staging.bucket.uri}"

    def _look_at_jobs(self) -> str:
        with explained(f"listing the jobs in {self.parent}"):
            next(iter(self.client.list_custom_jobs(self._listing("none"))), None)
        return f"answers in {self.parent}"

    def jobs(self, errand: Errand) -> Sequence[Job]:
        """Find jobs by their labels."""
        with explained(f"looking for the job of step {errand.step!r}"):
            found = [_job(each) for each in self.client.list_custom_jobs(self._listing(errand.key))]
        return sorted(found, key=lambda job: job.attempt)

    def _listing(self, key: str) -> dict[str, str]:
        return {"parent": self.parent, "filter": f'labels.{ERRAND}="{key}"'}

    def start(self, errand: Errand, archive: bytes) -> Job:
        """Put the archive into the bucket, then make the job."""
        self.staging.put(f"{errand.folder}/{ARCHIVE}", archive)
        request = {"parent": self.parent, "custom_job": self._custom_job(errand)}
        with explained(f"starting the job of step {errand.step!r}"):
            return _job(self.client.create_custom_job(request=request))

    def look(self, job: Job) -> Job:
        """Return how a job stands."""
        with explained(f"looking at the job {job.name}"):
            return _job(self.client.get_custom_job(request={"name": job.name}))

    def cancel(self, job: Job) -> None:
        """Tell a job to stop."""
        with explained(f"cancelling the job {job.name}"):
            self.client.cancel_custom_job(request={"name": job.name})

    def outcome(self, errand: Errand) -> bytes | None:
        """Read what the job left in the bucket."""
        return self.staging.get(f"{errand.folder}/{ANSWER}")

    def _custom_job(self, errand: Errand) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "worker_pool_specs": [self._pool(errand)],
            "scheduling": self._scheduling(),
            "service_account": self.service_account,
            "network": self.network,
        }
        labels = {
            **self.labels,
            **MANAGED,
            ERRAND: errand.key,
            ATTEMPT: str(errand.attempt),
            "flowyml-run": label_value(errand.run_id),
            "flowyml-step": label_value(errand.step),
        }
        return {
            "display_name": f"{errand.run_id} {errand.step}"[:LONGEST_NAME],
            "job_spec": {key: value for key, value in spec.items() if value is not None},
            "labels": labels,
        }

    def _pool(self, errand: Errand) -> dict[str, Any]:
        machine: dict[str, Any] = {"machine_type": self.machine_type}
        if self.accelerator_type:
            machine["accelerator_type"] = self.accelerator_type
            machine["accelerator_count"] = self.accelerator_count
        archive, answer = (
            self.staging.mounted(f"{errand.folder}/{name}") for name in (ARCHIVE, ANSWER)
        )
        program, *arguments = self.command(archive, answer)
        return {
            "machine_spec": machine,
            "replica_count": 1,
            "disk_spec": {"boot_disk_size_gb": self.boot_disk_size_gb},
            "container_spec": {
                "image_uri": self.image or self.default_image(),
                "command": [program],
                "args": arguments,
                "env": [{"name": name, "value": value} for name, value in self.variables().items()],
            },
        }

    def _scheduling(self) -> dict[str, Any]:
        scheduling: dict[str, Any] = {"timeout": {"seconds": int(self.deadline)}}
        if self.spot:
            scheduling["strategy"] = "SPOT"
        return scheduling


def _job(resource: Any) -> Job:
    """Return a job as the service tells of it."""
    _, project, _, location, _, number = resource.name.split("/")
    query = f"resource.labels.job_id%3D%22{number}%22"
    return Job(
        name=resource.name,
        attempt=int(resource.labels.get(ATTEMPT, "1")),
        state=STATES.get(resource.state.name, "running"),
        reason=resource.error.message,
        url=f"{CONSOLE}/vertex-ai/locations/{location}/training/{number}?project={project}",
        log=f"{CONSOLE}/logs/query;query={query}?project={project}",
    )
