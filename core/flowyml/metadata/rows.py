"""The records that the metadata store keeps, one for each table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

from flowyml.records import DeliveryStatus, RunStatus, StepStatus

__all__ = [
    "FINISHED",
    "ArtifactRecord",
    "DeliveryRecord",
    "LineageEdge",
    "ModelEvent",
    "ResultRecord",
    "RunRecord",
    "StepRecord",
]


FINISHED: Final = frozenset({StepStatus.STORED, StepStatus.DONE})
"""How a step stands whose outputs are stored: it never runs again, whatever may be owed still."""


DEEDS: Final[Mapping[str, str]] = {
    "store_artifact": "stored",
    "log_metrics": "logged",
    "log_parameters": "logged",
    "register_model": "registered",
    "deploy_model": "deployed",
    "artifact_stored": "linked",
    "run_finished": "ended",
}
"""What is done when a hook was called, in a word; a third party's is told by its name."""


@frozen
class RunRecord:
    """One run of a pipeline.

    Attributes:
        reference: Finds the pipeline again (``file.py:attribute``); None for one that lives only
            in memory and cannot be resumed from another process.
        config: Path of the configuration file; None for the built-in stack.
        parameters: The context's values, secrets left out.
    """

    run_id: str
    pipeline: str
    stack: str
    status: RunStatus
    started_at: datetime
    reference: str | None = None
    config: str | None = None
    parameters: dict[str, Any] = field(factory=dict)
    finished_at: datetime | None = None
    error: str | None = None


@frozen
class StepRecord:
    """One step of one run.

    Attributes:
        attempts: How often its function was called.
        cached_from: Run whose outputs were used in place of running it.
        note: Why it was cached, or why not.
    """

    run_id: str
    name: str
    status: StepStatus = StepStatus.PENDING
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    cached_from: str | None = None
    note: str | None = None


@frozen
class ArtifactRecord:
    """One stored artifact: an output of a step, or one element of an output.

    Attributes:
        artifact_id: Given by the store when it is added; 0 before.
        output: Name of the output, and below it the element: ``models``, ``models.0``,
            ``scores.train``.
        type: Name of the artifact type that was routed.
        store: Name of the store in the stack.
        manifest: The manifest as JSON, so that nothing has to be read from the store to tell what
            it is.
        collected_at: When it was deleted from the store to make room; None while it is there.
    """

    run_id: str
    pipeline: str
    step: str
    output: str
    type: str
    name: str
    version: str | None
    store: str
    uri: str
    digest: str
    size: int
    manifest: dict[str, Any]
    created_at: datetime
    artifact_id: int = 0
    collected_at: datetime | None = None


@frozen
class LineageEdge:
    """The artifact ``child`` was made from the artifact ``parent``."""

    parent: int
    child: int


@frozen
class DeliveryRecord:
    """One hook, one artifact, one component: the ledger's line.

    Attributes:
        key: Idempotency key, a digest of run, output, hook and component.
        output: As in `ArtifactRecord`.
        component: Name of the component in the stack (``model_registry``,
            ``experiment_tracker.mlflow``).
        component_type: Its ``type``.
        waits_for: ``manual``, ``approval`` or ``metrics`` while a deployment waits; it is no
            debt then.
        reason: Why it is skipped or waits, in words.
        attempts: How often the hook was called.
        error: What the last failed attempt said.
        payload: What is needed to deliver besides the stored artifact, as JSON.
        reference: Where the result is found: URI, version, address.
        result: What came back, as JSON.
    """

    key: str
    run_id: str
    step: str
    output: str
    hook: str
    component: str
    component_type: str
    status: DeliveryStatus
    created_at: datetime
    updated_at: datetime
    waits_for: str | None = None
    reason: str | None = None
    attempts: int = 0
    error: str | None = None
    payload: dict[str, Any] | None = None
    reference: str | None = None
    result: dict[str, Any] | None = None

    @property
    def is_debt(self) -> bool:
        """Whether the run owes it: neither done, nor skipped, nor waiting for a person."""
        status = self.status
        owed = status is DeliveryStatus.PENDING or status is DeliveryStatus.FAILED
        return owed and not self.waits_for

    @property
    def deed(self) -> str:
        """What is done with the artifact once this is: ``stored``, ``registered``."""
        return DEEDS.get(self.hook, self.hook)


@frozen
class ResultRecord:
    """What a step gave for one state of its code, its inputs and its context values.

    Attributes:
        key: Digest of all the parts.
        parts: For everything that the result depends on its digest, by a name that people read.
        run_id: Run whose outputs are the result.
    """

    key: str
    pipeline: str
    step: str
    run_id: str
    parts: dict[str, Any]
    created_at: datetime


@frozen
class ModelEvent:
    """One entry of a model's append-only history.

    Attributes:
        sequence: Counted from 1 for each model; 0 before it is added.
        kind: ``registered``, ``requested``, ``approved``, ``rejected``, ``deployed``,
            ``undeployed`` or ``rolled_back``.
        digest: Digest of the model version that it is about.
        actor: Who did it.
        details: Further facts: endpoint, registry, run.
        previous: Hash of the entry before; empty for the first.
        entry_hash: Hash of this entry, ``previous`` included; empty before it is added.
    """

    model: str
    version: str
    kind: str
    digest: str
    actor: str
    comment: str
    at: datetime
    details: dict[str, Any] = field(factory=dict)
    sequence: int = 0
    previous: str = ""
    entry_hash: str = ""
