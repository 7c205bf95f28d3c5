"""From a leaf to the request that stores it, and to the record of what was stored."""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import field, frozen

from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import Manifest, Producer, RunInfo, StoredArtifact
from flowyml.routing.containers import Leaf
from flowyml.routing.router import TypeRoute
from flowyml.serialization import pack
from flowyml.stacks.stack import Stack
from flowyml.storage.files import StoreRequest
from flowyml.storage.manifests import manifest_to_json

__all__ = ["Storing", "artifact_record"]


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
