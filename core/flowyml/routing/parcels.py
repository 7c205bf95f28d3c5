"""The parcel: one output on its way, with all its deliveries.

A parcel is the same whether the step has just returned the value or a later process reads it from
the store: what the hooks are given is built from the stored artifact and its manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, field

from flowyml.errors import DeliveryError
from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord
from flowyml.plugins.roles import OnError
from flowyml.records import DeliveryStatus, Producer, StoredArtifact
from flowyml.routing.containers import Leaf
from flowyml.routing.router import STORE, TypeRoute
from flowyml.storage.manifests import manifest_from_json

__all__ = ["Parcel", "stored_artifact"]


@define(eq=False)
class Parcel:
    """One output with its deliveries.

    Attributes:
        producer: Where it comes from.
        deliveries: The ledger's lines by their keys, in the order in which they are made.
        after: For each hook those that have to be done before.
        read: Returns the value: the live one, or the one that is read from the store.
        on_error: By key, whether a failure ends the step; what is not there is deferred.
        leaf: What the step returned; None in another process.
        route: What was planned for it; None in another process.
        stored: Where it lies, once it does.
        artifact_id: Its id in the metadata store; 0 before it is stored.
    """

    producer: Producer
    deliveries: dict[str, DeliveryRecord]
    after: Mapping[str, tuple[str, ...]]
    read: Callable[[], object]
    on_error: Mapping[str, OnError] = field(factory=dict)
    leaf: Leaf | None = None
    route: TypeRoute | None = None
    stored: StoredArtifact | None = None
    artifact_id: int = 0

    def of_hook(self, hook: str) -> list[DeliveryRecord]:
        """Return the deliveries of one hook."""
        return [delivery for delivery in self.deliveries.values() if delivery.hook == hook]

    def storing(self) -> DeliveryRecord | None:
        """Return the delivery to the store; None for a value that is only handed on."""
        for delivery in self.deliveries.values():
            if delivery.hook == STORE:
                return delivery
        return None

    def later(self) -> Iterator[DeliveryRecord]:
        """Yield the deliveries that follow storing, each as it stands when its turn comes."""
        for key in list(self.deliveries):
            if self.deliveries[key].hook != STORE:
                yield self.deliveries[key]

    def blocked_by(self, delivery: DeliveryRecord) -> DeliveryRecord | None:
        """Return a delivery of this artifact that has to be done first and is not."""
        first = (
            other for hook in self.after.get(delivery.hook, ()) for other in self.of_hook(hook)
        )
        return next((other for other in first if other.status != DeliveryStatus.DONE), None)

    def lies_at(self) -> StoredArtifact:
        """Return where the artifact lies.

        Raises:
            DeliveryError: It was never stored.
        """
        if self.stored is None:
            message = (
                f"step {self.producer.step!r}, output {self.producer.output!r}: the artifact was "
                "not stored, so nothing can refer to it"
            )
            raise DeliveryError(message)
        return self.stored

    def result_of(self, hook: str) -> dict[str, Any]:
        """Return what came back from a hook that is done; empty where there is none."""
        results = (delivery.result for delivery in self.of_hook(hook))
        return next((result for result in results if result), {})


def stored_artifact(record: ArtifactRecord) -> StoredArtifact:
    """Return a stored artifact as the metadata store knows it; nothing is read from its store."""
    return StoredArtifact(record.uri, record.store, manifest_from_json(record.manifest))
