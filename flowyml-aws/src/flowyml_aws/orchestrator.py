"""The orchestrator ``sagemaker``: each step is a processing job of SageMaker."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, Self

from attrs import define, field

from flowyml.errors import ConfigurationError, Problem
from flowyml.plugins import Component
from flowyml.plugins.errands import ANSWER, ARCHIVE, Errand
from flowyml.plugins.remote import Job, RemoteOrchestrator
from flowyml.records import Check
from flowyml.storage.names import STAGING
from flowyml_aws.buckets import S3Bucket
from flowyml_aws.checks import looked_at
from flowyml_aws.faults import code_of, explained
from flowyml_aws.images import job_image
from flowyml_aws.names import tag_list
from flowyml_aws.roles import look_at_role
from flowyml_aws.sagemaker import SageMakerComponent

__all__ = ["SageMakerOrchestrator"]

State = Literal["waiting", "running", "done", "failed", "cancelled"]

STATES: Final[Mapping[str, State]] = {
    "Completed": "done",
    "Failed": "failed",
    "InProgress": "running",
    "Stopped": "cancelled",
    "Stopping": "running",
}

INPUT: Final = "/opt/ml/processing/input/errand"
OUTPUT: Final = "/opt/ml/processing/output/errand"

LONGEST: Final = 5 * 86400
"""Seconds that SageMaker gives a processing job at most."""


@define(slots=False)
class SageMakerOrchestrator(SageMakerComponent, RemoteOrchestrator):
    """Runs each step as a processing job of SageMaker.

    Attributes:
        role_arn: Role that the steps run as; that of the stack's ``sagemaker_endpoint`` where it is
            None.
        staging_bucket: Bucket that errands go through (``s3://BUCKET/PREFIX``); the stack's ``s3``
            store where it is None.
        instance_type: What each job runs on.
        volume_size_gb: Size of its disk.
        kms_key_id: Key that encrypts its disk and what it leaves.
        subnets: Subnets of a VPC that the jobs are in; with ``security_group_ids``.
        security_group_ids: Their security groups.
        tags: Tags of the jobs.
        deadline: Seconds that a job may take; SageMaker ends it then as well.
    """

    type: ClassVar[str] = "sagemaker"

    role_arn: str | None = field(default=None, kw_only=True)
    staging_bucket: str | None = field(default=None, kw_only=True)
    instance_type: str = field(default="ml.m5.large", kw_only=True)
    volume_size_gb: int = field(default=30, kw_only=True)
    kms_key_id: str | None = field(default=None, kw_only=True)
    subnets: list[str] = field(factory=list, kw_only=True)
    security_group_ids: list[str] = field(factory=list, kw_only=True)
    tags: dict[str, str] = field(factory=dict, kw_only=True)

    def beside(self, others: Sequence[Component]) -> Self:
        """Take over region, profile and role, and where errands go through."""
        completed = super().beside(others)
        roles = (getattr(other, "role_arn", None) for other in others)
        completed.role_arn = self.role_arn or next((role for role in roles if role), None)
        completed.knowing(others)
        return completed

    @cached_property
    def staging(self) -> S3Bucket:
        """Where errands go through.

        Raises:
            ConfigurationError: Nobody says where.
        """
        if self.staging_bucket:
            bucket, _, prefix = self.staging_bucket.removeprefix("s3://").partition("/")
            return self.store.bucket_of(bucket, prefix)
        if self._neighbour is None:
            message = (
                "the orchestrator sagemaker does not know where steps are sent through: the stack "
                "has no `s3` store"
            )
            hint = "give the orchestrator `staging_bucket: s3://BUCKET`"
            raise ConfigurationError(Problem(message, hint=hint))
        return self.store.objects

    @property
    def run_as(self) -> str:
        """The role that the steps run as.

        Raises:
            ConfigurationError: Nobody names one.
        """
        if self.role_arn is None:
            message = "SageMaker does not know which role the steps run as"
            hint = "say `role_arn:` of the orchestrator in flowyml.yaml"
            raise ConfigurationError(Problem(message, hint=hint))
        return self.role_arn

    def default_image(self) -> str:
        """Return AWS's own image with the Python of this process."""
        return job_image(sys.version_info[:2], region=self.account.region_name)

    def provided(self) -> dict[str, str]:
        """Say which region the jobs are in, so that the components there need not be told."""
        return {"AWS_DEFAULT_REGION": self.account.region_name}

    def preflight(self) -> None:
        """Look for role, image and bucket, and ask for a list of jobs."""
        super().preflight()
        _ = self.run_as, self.image or self.default_image(), self.staging
        self._look_at_jobs()

    def diagnose(self) -> Sequence[Check]:
        """Look at where errands go through, at the role and at the service of jobs."""
        return (
            looked_at("staging bucket", self._look_at_staging),
            looked_at("role", lambda: look_at_role(self.account, self.run_as)),
            looked_at("SageMaker", self._look_at_jobs),
        )

    def _look_at_staging(self) -> str:
        self.outcome(Errand("probe", "probe"))
        return f"errands go through {self.staging.uri}"

    def _look_at_jobs(self) -> str:
        with explained("listing the processing jobs of SageMaker"):
            self.client.list_processing_jobs(MaxResults=1)
        return f"answers in {self.account.region_name}"

    def jobs(self, errand: Errand) -> Sequence[Job]:
        """Find jobs by their names."""
        pages = self.client.get_paginator("list_processing_jobs")
        with explained(f"looking for the job of step {errand.step!r}"):
            found = [
                self._job(entry)
                for page in pages.paginate(NameContains=f"flowyml-{errand.key}-")
                for entry in page["ProcessingJobSummaries"]
            ]
        return sorted(found, key=lambda job: job.attempt)

    def start(self, errand: Errand, archive: bytes) -> Job:
        """Put the archive into the bucket, then make the job; one of its name is it."""
        with explained(f"writing {self.staging.uri}/{STAGING}/{errand.folder}"):
            self.staging.client.put_object(
                **self.staging.target(f"{STAGING}/{errand.folder}/in/{ARCHIVE}"),
                **self.staging.writing,
                Body=archive,
            )
        with explained(f"starting the job of step {errand.step!r}"):
            try:
                self.client.create_processing_job(**self._processing_job(errand))
            except Exception as error:
                if code_of(error) != "ResourceInUse":
                    raise
        return self._job({"ProcessingJobName": errand.name, "ProcessingJobStatus": "InProgress"})

    def look(self, job: Job) -> Job:
        """Return how a job stands."""
        with explained(f"looking at the job {job.name}"):
            return self._job(self.client.describe_processing_job(ProcessingJobName=job.name))

    def cancel(self, job: Job) -> None:
        """Tell a job to stop."""
        with explained(f"stopping the job {job.name}"):
            self.client.stop_processing_job(ProcessingJobName=job.name)

    def outcome(self, errand: Errand) -> bytes | None:
        """Read what the job left in the bucket."""
        name = f"{STAGING}/{errand.folder}/out/{ANSWER}"
        with explained(f"reading {self.staging.uri}/{name}"):
            try:
                found = self.staging.client.get_object(**self.staging.target(name))
            except Exception as error:
                if code_of(error) in {"NoSuchKey", "404"}:
                    return None
                raise
            content: bytes = found["Body"].read()
        return content

    def _processing_job(self, errand: Errand) -> dict[str, Any]:
        program, *arguments = self.command(f"{INPUT}/{ARCHIVE}", f"{OUTPUT}/{ANSWER}")
        cluster = {
            "InstanceCount": 1,
            "InstanceType": self.instance_type,
            "VolumeSizeInGB": self.volume_size_gb,
            "VolumeKmsKeyId": self.kms_key_id,
        }
        network = {"Subnets": self.subnets, "SecurityGroupIds": self.security_group_ids}
        return {
            "ProcessingJobName": errand.name,
            "RoleArn": self.run_as,
            "AppSpecification": {
                "ImageUri": self.image or self.default_image(),
                "ContainerEntrypoint": [program],
                "ContainerArguments": arguments,
            },
            "Environment": self.variables(),
            "ProcessingInputs": [self._input(errand)],
            "ProcessingOutputConfig": self._output(errand),
            "ProcessingResources": {"ClusterConfig": _given(cluster)},
            "StoppingCondition": {"MaxRuntimeInSeconds": min(int(self.deadline), LONGEST)},
            **({"NetworkConfig": {"VpcConfig": network}} if self.subnets else {}),
            "Tags": tag_list(
                {
                    **self.tags,
                    "flowyml:run": errand.run_id,
                    "flowyml:step": errand.step,
                }
            ),
        }

    def _input(self, errand: Errand) -> dict[str, Any]:
        where = {
            "S3Uri": self._address(f"{errand.folder}/in/"),
            "LocalPath": INPUT,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        }
        return {"InputName": "errand", "S3Input": where}

    def _output(self, errand: Errand) -> dict[str, Any]:
        where = {
            "S3Uri": self._address(f"{errand.folder}/out"),
            "LocalPath": OUTPUT,
            "S3UploadMode": "EndOfJob",
        }
        outputs = [{"OutputName": "outcome", "S3Output": where}]
        return _given({"Outputs": outputs, "KmsKeyId": self.kms_key_id})

    def _address(self, name: str) -> str:
        return f"{self.staging.uri}/{STAGING}/{name}"

    def _job(self, told: Mapping[str, Any]) -> Job:
        """Return a job as the service tells of it."""
        name, region = told["ProcessingJobName"], self.account.region_name
        console = f"https://{region}.console.aws.amazon.com"
        group = "$252Faws$252Fsagemaker$252FProcessingJobs$3FlogStreamNameFilter$3D"
        return Job(
            name=name,
            attempt=int(name.rpartition("-")[2]),
            state=STATES.get(told["ProcessingJobStatus"], "running"),
            reason=told.get("FailureReason") or told.get("ExitMessage") or "",
            url=f"{console}/sagemaker/home?region={region}#/processing-jobs/{name}",
            log=f"{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}{name}",
        )


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
