"""Deleting what nothing needs any more, to make room in the stores of a stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from attrs import field, frozen

from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import RunStatus
from flowyml.routing.retention import Retention, collectable
from flowyml.stacks.stack import Stack

__all__ = ["Collector"]


def _now() -> datetime:
    return datetime.now(UTC)


@frozen(eq=False)
class Collector:
    """Finds and deletes what may go.

    Attributes:
        stack: Its stores are cleared; its registries and deployers say what they need.
        metadata: Knows every artifact, and what the ledgers of all stacks need.
        retention: What is kept although nothing needs it.
        clock: Tells the time.
    """

    stack: Stack
    metadata: MetadataStore
    retention: Retention = field(factory=Retention)
    clock: Callable[[], datetime] = _now

    def find(self) -> list[ArtifactRecord]:
        """Return the artifacts that may go, the oldest first; nothing is deleted.

        What lies in a store of another stack is not among them.

        Raises:
            DeliveryError: A registry or a deployer does not answer. Nothing is collected without
                knowing what they need.
        """
        artifacts = self.metadata.artifacts()
        protected = self._protected(artifacts)
        uris = collectable(
            artifacts, self._parents(protected), protected, self.retention, self.clock()
        )
        newest = {artifact.uri: artifact for artifact in reversed(artifacts)}
        return [newest[uri] for uri in uris if self.stack.store_of_uri(uri) is not None]

    def collect(self) -> Iterator[ArtifactRecord]:
        """Delete what may go, and yield each artifact that is gone.

        Killed in between, it goes on where it was: what is deleted already is only recorded.
        """
        for artifact in self.find():
            store = self.stack.store_of_uri(artifact.uri)
            if store is not None:
                self.stack.hooks.delete_artifact(store, artifact.uri)
                self.metadata.collect_artifact(artifact.uri)
                yield artifact

    def _protected(self, artifacts: Iterable[ArtifactRecord]) -> frozenset[int]:
        running = {run.run_id for run in self.metadata.runs(status=RunStatus.RUNNING)}
        addresses = frozenset(self._served())
        return frozenset(self.metadata.claimed_artifacts()) | {
            artifact.artifact_id
            for artifact in artifacts
            if artifact.run_id in running
            or artifact.uri in addresses
            or artifact.digest in addresses
        }

    def _served(self) -> Iterator[str]:
        """Yield URIs and digests that a registry or a deployer of the stack knows."""
        hooks = self.stack.hooks
        for registry in self.stack.of_role("model_registry"):
            for version in hooks.list_models(registry, None):
                yield version.uri
                yield version.digest
        for deployer in self.stack.of_role("model_deployer"):
            for deployment in hooks.list_deployments(deployer):
                yield deployment.digest

    def _parents(self, ids: Iterable[int]) -> Mapping[int, Collection[int]]:
        parents: defaultdict[int, set[int]] = defaultdict(set)
        for artifact_id in ids:
            for edge in self.metadata.lineage(artifact_id):
                parents[edge.child].add(edge.parent)
        return parents
