"""Telling components what lies in a store, and how a run ended.

A component that misses it is owed it: a line of the ledger that is made only then, and paid like a
delivery. What an extension misses is a warning, for it only watches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from flowyml.errors import DeliveryError
from flowyml.metadata.rows import DeliveryRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import CONTEXT, DeliveryStatus, Producer, RunInfo, RunStatus, StoredArtifact
from flowyml.routing.ledger import Ledger, Outcome
from flowyml.routing.parcels import Parcel
from flowyml.routing.patience import DOWN, Patience
from flowyml.stacks.stack import Stack

__all__ = ["ENDED", "Telling"]

ENDED: Final = "run_finished"


@frozen
class Telling:
    """Tells the components of one run.

    Attributes:
        stack: Where they are.
        run: The run.
        metadata: The ledger, to look at.
        ledger: The ledger, to write to.
        patience: Tries again, and knows who is down.
    """

    stack: Stack
    run: RunInfo
    metadata: MetadataStore
    ledger: Ledger
    patience: Patience

    def stored(self, parcels: Sequence[Parcel]) -> list[DeliveryRecord]:
        """Tell of what lies in a store by now.

        Nobody waits here for who is down: what is owed is tried again at the end of the run.

        Returns:
            What is owed from now on; nothing is written yet.
        """
        owed: list[DeliveryRecord] = []
        for parcel in parcels:
            if parcel.storing() is not None and parcel.stored is not None:
                missed = self._tell(parcel.stored)
                if missed:
                    owed += self._owed("artifact_stored", parcel.producer, missed)
        return owed

    def _tell(self, stored: StoredArtifact) -> Mapping[str, Exception]:
        """Tell everybody of an artifact who is not down; return who does not know it, and why."""
        down = {each: DeliveryError(DOWN) for each in self.patience.left_alone()}
        missed = self.stack.hooks.artifact_stored(self.run, stored, down)
        for component, error in missed.items():
            if component not in down:
                self.patience.note(component, error)
        return missed

    def ended(self, status: RunStatus) -> bool:
        """Tell that the run ended, and try again where that fails.

        Args:
            status: How it ended.

        Returns:
            Whether somebody does not know it, and is owed it.
        """
        attempts, down = self.patience.attempts, self.patience.down  # its debts just failed
        missed = self.stack.hooks.run_finished(self.run, status)
        before = self._lines()
        if not (missed or before):
            return False
        place = Producer(self.run.pipeline, self.run.run_id, CONTEXT, CONTEXT)
        owed = self._owed(ENDED, place, missed, {"status": status.value})
        with self.metadata.transaction():
            self.ledger.owe(owed)
        self.ledger.tell(owed)
        for line in owed:
            error = missed[line.component]
            if line.component not in down and attempts.may_pass(line.component, error):
                attempts.deliver(Parcel(place, {line.key: line}, {}, read=lambda: None), line)
        for line in before:
            if line.component in self.stack.components and line.component not in missed:
                self.ledger.close(line, Outcome(DeliveryStatus.DONE))
        return bool(self._lines())

    def _lines(self) -> list[DeliveryRecord]:
        """Return who is owed the end of the run."""
        return [debt for debt in self.metadata.debts(self.run.run_id) if debt.hook == ENDED]

    def _owed(
        self,
        hook: str,
        place: Producer,
        missed: Mapping[str, Exception],
        payload: dict[str, Any] | None = None,
    ) -> list[DeliveryRecord]:
        return [
            self.ledger.missed(place, (hook, name, self.stack.types[name]), error, payload)
            for name, error in missed.items()
        ]
