"""Letting a debt go that nobody can pay any more, by the word of a person."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs
from attrs import frozen

from flowyml.errors import DeliveryError, NotFoundError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import FINISHED, DeliveryRecord, RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, output_place
from flowyml.routing.debts import finish_run
from flowyml.routing.ledger import now
from flowyml.routing.router import STORE

__all__ = ["Forgiveness"]


@frozen
class Forgiveness:
    """Who forgives, and why.

    Attributes:
        metadata: The ledger.
        actor: Who it is.
        comment: Why.
    """

    metadata: MetadataStore
    actor: str
    comment: str

    def of(self, run: RunRecord, places: Collection[str] = ()) -> tuple[DeliveryRecord, ...]:
        """Let go of what a run owes; its line in the ledger says by whom, when and why.

        A run that owes nothing any more, and was incomplete only for that, is done. What is not
        stored is no debt where its step runs again.

        Args:
            run: The run.
            places: ``step.output`` of the only debts that are meant; all of them without any.

        Raises:
            NotFoundError: A place owes nothing, or the run owes nothing at all.
            DeliveryError: Another process works on the run.
        """
        with Lease(self.metadata, run.run_id, refusal=_taken(run.run_id)):
            owed = self._owed(run.run_id)
            if not owed:
                raise NotFoundError(self._owes_nothing(run.run_id))
            meant = _meant(run.run_id, owed, places)
            with self.metadata.transaction():
                forgiven = tuple(self._forgiven(debt) for debt in meant)
                finish_run(self.metadata, run.run_id)
        return forgiven

    def _owed(self, run_id: str) -> list[DeliveryRecord]:
        """Return the debts; what is not stored is one only where its step does not run again."""
        steps = self.metadata.steps(run_id)
        over = {step.name for step in steps if step.status in FINISHED}
        debts = self.metadata.debts(run_id)
        return [debt for debt in debts if debt.hook != STORE or debt.step in over]

    def _owes_nothing(self, run_id: str) -> str:
        """Say so, and what is to be done about steps that have not run to their end."""
        message = f"the run {run_id} owes nothing"
        left = [step.name for step in self.metadata.steps(run_id) if step.status not in FINISHED]
        if not left:
            return message
        return f"{message}; `flowyml resume {run_id}` runs what has not run: {', '.join(left)}"

    def _forgiven(self, debt: DeliveryRecord) -> DeliveryRecord:
        """Close a line; what its last attempt said stays in it."""
        moment = now()
        reason = f"forgiven by {self.actor} on {moment:%Y-%m-%d %H:%M} UTC: {self.comment}"
        closed = attrs.evolve(debt, status=DeliveryStatus.SKIPPED, reason=reason, updated_at=moment)
        self.metadata.update_delivery(closed)
        return closed


def _meant(
    run_id: str, owed: Sequence[DeliveryRecord], places: Collection[str]
) -> list[DeliveryRecord]:
    known = list(dict.fromkeys(_place(debt) for debt in owed))
    unknown = [place for place in places if place not in known]
    if unknown:
        what = " and ".join(unknown)
        message = f"the run {run_id} owes nothing for {what} (it owes: {', '.join(known)})"
        raise NotFoundError(message)
    return [debt for debt in owed if not places or _place(debt) in places]


def _place(debt: DeliveryRecord) -> str:
    return output_place(debt.step, debt.output)


def _taken(run_id: str) -> DeliveryError:
    message = f"another process works on the run {run_id}; try again when it has ended"
    return DeliveryError(message, transient=True)
