"""The metadata store: the one face of everything that is written down about runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import frozen

from flowyml.metadata.artifacts import ArtifactTable
from flowyml.metadata.database import Database
from flowyml.metadata.deliveries import DeliveryTable
from flowyml.metadata.history import HistoryTable
from flowyml.metadata.leases import LeaseTable
from flowyml.metadata.lineage import LineageTable
from flowyml.metadata.reading import read_database
from flowyml.metadata.references import References
from flowyml.metadata.results import ResultTable
from flowyml.metadata.retention import Garbage, Retention
from flowyml.metadata.rows import (
    ArtifactRecord,
    DeliveryRecord,
    LineageEdge,
    ModelEvent,
    ResultRecord,
    RunRecord,
    StepRecord,
)
from flowyml.metadata.runs import RunTable
from flowyml.metadata.steps import StepTable
from flowyml.records import RunStatus, StepStatus

__all__ = ["MetadataStore"]


def _now() -> datetime:
    return datetime.now(UTC)


@frozen(eq=False)
class MetadataStore:
    """Runs, steps, artifacts, lineage, deliveries, leases and model histories of one project.

    Threads may share one object, and any number of processes of one machine may use one file; it
    does not belong on a network drive. What a method wrote is safe from a killed process when the
    method returns, or inside `transaction`, when the block ends. Every method raises
    `MetadataError` when the file cannot be read or written.
    """

    _database: Database
    _runs: RunTable
    _steps: StepTable
    _artifacts: ArtifactTable
    _lineage: LineageTable
    _references: References
    _deliveries: DeliveryTable
    _leases: LeaseTable
    _history: HistoryTable
    _results: ResultTable
    _garbage: Garbage
    _clock: Callable[[], datetime]

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], datetime] = _now) -> Self:
        """Open a store, after making its folder and its tables where they are missing.

        Args:
            path: The SQLite file.
            clock: Tells the time, aware of its zone.

        Raises:
            MetadataError: The file is none of ours, damaged, of a newer version, or not writable.
        """
        return cls._of(Database.open(path), clock)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open a store to read from it, also where it may not be written; a missing one is empty.

        Raises:
            MetadataError: As `open`; or the file is of an older version and may not be written.
        """
        return cls._of(read_database(path), _now)

    @classmethod
    def _of(cls, database: Database, clock: Callable[[], datetime]) -> Self:
        lineage = LineageTable(database)
        artifacts = ArtifactTable(database, lineage)
        runs = RunTable(database, clock)
        return cls(
            database,
            runs,
            StepTable(database, clock),
            artifacts,
            lineage,
            References(artifacts, runs),
            DeliveryTable(database),
            LeaseTable(database, clock),
            HistoryTable(database),
            ResultTable(database),
            Garbage(database),
            clock,
        )

    def close(self) -> None:
        """Close the store; closing it again does nothing."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Group writes: all that is written in the block is kept, or nothing.

        A block inside another joins it; when the inner one fails, nothing of the outer one is kept.
        Other threads and processes wait meanwhile, so nothing slow belongs in it.
        """
        return self._database.transaction()

    def add_run(self, run: RunRecord) -> None:
        """Add a run; its id must be new."""
        self._runs.add(run)

    def set_run_status(self, run_id: str, status: RunStatus, *, error: str | None = None) -> None:
        """Say how a run stands; every status but ``running`` ends it now, if it has not ended.

        Raises:
            NotFoundError: There is no run with exactly this id.
        """
        self._runs.set_status(run_id, status, error)

    def run(self, reference: str) -> RunRecord:
        """Return a run by its id, or by the beginning of its id where only one begins like this.

        Raises:
            NotFoundError: No run, or more than one, is meant.
        """
        return self._runs.find(reference)

    def runs(
        self,
        *,
        pipeline: str | None = None,
        status: RunStatus | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return runs, the newest first."""
        return self._runs.newest(pipeline, status, limit)

    def add_steps(self, run_id: str, names: Iterable[str]) -> None:
        """Add pending steps to a run; one that is there already stays as it is."""
        self._steps.add(run_id, names)

    def start_step(self, run_id: str, step: str) -> None:
        """Say that a step begins, or is tried again: running, one more attempt, no error.

        Raises:
            NotFoundError: The run has no such step.
        """
        self._steps.start(run_id, step)

    def set_step_status(
        self,
        run_id: str,
        step: str,
        status: StepStatus,
        *,
        error: str | None = None,
        cached_from: str | None = None,
        note: str | None = None,
    ) -> None:
        """Say how a step stands.

        Args:
            run_id: Id of the run.
            step: Name of the step.
            status: ``pending`` and ``running`` have no end; any other ends the step now, unless it
                has ended before.
            error: What went wrong; None takes away what was there.
            cached_from: Run whose outputs were used; None leaves what is there.
            note: Why it was cached, or why not; None leaves what is there.

        Raises:
            NotFoundError: The run has no such step.
        """
        self._steps.set_status(
            run_id, step, status, error=error, cached_from=cached_from, note=note
        )

    def steps(self, run_id: str) -> list[StepRecord]:
        """Return the steps of a run in the order in which they were added."""
        return self._steps.of_run(run_id)

    def step_status(self, run_id: str, step: str) -> StepStatus | None:
        """Return how one step of a run stands; None where the run has no such step."""
        return self._steps.status(run_id, step)

    def add_artifact(self, artifact: ArtifactRecord, parents: Sequence[int]) -> int:
        """Add an artifact and what it was made from.

        The same run, step and output again, which is the step run again, takes the place of what
        was there and keeps its id.

        Args:
            artifact: The artifact; its ``artifact_id`` is not looked at.
            parents: Ids of the artifacts that it was made from.

        Returns:
            Its id.
        """
        return self._artifacts.add(artifact, parents)

    def artifact(self, artifact_id: int) -> ArtifactRecord:
        """Return an artifact by its id.

        Raises:
            NotFoundError: There is none.
        """
        return self._artifacts.get(artifact_id)

    def artifacts(
        self,
        *,
        run_id: str | None = None,
        step: str | None = None,
        name: str | None = None,
        type: str | None = None,  # noqa: A002  # the record's word, and the command line's
        limit: int | None = None,
    ) -> list[ArtifactRecord]:
        """Return artifacts, the newest first."""
        return self._artifacts.newest(run_id=run_id, step=step, name=name, type=type, limit=limit)

    def address_of(self, digest: str, *, below: str) -> str | None:
        """Return the newest URI below a store's root that has this digest and was not collected."""
        return self._artifacts.address_of(digest, below)

    def replacement(self, uri: str, *, recorded: str, found: str) -> ArtifactRecord | None:
        """Return the later artifact of this project that replaced one at its URI.

        Args:
            uri: The URI, which a rule with `overwrite` gives to several artifacts.
            recorded: Digest of the one that is looked for.
            found: Digest of what lies there; None of this project where nothing later has it.
        """
        return self._artifacts.replacement(uri, recorded, found)

    def find_artifact(self, reference: str) -> ArtifactRecord:
        """Return the artifact that a user means.

        Args:
            reference: Its id, URI, ``RUN/output``, name or digest; a unique beginning of a run's id
                or of a digest will do. Of several with one name or URI the newest is meant.

        Raises:
            NotFoundError: No artifact, or more than one, is meant.
        """
        return self._references.find(reference)

    def collect_artifact(self, uri: str) -> None:
        """Say that the artifact at a URI is deleted now; its row stays, and its lineage with it."""
        self._artifacts.collect(uri, self._clock())

    def knows_digest(self, digest: str) -> bool:
        """Whether a run of this project stored an artifact with this digest."""
        return self._artifacts.knows_digest(digest)

    def lineage(self, artifact_id: int, *, depth: int | None = None) -> list[LineageEdge]:
        """Return the edges to all ancestors and all descendants of an artifact.

        Args:
            artifact_id: The artifact.
            depth: How many generations to follow each way; None for all.
        """
        return self._lineage.around(artifact_id, depth)

    def add_deliveries(self, deliveries: Sequence[DeliveryRecord]) -> int:
        """Add deliveries and return how many are new; one whose key is there stays as it is."""
        return self._deliveries.add(deliveries)

    def update_delivery(self, delivery: DeliveryRecord) -> None:
        """Write down how the delivery with this key stands.

        Raises:
            NotFoundError: There is none.
        """
        self._deliveries.update(delivery)

    def delivery(self, key: str) -> DeliveryRecord | None:
        """Return the delivery with this key, if there is one."""
        return self._deliveries.get(key)

    def deliveries(self, run_id: str, *, waits_for: str | None = None) -> list[DeliveryRecord]:
        """Return the deliveries of a run in the order in which they were added.

        Args:
            run_id: Id of the run.
            waits_for: Only deployments that wait for this.
        """
        return self._deliveries.of_run(run_id, waits_for)

    def debts(self, run_id: str | None = None) -> list[DeliveryRecord]:
        """Return the deliveries that a run, or that all runs together, still owe."""
        return self._deliveries.debts(run_id)

    def collectable(
        self, retention: Retention, *, roots: Iterable[str], in_use: Iterable[str]
    ) -> Sequence[int]:
        """Return the ids of the artifacts that may be deleted, the oldest first, one for each URI.

        What the ledger of any stack needs is none of them: what is registered, deployed, waited for
        or owed, and what that was made from; nor is anything of a run that a process works on.

        Args:
            retention: What else is kept.
            roots: URIs of the stores that are cleared.
            in_use: URIs and digests that a registry or a deployer needs besides.
        """
        held = self._leases.held()
        return self._garbage.find(retention, self._clock(), roots=roots, in_use=in_use, held=held)

    def artifacts_of(self, ids: Sequence[int]) -> Iterator[ArtifactRecord]:
        """Yield the artifacts with these ids, in this order; few at a time are in memory."""
        return self._artifacts.of_numbers(ids)

    def acquire_lease(self, run_id: str, owner: str, seconds: float) -> bool:
        """Take a run for a while; False where another owner has it.

        Args:
            run_id: Id of the run.
            owner: Names one process, and no other ever.
            seconds: How long, unless it is renewed.
        """
        return self._leases.acquire(run_id, owner, seconds)

    def renew_lease(self, run_id: str, owner: str, seconds: float) -> bool:
        """Keep a run for this long from now; False where another owner has taken it."""
        return self._leases.renew(run_id, owner, seconds)

    def lease_owner(self, run_id: str) -> str | None:
        """Return who has a run; None where nobody has, or let its lease expire."""
        return self._leases.owner(run_id)

    def release_lease(self, run_id: str, owner: str) -> bool:
        """Give a run back; False where it is not this owner's."""
        return self._leases.release(run_id, owner)

    def append_event(self, event: ModelEvent) -> ModelEvent:
        """Add an entry to a model's history; return it with its sequence and hashes."""
        return self._history.append(event)

    def events(self, model: str) -> list[ModelEvent]:
        """Return a model's history, the oldest entry first."""
        return self._history.of_model(model)

    def verify_history(self, model: str) -> int | None:
        """Return the sequence of the first entry that is missing or wrong; None if all is well."""
        return self._history.verify(model)

    def add_result(self, result: ResultRecord) -> None:
        """Keep what a step gave; it takes the place of an earlier result with the same key."""
        self._results.add(result)

    def result(self, key: str) -> ResultRecord | None:
        """Return what a step gave for this key, if it is known."""
        return self._results.get(key)

    def newest_result(self, pipeline: str, step: str) -> ResultRecord | None:
        """Return what a step gave last, if that is known."""
        return self._results.newest(pipeline, step)
