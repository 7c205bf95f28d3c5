"""Reading what runs stored: whole outputs, put together from the artifacts that they became."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from flowyml.errors import IntegrityError, NotFoundError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.routing.containers import Shape, join
from flowyml.routing.trust import is_trusted
from flowyml.serialization.unpacking import unpack
from flowyml.stacks.project import Project
from flowyml.stacks.stack import Stack

__all__ = ["Outputs", "Reader"]


@frozen(eq=False)
class Reader:
    """Reads stored artifacts, verified.

    Attributes:
        stack: The stack whose stores keep them.
        metadata: Tells which digests this project stored itself.
    """

    stack: Stack
    metadata: MetadataStore

    def artifact(self, record: ArtifactRecord) -> object:
        """Return the value of one artifact.

        Raises:
            IntegrityError: What lies there is not what the run stored.
        """
        component = record.store if record.store in self.stack.components else None
        return self.at(record.uri, record.digest, component)

    def at(self, uri: str, digest: str | None = None, component: str | None = None) -> object:
        """Return the value that lies at a URI.

        Args:
            uri: The URI.
            digest: The digest that it must have, where that is known.
            component: Name of the store; found by the URI where it is not given.

        Raises:
            NotFoundError: No store of the stack keeps what lies there.
            IntegrityError: It has another digest.
        """
        store = component or self.stack.store_of_uri(uri)
        if store is None:
            message = f"no store of {self.stack.name!r} keeps {uri}; choose the stack that does"
            raise NotFoundError(message)
        source = self.stack.hooks.load_artifact(store, uri)
        found = source.manifest.digest
        if digest is not None and found != digest:
            message = (
                f"{uri} was stored as {digest} but is {found} now; somebody replaced it, so run "
                "the step that made it again"
            )
            raise IntegrityError(message)
        return unpack(source, trusted=is_trusted(found, self.stack, self.metadata))

    def output(self, name: str, artifacts: Mapping[str, ArtifactRecord]) -> object:
        """Return the value of an output, a container with all its elements.

        Args:
            name: Name of the output.
            artifacts: The artifacts of its run, by output.
        """
        if name not in artifacts:
            message = f"the output {name!r} was not stored; resume its run to make it again"
            raise NotFoundError(message)
        value = self.artifact(artifacts[name])
        if not isinstance(value, Shape):
            return value
        trusted = is_trusted(artifacts[name].digest, self.stack, self.metadata)
        return join(value, lambda element: self.output(element, artifacts), trusted=trusted)


@frozen(eq=False, repr=False)
class Outputs(Mapping[str, Any]):
    """The outputs of a run; each is loaded when it is asked for, every time anew.

    Attributes:
        run_id: Id of the run.
        artifacts: What its steps stored, by output.
    """

    run_id: str
    artifacts: Mapping[str, ArtifactRecord]
    _project: Project
    _stack: Callable[[], Stack]

    @classmethod
    def of(
        cls,
        run_id: str,
        artifacts: Sequence[ArtifactRecord],
        project: Project,
        stack: Callable[[], Stack],
    ) -> Outputs:
        """Return the outputs among the artifacts of a run."""
        return cls(run_id, {record.output: record for record in artifacts}, project, stack)

    def __getitem__(self, name: str) -> Any:
        """Load an output, or one element of it (``models.0``).

        Raises:
            NotFoundError: The run stored no such output.
        """
        if name not in self.artifacts:
            listed = ", ".join(self) or "none"
            message = f"the run {self.run_id!r} stored no output {name!r} (it has: {listed})"
            raise NotFoundError(message)
        with MetadataStore.open(self._project.metadata_path) as metadata:
            return Reader(self._stack(), metadata).output(name, self.artifacts)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.artifacts if "." not in name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.artifacts

    def __repr__(self) -> str:
        """Name the outputs without loading them."""
        return f"<outputs of {self.run_id}: {', '.join(self)}>"
