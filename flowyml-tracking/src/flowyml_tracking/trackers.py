"""What all trackers of this package share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import attrs
from attrs import define, field

from flowyml.artifacts import Metrics
from flowyml.plugins import Component, ExperimentTracker, hookimpl
from flowyml.records import DeliveryContext, LoggedRun, RunInfo, StoredArtifact, output_place
from flowyml_tracking.stores import Stores

__all__ = ["Tracker", "link_to"]


@define(slots=False)
class Tracker(ExperimentTracker):
    """A tracker that takes many metrics at once, and shows figures that lie in the stores."""

    _stores: Stores = field(init=False, repr=False, eq=False, factory=Stores)

    def beside(self, others: Sequence[Component]) -> Self:
        """Know the stores, to show figures that lie in them."""
        completed = attrs.evolve(self)
        completed._stores = Stores.of(others)  # noqa: SLF001  # its own class
        return completed

    @hookimpl
    def log_metrics(self, metrics: Metrics, context: DeliveryContext) -> LoggedRun:
        """Log numbers with their step and time."""
        return self.log_metrics_batch([(metrics, context)])

    @abstractmethod
    def log_metrics_batch(self, batch: Sequence[tuple[Metrics, DeliveryContext]]) -> LoggedRun:
        """Log many numbers of one run."""

    @hookimpl
    def artifact_stored(self, run: RunInfo, stored: StoredArtifact) -> None:
        """Link an artifact, under the step and the output that it came from.

        A point of a curve is no link: the run shows the number itself.
        """
        producer = stored.manifest.producer
        if producer is not None and "step" not in stored.manifest.properties:
            self.link(run, stored, output_place(producer.step, producer.output))

    @abstractmethod
    def link(self, run: RunInfo, stored: StoredArtifact, name: str) -> None:
        """Show under a name where an artifact lies, and a figure itself; again changes nothing."""


def link_to(stored: StoredArtifact) -> dict[str, str]:
    """Return what a link tells of an artifact."""
    return {"uri": stored.uri, "digest": stored.digest, "type": stored.manifest.type}
