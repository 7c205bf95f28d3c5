"""The end of a run: deployments that wait for metrics are decided.

A metric that the model itself does not carry is looked for in the `Metrics` that later steps
computed from it, found by lineage. They count only where there is no doubt which model they speak
of: the way to them leads over no other model, and from no other model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from attrs import frozen

from flowyml.artifacts import Metrics
from flowyml.errors import FlowyMLError
from flowyml.metadata.rows import FINISHED, DeliveryRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus
from flowyml.routing.debts import Debts
from flowyml.routing.deployments import own_metrics
from flowyml.routing.gates import decide, worst
from flowyml.routing.ledger import Ledger, Outcome
from flowyml.routing.parcels import Parcel

__all__ = ["Settling"]

Neighbours = Mapping[int, set[int]]


@frozen
class Settling:
    """Decides what waits for metrics in one run.

    Attributes:
        metadata: Knows what was computed from what.
        ledger: Where the decision is written down.
        debts: Makes the deployments whose gate is met.
    """

    metadata: MetadataStore
    ledger: Ledger
    debts: Debts

    def settle(self, run_id: str) -> tuple[DeliveryRecord, ...]:
        """Decide every deployment that waits for metrics; while a step is to come, none."""
        waiting = self.metadata.deliveries(run_id, waits_for="metrics")
        if not waiting or any(step.status not in FINISHED for step in self.metadata.steps(run_id)):
            return ()
        parcels = self.debts.parcels()
        figures = _Figures(self.metadata, tuple(parcels.values()))
        return tuple(
            self._decide(delivery, parcels[delivery.step, delivery.output], figures)
            for delivery in waiting
        )

    def _decide(
        self, delivery: DeliveryRecord, parcel: Parcel, figures: _Figures
    ) -> DeliveryRecord:
        payload = delivery.payload or {}
        metrics = {**figures.about(parcel.artifact_id), **own_metrics(parcel)}
        decision = decide(payload["thresholds"], metrics)
        if not decision.met:
            doubts = "".join(f"; {doubt}" for doubt in figures.doubts(parcel.artifact_id))
            reason = f"the gate is not met: {decision}{doubts}"
            return self.ledger.close(delivery, Outcome(DeliveryStatus.SKIPPED, reason=reason))
        opened = Outcome(DeliveryStatus.PENDING, payload={**payload, "gate": None})
        parcel.deliveries[delivery.key] = self.ledger.close(delivery, opened)
        return self.debts.deliver(parcel, delivery.key)


@frozen
class _Figures:
    """The metrics of a run, by the model that they speak of."""

    metadata: MetadataStore
    parcels: tuple[Parcel, ...]

    def about(self, model: int) -> dict[str, object]:
        """Return the final figures about a model; of several values of one, the worst."""
        found: defaultdict[str, list[object]] = defaultdict(list)
        for parcel, models in self._computed_from(model):
            value = _read(parcel) if models == {model} else None
            if isinstance(value, Metrics) and value.step is None:
                for name, figure in value.items():
                    found[name].append(figure)
        return {name: worst(values) for name, values in found.items()}

    def doubts(self, model: int) -> Iterator[str]:
        """Say which metrics do not count: they may speak of another model, or are damaged."""
        for parcel, models in self._computed_from(model):
            if models != {model}:
                yield (
                    f"{parcel.producer.step}.{parcel.producer.output} was computed from "
                    f"{len(models)} models and says nothing certain about one"
                )
            elif isinstance(error := _read(parcel), FlowyMLError):
                yield f"{parcel.producer.step}.{parcel.producer.output} cannot be read: {error}"

    def _computed_from(self, model: int) -> Iterator[tuple[Parcel, set[int]]]:
        """Yield metrics that a later step computed from a model, with all models they stem from."""
        below = _reached(model, self._edges(model, up=False), self._models())
        for parcel in self.parcels:
            if parcel.artifact_id in below and parcel.of_hook("log_metrics"):
                up = self._edges(parcel.artifact_id, up=True)
                yield parcel, _reached(parcel.artifact_id, up, self._models()) & self._models()

    def _models(self) -> set[int]:
        return {
            parcel.artifact_id
            for parcel in self.parcels
            if parcel.artifact_id and parcel.of_hook("register_model")
        }

    def _edges(self, artifact: int, *, up: bool) -> Neighbours:
        neighbours: defaultdict[int, set[int]] = defaultdict(set)
        for edge in self.metadata.lineage(artifact):
            here, there = (edge.child, edge.parent) if up else (edge.parent, edge.child)
            neighbours[here].add(there)
        return neighbours


def _read(parcel: Parcel) -> object:
    """Return the value of a parcel, or why it cannot be read: a gate stays shut then."""
    try:
        return parcel.read()
    except FlowyMLError as error:
        return error


def _reached(start: int, neighbours: Neighbours, ends: set[int]) -> set[int]:
    """Return what is reached from an artifact, where no way goes on beyond one of the ends."""
    reached: set[int] = set()
    ahead = list(neighbours.get(start, ()))
    while ahead:
        artifact = ahead.pop()
        if artifact not in reached:
            reached.add(artifact)
            ahead += () if artifact in ends else neighbours.get(artifact, ())
    return reached
