"""From a leaf to the request that stores it, the call that does, and the record of it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
from attrs import define, field, frozen

from flowyml.artifacts import Artifact
from flowyml.errors import DeliveryError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import (
    DeliveryContext,
    DeliveryStatus,
    Manifest,
    Producer,
    RunInfo,
    StoredArtifact,
)
from flowyml.routing.containers import Leaf
from flowyml.routing.curves import written_points
from flowyml.routing.ledger import Outcome
from flowyml.routing.parcels import Parcel
from flowyml.routing.reader import Reader
from flowyml.routing.router import TypeRoute
from flowyml.serialization import pack
from flowyml.serialization.catalog import by_format
from flowyml.stacks.stack import Stack
from flowyml.storage.files import StoreRequest
from flowyml.storage.manifests import manifest_to_json
from flowyml.storage.sinks import copy_files

__all__ = ["StoreCall", "Storing", "artifact_record"]


@frozen
class Storing:
    """Prepares what is stored in one run.

    Attributes:
        run: The run.
        stack: Its stores know their roots.
        metadata: Knows what lies in them already.
    """

    run: RunInfo
    stack: Stack
    metadata: MetadataStore
    _places: dict[str, str] = field(init=False)

    @_places.default
    def _of_the_run(self) -> dict[str, str]:
        return {
            "run_id": self.run.run_id,
            "pipeline_name": self.run.pipeline,
            "stack_name": self.run.stack,
            "date": self.run.started_at.date().isoformat(),
        }

    def request(self, leaf: Leaf, route: TypeRoute, producer: Producer, key: str) -> StoreRequest:
        """Return the request that stores a leaf.

        Raises:
            SerializationError: No format holds the value exactly, or the one asked for does not.
        """
        if leaf.recalled is not None and _keeps_format(leaf, route, leaf.recalled):
            return self._again(leaf.recalled, route, producer, key)
        packed = pack(
            leaf.value if leaf.shape is None else leaf.shape,
            type_name=route.type,
            name=leaf.output,
            producer=producer,
            key=key,
            format=route.rule.format if leaf.shape is None else None,
        )
        return StoreRequest(
            path=self._path(route, packed.manifest, producer),
            manifest=packed.manifest,
            write=packed.write,
            overwrite=bool(route.rule.overwrite),
            find_copy=partial(self._copy_of, route.store),
        )

    def _again(
        self, recalled: ArtifactRecord, route: TypeRoute, producer: Producer, key: str
    ) -> StoreRequest:
        """Return the request that stores the files of an earlier run's artifact once more.

        Packed again the value might become other bytes, as pickled ones do; under another digest
        it would be news to every step that takes it.
        """
        place, source = Reader(self.stack, self.metadata).files(recalled)
        manifest = attrs.evolve(
            source.manifest,
            type=route.type,
            files=(),
            filters=(),
            producer=producer,
            key=key,
            generation="",
            created_at=datetime.now(UTC),
        )
        return StoreRequest(
            path=self._path(route, manifest, producer),
            manifest=manifest,
            write=partial(copy_files, source.manifest, source.open),
            overwrite=bool(route.rule.overwrite),
            find_copy=partial(self._copy_of, route.store),
            copy_of=StoredArtifact(place.uri, place.store, source.manifest),
        )

    def _copy_of(self, store: str, digest: str) -> str | None:
        """Find where a store has the same content from an earlier run, so that it is not sent."""
        return self.metadata.address_of(digest, below=self.stack.store_uri(store))

    def _path(self, route: TypeRoute, manifest: Manifest, producer: Producer) -> str:
        """Put the values into the template; without a version of its own it is the run's."""
        values: dict[str, Any] = {
            **self._places,
            "step_name": producer.step,
            "output_name": producer.output,
            "artifact_name": route.type.lower(),
            "name": manifest.name,
            "version": manifest.version or producer.run_id,
        }
        return route.path.render(values)


def _keeps_format(leaf: Leaf, route: TypeRoute, recalled: ArtifactRecord) -> bool:
    """Whether no rule asks for another format by now than an artifact was stored in."""
    wanted = route.rule.format
    if wanted is None or leaf.shape is not None:
        return True
    data = leaf.value.data if isinstance(leaf.value, Artifact) else leaf.value
    return bool(by_format(type(data), wanted).name == recalled.manifest["serializer"])


@define
class StoreCall:
    """Stores one parcel; the value is prepared once, its files are written at every attempt.

    Preparing may read what can be read only once, so later attempts, too, are made by this call.
    """

    storing: Storing
    parcel: Parcel
    parents: tuple[int, ...]
    request: StoreRequest | None = None

    def __call__(self, context: DeliveryContext) -> Outcome:
        """Make one attempt.

        Raises:
            DeliveryError: The value is not there any more.
        """
        parcel = self.parcel
        if parcel.leaf is None or parcel.route is None:
            message = f"the value of {parcel.producer.output!r} is gone; run its step again"
            raise DeliveryError(message)
        if self.request is None:
            self.request = self.storing.request(
                parcel.leaf, parcel.route, parcel.producer, context.key
            )
        if any(delivery.status == DeliveryStatus.DONE for delivery in parcel.later()):
            # Somebody was told of what an earlier attempt at the step stored. Under another key
            # the store takes the same content again, and refuses to replace it by any other.
            context = attrs.evolve(context, key=f"{context.key}-again")
        stored = self.storing.stack.hooks.store_artifact(parcel.route.store, self.request, context)
        parcel.stored = stored
        manifest = stored.manifest
        result = {"digest": manifest.digest, "size": manifest.size, "store": stored.store}
        points = written_points(parcel.leaf.value)
        return Outcome(DeliveryStatus.DONE, stored.uri, result, payload=points)


def artifact_record(stored: StoredArtifact, producer: Producer) -> ArtifactRecord:
    """Return what the metadata store keeps of a stored artifact."""
    manifest = stored.manifest
    content = manifest_to_json(manifest)
    return ArtifactRecord(
        run_id=producer.run_id,
        pipeline=producer.pipeline,
        step=producer.step,
        output=producer.output,
        type=manifest.type,
        name=manifest.name,
        version=manifest.version,
        store=stored.store,
        uri=stored.uri,
        digest=content["digest"],  # computed once, for this is the hot path
        size=manifest.size,
        manifest=content,
        created_at=manifest.created_at,
    )
