"""Processing jobs for the SageMaker server of the tests: moto's are completed before they begin.

What a job asks for is checked as the API reference demands it. Its inputs are fetched from S3, its
command is run, its outputs are put into S3, and only then is it ``Completed`` or ``Failed``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from attrs import define, field
from tests.servers.containers import Container

__all__ = ["OPERATIONS", "forget", "told"]

ROOT = "/opt/ml/processing/"
LONGEST = 256
ROLE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
"""What SageMaker gives a container by itself: credentials of the job's role, and the region."""


@define
class Job:
    """One job."""

    fields: dict[str, Any]
    container: Container
    stopping: bool = False
    polls: int = field(default=1)

    @property
    def status(self) -> str:
        """How it stands."""
        code = self.container.code
        if code is None or self.polls > 0:
            return "Stopping" if self.stopping else "InProgress"
        if self.stopping:
            return "Stopped"
        return "Failed" if code else "Completed"


JOBS: dict[str, Job] = {}
OPERATIONS: dict[str, Callable[[Any, Any], dict[str, Any]]] = {}


def operation(function: Callable[[Any, Any], dict[str, Any]]) -> Callable[..., Any]:
    """Answer an operation in place of moto."""
    OPERATIONS[function.__name__] = function
    return function


def refuse(message: str, kind: str = "AWSValidationException") -> NoReturn:
    """Answer with an error of AWS."""
    raise getattr(import_module("moto.sagemaker.exceptions"), kind)(message)


def require(fields: dict[str, Any], *path: str) -> Any:
    """Return a field that the API reference demands."""
    found: Any = fields
    for key in path:
        found = (found or {}).get(key)
        if not found:
            refuse(f"1 validation error detected: {'.'.join(path)} must not be null")
    return found


@operation
def create_processing_job(backend: Any, parameter: Any) -> dict[str, Any]:
    """Make a job and start its container."""
    names = (
        *("ProcessingJobName", "RoleArn", "AppSpecification", "ProcessingResources"),
        *("Environment", "ProcessingInputs", "ProcessingOutputConfig", "StoppingCondition", "Tags"),
    )
    fields = {name: parameter(name) for name in names}
    name = require(fields, "ProcessingJobName")
    check(fields)
    if name in JOBS:
        refuse(f"Job name must be unique, {name} is taken", "ResourceInUseException")
    app = fields["AppSpecification"]
    container = Container(
        command=[*app.get("ContainerEntrypoint", []), *app.get("ContainerArguments", [])],
        environment={key: os.environ[key] for key in ROLE} | (fields["Environment"] or {}),
        mounts=(ROOT,),
        bring=lambda root, _command: bring(fields, root),
        take=lambda root, new: take(fields, root, new),
    )
    JOBS[name] = Job(fields, container)
    container.start()
    return {"ProcessingJobArn": arn(backend, name)}


def check(fields: dict[str, Any]) -> None:
    """Keep what the API reference demands."""
    require(fields, "RoleArn")
    require(fields, "AppSpecification", "ImageUri")
    for key in ("InstanceCount", "InstanceType", "VolumeSizeInGB"):
        require(fields, "ProcessingResources", "ClusterConfig", key)
    app = fields["AppSpecification"]
    for key in ("ContainerEntrypoint", "ContainerArguments"):
        words = app.get(key, ["x"])
        if not 0 < len(words) <= 100 or any(len(word) > LONGEST for word in words):
            refuse(f"1 validation error detected: {key} is too long")
    for key, value in (fields["Environment"] or {}).items():
        if len(key) > LONGEST or len(value) > LONGEST:
            refuse(f"1 validation error detected: Environment {key} is too long")


def bring(fields: dict[str, Any], root: Path) -> None:
    """Fetch the inputs."""
    client = import_module("boto3").client("s3")
    for entry in fields["ProcessingInputs"] or []:
        where = entry["S3Input"]
        address = urlsplit(where["S3Uri"])
        prefix = address.path.lstrip("/")
        folder = root / where["LocalPath"].lstrip("/")
        folder.mkdir(parents=True)
        listed = client.list_objects_v2(Bucket=address.netloc, Prefix=prefix)
        for one in listed.get("Contents", []):
            name = one["Key"].removeprefix(prefix).lstrip("/") or Path(one["Key"]).name
            client.download_file(address.netloc, one["Key"], str(folder / name))
    for entry in (fields["ProcessingOutputConfig"] or {}).get("Outputs", []):
        (root / entry["S3Output"]["LocalPath"].lstrip("/")).mkdir(parents=True)


def take(fields: dict[str, Any], root: Path, new: list[Path]) -> None:
    """Put the outputs into S3."""
    client = import_module("boto3").client("s3")
    for entry in (fields["ProcessingOutputConfig"] or {}).get("Outputs", []):
        where = entry["S3Output"]
        address = urlsplit(where["S3Uri"])
        folder = root / where["LocalPath"].lstrip("/")
        for path in new:
            if path.is_relative_to(folder):
                key = f"{address.path.strip('/')}/{path.relative_to(folder).as_posix()}"
                client.upload_file(str(path), address.netloc, key)


def arn(backend: Any, name: str) -> str:
    """Return the ARN of a job."""
    return f"arn:aws:sagemaker:{backend.region_name}:{backend.account_id}:processing-job/{name}"


def found(backend: Any, name: str) -> Job:
    """Return a job, or refuse."""
    if name not in JOBS:
        refuse(f"Could not find requested job with name: {arn(backend, name)}")
    return JOBS[name]


def shown(backend: Any, name: str) -> dict[str, Any]:
    """Return a job as it is described."""
    job = JOBS[name]
    failed = {"FailureReason": f"AlgorithmError: , exit code: {job.container.code}"}
    return {
        "ProcessingJobName": name,
        "ProcessingJobArn": arn(backend, name),
        "ProcessingJobStatus": job.status,
        **(failed if job.status == "Failed" else {}),
    }


@operation
def describe_processing_job(backend: Any, parameter: Any) -> dict[str, Any]:
    """Tell how a job stands."""
    name = parameter("ProcessingJobName")
    job = found(backend, name)
    job.polls -= 1
    described = {key: value for key, value in job.fields.items() if value is not None}
    return described | shown(backend, name)


@operation
def list_processing_jobs(backend: Any, parameter: Any) -> dict[str, Any]:
    """List jobs by a part of their names."""
    part = parameter("NameContains") or ""
    return {"ProcessingJobSummaries": [shown(backend, name) for name in list(JOBS) if part in name]}


@operation
def stop_processing_job(backend: Any, parameter: Any) -> dict[str, Any]:
    """End the container."""
    job = found(backend, parameter("ProcessingJobName"))
    job.stopping = True
    job.container.end()
    return {}


def told() -> list[dict[str, Any]]:
    """Return what tests want to know of the jobs."""
    return [
        {
            "name": name,
            "step": {tag["Key"]: tag["Value"] for tag in job.fields["Tags"]}["flowyml:step"],
            "status": job.status,
            "code": job.container.code,
            "installed": job.container.installed,
            "log": job.container.log,
        }
        for name, job in list(JOBS.items())  # other threads add to them
    ]


def forget() -> None:
    """Forget every job, and end those that run."""
    for job in list(JOBS.values()):
        job.container.end()
    JOBS.clear()
