"""Deleting what nothing needs any more, to make room in the stores of a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import field, frozen

from flowyml.metadata.retention import Retention
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.stacks.stack import Stack

__all__ = ["Collector"]


@frozen(eq=False)
class Collector:
    """Finds and deletes what may go.

    Attributes:
        stack: Its stores are cleared; its registries and deployers say what they need.
        metadata: Knows every artifact, and what the ledgers of all stacks need.
        retention: What is kept although nothing needs it.
    """

    stack: Stack
    metadata: MetadataStore
    retention: Retention = field(factory=Retention)

    def find(self) -> Sequence[int]:
        """Return the ids of the artifacts that may go, the oldest first; nothing is deleted.

        What lies in a store of another stack is not among them.

        Raises:
            DeliveryError: A registry or a deployer does not answer. Nothing is collected without
                knowing what they need.
        """
        roots = [self.stack.store_uri(store) for store in self.stack.stores]
        return self.metadata.collectable(self.retention, roots=roots, in_use=set(self._served()))

    def collect(self) -> Iterator[ArtifactRecord]:
        """Delete what may go, and yield each artifact that is gone.

        Killed in between, it goes on where it was: what is deleted already is only recorded.
        """
        for artifact in self.metadata.artifacts_of(self.find()):
            store = self.stack.store_of_uri(artifact.uri)
            if store is not None:
                with self.stack.hooks.in_words(f"delete {artifact.uri}", store):
                    self.stack.hooks.delete_artifact(store, artifact.uri)
                self.metadata.collect_artifact(artifact.uri)
                yield artifact

    def _served(self) -> Iterator[str]:
        """Yield URIs and digests that a registry or a deployer of the stack knows."""
        hooks = self.stack.hooks
        for registry in self.stack.of_role("model_registry"):
            with hooks.in_words("list its models, so nothing was deleted", registry):
                for version in hooks.list_models(registry, None):
                    yield version.uri
                    yield version.digest
        for deployer in self.stack.of_role("model_deployer"):
            with hooks.in_words("list what it serves, so nothing was deleted", deployer):
                for deployment in hooks.list_deployments(deployer):
                    yield deployment.digest
