"""The courier: takes the outputs of a step to every component that its plan names.

What is to be delivered is written down before anything leaves the process, and what became of it
after. A step whose outputs are only stored costs two transactions: all deliveries pending; then
artifacts, lineage, the stored deliveries and the step's status together.
"""

from __future__ import annotations

import getpass
from collections.abc import Collection, Sequence
from contextlib import suppress

import attrs
from attrs import define, field, frozen

from flowyml.errors import SerializationError
from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, RunInfo, RunStatus, StepStatus
from flowyml.routing.attempts import Attempts
from flowyml.routing.containers import Leaf
from flowyml.routing.debts import Debts
from flowyml.routing.depot import Depot
from flowyml.routing.gathering import Earlier
from flowyml.routing.ledger import DeliveryObserver, Ledger, Outcome
from flowyml.routing.opening import Opening
from flowyml.routing.parcels import Parcel
from flowyml.routing.patience import DOWN, Patience
from flowyml.routing.retries import Retries
from flowyml.routing.router import STORE, Router
from flowyml.routing.settling import Settling
from flowyml.routing.storing import StoreCall, Storing, artifact_record
from flowyml.routing.telling import Telling
from flowyml.stacks.secrecy import component_secrets
from flowyml.stacks.stack import Stack

__all__ = ["Courier", "StepDelivery", "current_user"]


