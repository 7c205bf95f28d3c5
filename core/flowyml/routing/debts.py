"""Paying what a run still owes, from the ledger and the stores alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from attrs import frozen

from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import Producer, RunInfo, RunStatus, StepStatus
from flowyml.routing.parcels import Parcel, stored_artifact
from flowyml.routing.patience import Patience
from flowyml.routing.reader import Reader
from flowyml.routing.router import STORE
from flowyml.stacks.stack import Stack

__all__ = ["Debts", "finish_run"]

Place = tuple[str, str]


@frozen
class Debts:
    """Makes the deliveries of a run that were not made, whichever process made the others.

    What was not stored, and is not kept in the ledger, stays owed: its step has to run again.

    Attributes:
        stack: Where the components are.
        run: The run.
        metadata: The ledger.
        patience: Makes the deliveries.
    """

    stack: Stack
    run: RunInfo
    metadata: MetadataStore
    patience: Patience

    def pay(self) -> tuple[DeliveryRecord, ...]:
        """Try what is owed, in order; return what was tried, as it stands.

        What is owed by a component that is down stays as it is.
        """
        self.patience.renew()
        owed = [debt for debt in self.metadata.debts(self.run.run_id) if debt.hook != STORE]
        parcels = self.parcels() if owed else {}
        tried = tuple(self._try(debt, parcels) for debt in owed)
        _finish_steps(self.metadata, self.run.run_id)
        return tuple(delivery for delivery in tried if delivery)

    def parcels(self) -> dict[Place, Parcel]:
        """Return all parcels of the run, by step and output."""
        run_id = self.run.run_id
        artifacts = {
            (artifact.step, artifact.output): artifact
            for artifact in self.metadata.artifacts(run_id=run_id)
        }
        grouped: dict[Place, list[DeliveryRecord]] = {}
        for delivery in self.metadata.deliveries(run_id):
            grouped.setdefault((delivery.step, delivery.output), []).append(delivery)
        after = dict(self._orders())
        return {
            place: self._parcel(deliveries, artifacts.get(place), after)
            for place, deliveries in grouped.items()
        }

    def deliver(self, parcel: Parcel, key: str) -> DeliveryRecord:
        """Make one delivery, unless another process has made it meanwhile."""
        current = self.metadata.delivery(key) or parcel.deliveries[key]
        parcel.deliveries[key] = current
        self.patience.deliver(parcel, current)
        return parcel.deliveries[key]

    def _try(self, debt: DeliveryRecord, parcels: Mapping[Place, Parcel]) -> DeliveryRecord | None:
        if self.patience.is_over(debt.component):
            return None
        parcel = parcels[(debt.step, debt.output)]
        kept = "kept" in (debt.payload or {})
        return self.deliver(parcel, debt.key) if parcel.stored or kept else None

    def _parcel(
        self,
        deliveries: list[DeliveryRecord],
        artifact: ArtifactRecord | None,
        after: Mapping[str, tuple[str, ...]],
    ) -> Parcel:
        first = deliveries[0]
        read = partial(_gone, first)
        if artifact is not None:
            read = partial(Reader(self.stack, self.metadata).whole, artifact)
        return Parcel(
            producer=Producer(self.run.pipeline, first.run_id, first.step, first.output),
            deliveries={delivery.key: delivery for delivery in deliveries},
            after=after,
            read=read,
            stored=stored_artifact(artifact) if artifact else None,
            artifact_id=artifact.artifact_id if artifact else 0,
        )

    def _orders(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for role in self.stack.roles.values():
            yield from ((hook.name, hook.after) for hook in role.hooks)


def finish_run(metadata: MetadataStore, run_id: str) -> None:
    """Say that an incomplete run is done once nothing is owed and every step has run."""
    _finish_steps(metadata, run_id)
    is_incomplete = metadata.run(run_id).status is RunStatus.INCOMPLETE
    have_run = all(step.status is StepStatus.DONE for step in metadata.steps(run_id))
    if is_incomplete and have_run and not metadata.debts(run_id):
        metadata.set_run_status(run_id, RunStatus.DONE)


def _finish_steps(metadata: MetadataStore, run_id: str) -> None:
    """Say that a step is done once nothing of it is owed any more."""
    owing = {debt.step for debt in metadata.debts(run_id)}
    for step in metadata.steps(run_id):
        if step.status == StepStatus.STORED and step.name not in owing:
            metadata.set_step_status(step.run_id, step.name, StepStatus.DONE)


def _gone(delivery: DeliveryRecord) -> object:
    message = f"the value of {delivery.run_id}/{delivery.output} was not stored"
    raise LookupError(message)
