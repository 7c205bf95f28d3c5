"""The frozen records that cross the hook boundary and the metadata store, one for each noun.

They hold plain data, survive pickling and JSON, and do nothing beyond derived properties.
Times are aware datetimes in UTC. A digest is ``sha256:`` and 64 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Literal

from attrs import field, frozen

from flowyml.answers import checked

__all__ = [
    "CONTEXT",
    "Check",
    "DeliveryContext",
    "DeliveryStatus",
    "Deployment",
    "LoggedRun",
    "Manifest",
    "ModelVersion",
    "Producer",
    "Receipt",
    "Registration",
    "RunInfo",
    "RunStatus",
    "StepOutcome",
    "StepStatus",
    "StepTask",
    "StoredArtifact",
    "StoredFile",
    "output_place",
]


class RunStatus(StrEnum):
    """How a run stands; ``incomplete`` is a run whose steps finished but that has debts."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    INTERRUPTED = "interrupted"


class StepStatus(StrEnum):
    """How a step stands; once ``stored``, its work is never done again."""

    PENDING = "pending"
    RUNNING = "running"
    STORED = "stored"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class DeliveryStatus(StrEnum):
    """How a delivery stands; ``pending`` and ``failed`` are debts, if they wait for no person."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@frozen
class RunInfo:
    """The run that something belongs to."""

    run_id: str
    pipeline: str
    stack: str
    started_at: datetime


@frozen
class Producer:
    """Where an artifact came from."""

    pipeline: str
    run_id: str
    step: str
    output: str


CONTEXT: Final = "context"
"""Stands for the step, and the output, where a delivery belongs to the run as a whole."""


def output_place(step: str, output: str) -> str:
    """Name an output as its user does: ``train.model``, and no step twice: ``train.yielded-2``."""
    alone = output.startswith(f"{step}.") or step == output == CONTEXT
    return output if alone else f"{step}.{output}"


@frozen
class DeliveryContext:
    """What every delivery hook is told besides its artifact.

    Attributes:
        key: Idempotency key: the same for every attempt at this delivery, also after a crash,
            and different for every other delivery. A component records it with its backend and
            looks for it before it delivers.
        run: The run that made the artifact.
        producer: The step and the output that made it.
        attempt: Counted from 1.
        made_at: When the step handed the value over, the same for every attempt; None where nobody
            wrote it down. A tracker dates a measurement with it, not with the attempt.
    """

    key: str
    run: RunInfo
    producer: Producer
    attempt: int = 1
    made_at: datetime | None = None


@frozen(field_transformer=checked)
class Check:
    """One thing that ``flowyml stack doctor`` looked at.

    Attributes:
        name: What was looked at (``bucket``, ``credentials``).
        message: What was found, for people.
        fix: What to do about it, where it is not as it should be.
    """

    name: str
    ok: bool
    message: str
    fix: str | None = None


@frozen
class StoredFile:
    """One data file of a stored artifact.

    Attributes:
        name: Relative path below the artifact's folder, with ``/``.
        size: Length in bytes.
        sha256: Hexadecimal SHA-256 of the bytes as they lie in the store.
    """

    name: str
    size: int
    sha256: str


@frozen
class Manifest:
    """The content of ``artifact.json``: what a stored artifact is and how to read it.

    Attributes:
        type: Name of the artifact type that was routed (``Model``, ``DataFrame``).
        python_type: Qualified name of the value's class (``sklearn.svm._classes:SVC``).
        artifact_class: Qualified name of the artifact class around it; None for a plain value.
        serializer: Name of the format.
        serializer_version: Version of the format, counted by its serializer.
        files: The data files, in the order of their names.
        filters: Stream filters that extensions put around every file, the innermost first.
        name: The artifact's name.
        version: The user's version, where there is one.
        properties: The fields that only this artifact type has.
        metadata: The user's own facts.
        producer: Where it came from; None for what was stored outside a run.
        key: Idempotency key of the delivery that stored it.
        created_at: When the first byte was written.
        format_version: Version of this layout.
        generation: Folder below the artifact's that holds the data files, where they replaced
            others; empty where they lie beside ``artifact.json``. It is no part of the digest.
    """

    type: str
    python_type: str
    artifact_class: str | None
    serializer: str
    serializer_version: int
    files: tuple[StoredFile, ...]
    name: str
    created_at: datetime
    version: str | None = None
    filters: tuple[str, ...] = ()
    properties: dict[str, Any] = field(factory=dict)
    metadata: dict[str, Any] = field(factory=dict)
    producer: Producer | None = None
    key: str | None = None
    format_version: int = 1
    generation: str = ""

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides what a reader gets: the files and how they are read."""
        lines = [f"{self.serializer} {self.serializer_version}", self.python_type]
        lines += [self.artifact_class or "", *self.filters]
        lines += [f"{file.sha256} {file.size} {file.name}" for file in self.files]
        return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Length of all data files together, in bytes."""
        return sum(file.size for file in self.files)


@frozen(field_transformer=checked)
class Receipt:
    """What a delivery gave back.

    Attributes:
        reference: Where the result is found: a URI, a version, an address. People read it.
        details: Further facts, kept in the ledger as JSON.
    """

    reference: str
    details: dict[str, Any] = field(factory=dict)


@frozen(field_transformer=checked)
class LoggedRun:
    """The tracker's run that received values.

    Attributes:
        run_id: The tracker's own id for it.
        url: Where people look at it, where there is such a place.
    """

    run_id: str
    url: str | None = None

    @property
    def reference(self) -> str:
        """The address, or else the id."""
        return self.url or self.run_id


@frozen(field_transformer=checked)
class StoredArtifact:
    """An artifact that lies committed in a store.

    Attributes:
        uri: Address of its folder, with the scheme of the store (``gs://``, ``file://``).
        store: Name of the store in the stack.
        manifest: What it is.
    """

    uri: str
    store: str
    manifest: Manifest

    @property
    def digest(self) -> str:
        """Digest of the content."""
        return self.manifest.digest

    @property
    def reference(self) -> str:
        """The URI."""
        return self.uri


@frozen
class Registration:
    """A stored model, as a registry is asked to register it.

    Attributes:
        name: Name of the model; its versions share it.
        version: The user's version; None lets the registry count.
        stored: Where the model lies, and its digest.
        framework: Library that made it.
        metadata: ``Model.metadata``, its ``metrics`` among it.
    """

    name: str
    version: str | None
    stored: StoredArtifact
    framework: str | None = None
    metadata: dict[str, Any] = field(factory=dict)
    input_schema: Any = None
    output_schema: Any = None
    serving_config: dict[str, Any] = field(factory=dict)


@frozen
class StepTask:
    """One step of one run, as another process or machine needs to know it to run it.

    Attributes:
        pipeline: Reference that finds the pipeline again: ``path/to/file.py:attribute`` or
            ``module:attribute``.
        step: Name of the step.
        run_id: Id of the run.
        stack: Name of the stack.
        config: Path of the configuration file; None for the built-in stack.
        project: Folder that holds ``.flowyml``.
        records: For a machine that does not share the project's folder: what is written down
            about the run and the step's inputs, as JSON values.
    """

    pipeline: str
    step: str
    run_id: str
    stack: str
    config: str | None
    project: str
    records: dict[str, Any] | None = None


@frozen(field_transformer=checked)
class StepOutcome:
    """How a step ended, as far as its scheduler needs to know.

    Attributes:
        step: Name of the step.
        status: ``done``, ``stored`` (it has debts) or ``failed``.
        error: What the user is shown when it failed, the trimmed traceback included.
        records: From a machine that does not share the project's folder: what was written down
            there about the step, as JSON values.
    """

    step: str
    status: StepStatus
    error: str | None = None
    records: dict[str, Any] | None = None


ApprovalStatus = Literal["none", "pending", "approved", "rejected"]


@frozen(field_transformer=checked)
class ModelVersion:
    """One version of a model, as a registry has it.

    Attributes:
        name: Name of the model.
        version: The user's version, or the registry's count where the user gave none.
        uri: Where the stored artifact lies.
        digest: Digest of the stored artifact when it was registered.
        registry: The ``type`` of the registry.
        registry_id: The registry's own id for this version, where it has one.
        key: Idempotency key of the delivery that registered it.
        aliases: Names such as ``champion`` that point at this version.
    """

    name: str
    version: str
    uri: str
    digest: str
    registry: str
    created_at: datetime
    registry_id: str | None = None
    key: str | None = None
    framework: str | None = None
    run_id: str | None = None
    approval: ApprovalStatus = "none"
    aliases: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(factory=dict)
    input_schema: Any = None
    output_schema: Any = None
    serving_config: dict[str, Any] = field(factory=dict)

    @property
    def reference(self) -> str:
        """Name and version as ``name@version``, the form the command line takes."""
        return f"{self.name}@{self.version}"


@frozen(field_transformer=checked)
class Deployment:
    """A model version that serves at an endpoint.

    Attributes:
        endpoint: Name of the endpoint.
        model: Name of the model that serves.
        version: Its version.
        digest: Digest that was verified when it was deployed.
        deployer: The ``type`` of the deployer.
        url: Where predictions are asked for; None while there is none.
        status: ``serving``, ``starting``, ``stopped`` or ``failed``.
        key: Idempotency key of the delivery that deployed it.
    """

    endpoint: str
    model: str
    version: str
    digest: str
    deployer: str
    created_at: datetime
    url: str | None = None
    status: Literal["serving", "starting", "stopped", "failed"] = "serving"
    key: str | None = None

    @property
    def reference(self) -> str:
        """The address, or else the endpoint's name."""
        return self.url or self.endpoint