def current_user() -> str:
    """Name who runs this, for the history of models."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may run as a user that has no name
        return "unknown"


@frozen
class StepDelivery:
    """What became of the outputs of a step.

    Attributes:
        artifacts: What is stored, with ids: for each output the container first, then its elements.
        deliveries: All of them, as they stand.
        status: How the step stands now, which is written down already: ``done``; ``stored`` when
            deliveries are owed; ``pending`` when an output, or what the step delivered while it
            ran, could not be stored and that is deferred: to resume the run is to run it again.
    """

    artifacts: tuple[ArtifactRecord, ...]
    deliveries: tuple[DeliveryRecord, ...]
    status: StepStatus


@define(eq=False)
class Courier:
    """Makes the deliveries of one run. Threads may share it.

    Attributes:
        stack: Where the components are.
        metadata: Where everything is written down.
        run: The run.
        router: Knows where each type goes.
        observer: Is told of every delivery whose status changes.
        retries: How often a delivery is tried when its failure may pass.
        actor: Who is named in the history of models.
        secrets: Texts that are written down nowhere; those of the components are known besides.
    """

    stack: Stack
    metadata: MetadataStore
    run: RunInfo
    router: Router
    observer: DeliveryObserver | None = None
    retries: Retries = field(factory=Retries)
    actor: str = field(factory=current_user)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    _ledger: Ledger = field(init=False)
    _opening: Opening = field(init=False)
    _attempts: Attempts = field(init=False)
    _depot: Depot = field(init=False)
    _telling: Telling = field(init=False)
    _patience: Patience = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make what works for the courier."""
        self.secrets += component_secrets(self.stack.components.values())
        self._ledger = Ledger(self.metadata, self.observer, self.secrets)
        self._opening = Opening(self.run, self.router, self._ledger)
        self._attempts = Attempts(self.stack, self.run, self._ledger, self.retries, self.actor)
        self._depot = Depot(Storing(self.run, self.stack, self.metadata), self._attempts)
        self._patience = Patience(self._attempts)
        self._telling = Telling(self.stack, self.run, self.metadata, self._ledger, self._patience)

    def route_step(self, step: str, leaves: Sequence[Leaf], parents: Sequence[int]) -> StepDelivery:
        """Deliver all that a step returned.

        Args:
            step: Name of the step; the metadata store has it.
            leaves: What it returned, taken apart by `splitting.take_apart`.
            parents: Ids of the artifacts that it was made from.

        Raises:
            DeliveryError: A delivery failed whose rule says ``on_error: fail``. Once the outputs
                are stored the step's status is ``stored`` even so: what failed can be paid without
                running the step again.
            SerializationError: No format holds an output, or the one asked for does not.
        """
        parcels = [self._opening.open(step, leaf) for leaf in leaves]
        fresh = self._write_down(parcels)
        if not fresh:
            self._drop_stale(step, parcels)
        self._depot.store(parcels, parents, counted=fresh)
        return self._deliver(parcels, self._note_stored(parcels, parents, step), step)

    def deliver_one(
        self,
        step: str,
        leaf: Leaf,
        hooks: Collection[str] | None = None,
        parents: Sequence[int] = (),
    ) -> StepDelivery:
        """Deliver one value while its step runs; the step's status stays as it is.

        When the step runs again, what was delivered under the same name stays delivered.

        Args:
            step: Name of the step.
            leaf: The value, under a name that is its own within the step.
            hooks: The hooks that were called by name, which brings along what they need; None for
                all that the type of the value names.
            parents: Ids of the artifacts that it was made from.

        Raises:
            DeliveryError: A delivery failed whose rule says ``on_error: fail``.
            SerializationError: No format holds the value, or the one asked for does not.
        """
        parcel = self._opening.open(step, leaf, hooks)
        fresh = self._write_down([parcel])
        artifacts: list[ArtifactRecord] = []
        if any(delivery.is_debt for delivery in parcel.deliveries.values()):
            self._depot.store([parcel], parents, counted=fresh)
            artifacts = self._note_stored([parcel], parents, None)
        return self._deliver([parcel], artifacts, None)

    def earlier_curves(self, step: str) -> Earlier:
        """Return what earlier tries of a step have written down of its curves."""
        deliveries = self.metadata.deliveries(self.run.run_id)
        return Earlier.of(delivery for delivery in deliveries if delivery.step == step)

    def pay_debts(self) -> tuple[DeliveryRecord, ...]:
        """Try everything that the run owes once more; return what was tried, as it stands now.

        Nothing is raised: what fails again stays owed. Only one process at a time may do this for
        a run; whoever calls has its lease.
        """
        unstored = self._depot.unstored
        for call in unstored:
            self._store_again(call)
        tried = self._debts().pay()
        if unstored or any(delivery.waits_for == "metrics" for delivery in tried):
            # The last step is over, or a deployment has reached its gate, only now.
            stand = {delivery.key: delivery for delivery in (*tried, *self.settle_gates())}
            tried = tuple(stand.values())
        return tried

    def end(self, status: RunStatus) -> RunStatus:
        """Tell that the run ended; return how it stands then.

        A run that is done is incomplete where a component could not be told: it is owed that.
        """
        owing = self._telling.ended(status)
        return RunStatus.INCOMPLETE if owing and status is RunStatus.DONE else status

    def settle_gates(self) -> tuple[DeliveryRecord, ...]:
        """Decide the deployments that wait for metrics, once all steps are stored.

        Returns:
            Those that were decided: skipped with the reason, done, or owed because they failed.
        """
        settling = Settling(self.metadata, self._ledger, self._debts())
        return settling.settle(self.run.run_id)

    def _debts(self) -> Debts:
        return Debts(self.stack, self.run, self.metadata, self._patience)

    def _write_down(self, parcels: Sequence[Parcel]) -> bool:
        """Write all deliveries down; return whether none of them was written down before."""
        opened = [delivery for parcel in parcels for delivery in parcel.deliveries.values()]
        standing = self._ledger.write(opened)
        by_key = {delivery.key: delivery for delivery in standing}
        for parcel in parcels:
            parcel.deliveries = {key: by_key[key] for key in parcel.deliveries}
        self._ledger.tell(
            delivery for delivery in standing if delivery.status == DeliveryStatus.SKIPPED
        )
        return standing is opened

    def _drop_stale(self, step: str, parcels: Sequence[Parcel]) -> None:
        """Close what an earlier attempt at the step opened, and what this one did not return.

        Its value is gone. What was stored, waits to be, or is kept in the ledger, can still be
        delivered.
        """
        returned = {key for parcel in parcels for key in parcel.deliveries}
        artifacts = self.metadata.artifacts(run_id=self.run.run_id, step=step)
        there = {artifact.output for artifact in artifacts} | self._depot.lacks(step)
        outcome = Outcome(DeliveryStatus.SKIPPED, reason="the step ran again without returning it")
        for debt in self.metadata.debts(self.run.run_id):
            kept = debt.output in there or "kept" in (debt.payload or {})
            if debt.step == step and debt.key not in returned and not kept:
                self._ledger.close(debt, outcome)

    def _note_stored(
        self, parcels: Sequence[Parcel], parents: Sequence[int], step: str | None
    ) -> list[ArtifactRecord]:
        """Write down, all at once, what is stored, what it was made from, and the step's status.

        Who watches is told before: a crash in between tells again, and leaves nobody untold.
        """
        missed = self._telling.stored(parcels)
        stored: list[tuple[ArtifactRecord, DeliveryRecord]] = []
        with self.metadata.transaction():
            for parcel in parcels:
                delivery = parcel.storing()
                if delivery is None or parcel.stored is None:
                    continue
                artifact = artifact_record(parcel.stored, parcel.producer)
                parcel.artifact_id = self.metadata.add_artifact(artifact, parents)
                self.metadata.update_delivery(delivery)
                artifact = attrs.evolve(artifact, artifact_id=parcel.artifact_id)
                stored.append((artifact, delivery))
            self._ledger.owe(missed)
            if step is not None:
                self.metadata.set_step_status(self.run.run_id, step, self._standing(parcels, step))
        self._ledger.tell((*(delivery for _, delivery in stored), *missed))
        return [artifact for artifact, _ in stored]

    def _deliver(
        self, parcels: Sequence[Parcel], artifacts: Sequence[ArtifactRecord], step: str | None
    ) -> StepDelivery:
        """Make the deliveries that follow storing, in order."""
        status = self._standing(parcels, step)
        for parcel in parcels:
            for delivery in parcel.later():
                self._deliver_or_owe(parcel, delivery)
        after = self._standing(parcels, step)
        if step is not None and after != status:
            self.metadata.set_step_status(self.run.run_id, step, after)
        deliveries = (delivery for parcel in parcels for delivery in parcel.deliveries.values())
        return StepDelivery(tuple(artifacts), tuple(deliveries), after)

    def _deliver_or_owe(self, parcel: Parcel, delivery: DeliveryRecord) -> None:
        """Make one of them; a component that is down is waited for only where a rule says so."""
        if parcel.on_error[delivery.key] == "fail":
            error = self._attempts.deliver(parcel, delivery)
            if error is not None:
                raise self._attempts.failure(parcel.deliveries[delivery.key], error) from error
        elif not self._patience.is_over(delivery.component):
            self._patience.deliver(parcel, delivery)
        elif delivery.is_debt:
            parcel.deliveries[delivery.key] = self._ledger.explain(delivery, DOWN)

    def _standing(self, parcels: Sequence[Parcel], step: str | None) -> StepStatus:
        """Return how a step stands that returned these; what it yielded may be missing as well."""
        return StepStatus.PENDING if self._depot.lacks(step) else _status(parcels)

    def _store_again(self, call: StoreCall) -> None:
        """Try once more to store an output; where it was the last one, its step is stored."""
        with suppress(SerializationError):  # the ledger has it, and the step runs again
            self._depot.try_again(call)
        self._note_stored([call.parcel], call.parents, None)
        step = call.parcel.producer.step
        if not self._depot.lacks(step) and self._is_pending(step):
            self.metadata.set_step_status(self.run.run_id, step, StepStatus.STORED)

    def _is_pending(self, step: str) -> bool:
        """Whether a step waits for nothing but its storing; one that failed has to run again."""
        steps = self.metadata.steps(self.run.run_id)
        return any(each.name == step and each.status is StepStatus.PENDING for each in steps)


def _status(parcels: Sequence[Parcel]) -> StepStatus:
    """Return how a step stands whose outputs these are."""
    status = StepStatus.DONE
    for parcel in parcels:
        for delivery in parcel.deliveries.values():
            if delivery.is_debt:
                if delivery.hook == STORE:
                    return StepStatus.PENDING
                status = StepStatus.STORED
    return status
