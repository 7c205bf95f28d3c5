"""The ledger's lines: how a delivery is begun, and how what became of it is written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

import attrs
from attrs import field, frozen

from flowyml.metadata.rows import DeliveryRecord, ModelEvent
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, Producer
from flowyml.routing.router import STORE, PlannedDelivery
from flowyml.stacks.secrecy import redact, said

__all__ = ["DeliveryObserver", "Ledger", "Outcome", "delivery_key", "history_entry", "now"]


def now() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(UTC)


def delivery_key(run_id: str, step: str, output: str, hook: str, component: str) -> str:
    """Return the idempotency key of a delivery: the same for every attempt at it, and no other."""
    place = json.dumps([run_id, step, output, hook, component])
    return hashlib.sha256(place.encode()).hexdigest()


def history_entry(
    kind: str, about: tuple[str, str, str], actor: str, comment: str = "", **details: Any
) -> ModelEvent:
    """Return an entry for a model's history.

    Args:
        kind: What happened.
        about: Name, version and digest of the model.
        actor: Who did it.
        comment: Why, in their words.
        details: Further facts.
    """
    name, version, digest = about
    return ModelEvent(
        model=name,
        version=version,
        kind=kind,
        digest=digest,
        actor=actor,
        comment=comment,
        at=now(),
        details=details,
    )


class DeliveryObserver(Protocol):
    """Is told of every delivery whenever its status changes."""

    def delivery(self, delivery: DeliveryRecord) -> None:
        """Take notice."""


@frozen
class Outcome:
    """What became of a delivery.

    Attributes:
        status: Its status now.
        reference: Where the result is found.
        result: What came back, as JSON.
        waits_for: What a deployment waits for.
        reason: Why it is skipped or waits.
        payload: What has to be kept for later; None keeps what there is.
        events: Entries for the model's history, written in the same transaction.
    """

    status: DeliveryStatus
    reference: str | None = None
    result: dict[str, Any] | None = None
    waits_for: str | None = None
    reason: str | None = None
    payload: dict[str, Any] | None = None
    events: tuple[ModelEvent, ...] = ()


@frozen
class Ledger:
    """Writes down the deliveries of one run.

    Attributes:
        metadata: Where.
        observer: Is told of every change.
        secrets: Texts that are written down nowhere, also where an error quotes them.
        clock: Tells the time.
    """

    metadata: MetadataStore
    observer: DeliveryObserver | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    clock: Callable[[], datetime] = field(default=now, repr=False)

    def open(
        self, producer: Producer, planned: PlannedDelivery, payload: dict[str, Any] | None
    ) -> DeliveryRecord:
        """Return the line for a planned delivery; nothing is written yet.

        The attempt to store follows at once, so it counts already: an attempt that is counted and
        was never made does no harm, the other way round a component would not look for its key.
        """
        skipped, moment = planned.action == "skip", self.clock()
        component = planned.component or planned.role
        return DeliveryRecord(
            key=delivery_key(
                producer.run_id, producer.step, producer.output, planned.hook, component
            ),
            run_id=producer.run_id,
            step=producer.step,
            output=producer.output,
            hook=planned.hook,
            component=component,
            component_type=planned.component_type or "",
            status=DeliveryStatus.SKIPPED if skipped else DeliveryStatus.PENDING,
            created_at=moment,
            updated_at=moment,
            reason=planned.reason if skipped else None,
            attempts=int(planned.hook == STORE),
            payload=payload,
        )

    def write(self, opened: list[DeliveryRecord]) -> list[DeliveryRecord]:
        """Write lines down, all of them or none, and return them as they stand.

        Returns:
            The very list that was given where all lines are new. Those that an earlier attempt at
            the step wrote stay as they are.
        """
        if self.metadata.add_deliveries(opened) == len(opened):
            return opened
        known = (self.metadata.delivery(delivery.key) for delivery in opened)
        return [delivery for delivery in known if delivery]

    def missed(
        self,
        place: Producer,
        hook: tuple[str, str, str],
        error: Exception,
        payload: dict[str, Any] | None,
    ) -> DeliveryRecord:
        """Return the line for what a component was told of and missed; nothing is written yet.

        Args:
            place: The output that it was told of; of a run as a whole, where it stands.
            hook: The hook, the component and its type.
            error: What it raised.
            payload: What it has to be told besides.
        """
        name, component, component_type = hook
        moment = self.clock()
        return DeliveryRecord(
            key=delivery_key(place.run_id, place.step, place.output, name, component),
            run_id=place.run_id,
            step=place.step,
            output=place.output,
            hook=name,
            component=component,
            component_type=component_type,
            status=DeliveryStatus.FAILED,
            created_at=moment,
            updated_at=moment,
            attempts=1,
            error=self.redact(said(error)),
            payload=payload,
        )

    def owe(self, missed: Iterable[DeliveryRecord]) -> None:
        """Write down what was missed; a line that was paid or forgiven is owed anew."""
        for line in missed:
            if not self.metadata.add_deliveries([line]):
                self.metadata.update_delivery(line)

    def begin(self, delivery: DeliveryRecord) -> DeliveryRecord:
        """Count an attempt, before it is made."""
        return self._update(delivery, attempts=delivery.attempts + 1, reason=None)

    def fail(self, delivery: DeliveryRecord, error: Exception) -> DeliveryRecord:
        """Write down why an attempt failed."""
        failed = self._update(
            delivery, status=DeliveryStatus.FAILED, error=self.redact(said(error))
        )
        self.tell([failed])
        return failed

    def close(self, delivery: DeliveryRecord, outcome: Outcome) -> DeliveryRecord:
        """Write down what became of a delivery, with the entries for the model's history."""
        closed = self.closed(delivery, outcome)
        with self.metadata.transaction():
            for event in outcome.events:
                self.metadata.append_event(event)
            self.metadata.update_delivery(closed)
        self.tell([closed])
        return closed

    def closed(self, delivery: DeliveryRecord, outcome: Outcome) -> DeliveryRecord:
        """Return the line with what became of its delivery; nothing is written."""
        return attrs.evolve(
            delivery,
            updated_at=self.clock(),
            status=outcome.status,
            reference=outcome.reference,
            result=outcome.result,
            waits_for=outcome.waits_for,
            reason=outcome.reason and self.redact(outcome.reason),
            payload=delivery.payload if outcome.payload is None else outcome.payload,
            error=None,
        )

    def explain(self, delivery: DeliveryRecord, reason: str) -> DeliveryRecord:
        """Write down why a delivery is not attempted yet."""
        return delivery if delivery.reason == reason else self._update(delivery, reason=reason)

    def redact(self, text: str) -> str:
        """Return a text without any secret."""
        return redact(text, self.secrets)

    def tell(self, deliveries: Iterable[DeliveryRecord]) -> None:
        """Tell the observer how deliveries stand."""
        if self.observer is not None:
            for delivery in deliveries:
                self.observer.delivery(delivery)

    def _update(self, delivery: DeliveryRecord, **changes: Any) -> DeliveryRecord:
        changed = attrs.evolve(delivery, updated_at=self.clock(), **changes)
        self.metadata.update_delivery(changed)
        return changed
