"""Reading back what runs stored: the value, or the container with all its elements, as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import cast

from attrs import frozen

from flowyml.artifacts import Curve
from flowyml.errors import IntegrityError, NotFoundError, SerializationError, TrustError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.routing.containers import Shape, join
from flowyml.routing.curves import holders_of, point_of
from flowyml.routing.trust import is_trusted
from flowyml.routing.whereabouts import Place, find_place
from flowyml.serialization.unpacking import unpack
from flowyml.stacks.stack import Stack
from flowyml.storage.files import FileSource

__all__ = ["Reader", "changed", "output_artifacts"]

SHAPE = f"{Shape.__module__}:{Shape.__qualname__}"


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
        """Return the value of one artifact; of a container its shape.

        Raises:
            NotFoundError: It is gone.
            IntegrityError: What lies there is not what was stored.
            TrustError: Reading it could run code, and nobody vouches for it.
        """
        return self.at(record.uri, record.digest, self._store_of(record))

    def files(self, record: ArtifactRecord) -> tuple[Place, FileSource]:
        """Return where an artifact lies by now, and its files, verified when they are opened.

        Raises:
            NotFoundError: It is gone.
            IntegrityError: What lies there is not what was stored.
        """
        return self._opened(record.uri, record.digest, self._store_of(record))

    def _store_of(self, record: ArtifactRecord) -> str | None:
        return record.store if record.store in self.stack.components else None

    def whole(self, record: ArtifactRecord) -> object:
        """Return the value of one artifact; a container comes with its elements.

        Raises:
            NotFoundError: It, or an element of it, is gone.
            IntegrityError: What lies there is not what was stored.
            TrustError: Reading it could run code, and nobody vouches for it.
        """
        if record.manifest.get("python_type") != SHAPE:
            return self.artifact(record)
        place = (record.run_id, record.step, record.output)
        return self.output(record.output, output_artifacts(*place, self.metadata))

    def at(self, uri: str, digest: str | None = None, component: str | None = None) -> object:
        """Return the value that lies at a URI.

        Args:
            uri: The URI.
            digest: The digest that it must have, where that is known.
            component: Name of the store that is asked where no store of the stack has the URI. The
                URI tells more: the file may give the name to another store by now.

        Raises:
            NotFoundError: No store of the stack keeps what lies there.
            IntegrityError: It has another digest.
            TrustError: Reading it could run code, and nobody vouches for it.
            SerializationError: It cannot be read; the message has the URI.
        """
        _, source = self._opened(uri, digest, component)
        try:
            return unpack(
                source, trusted=is_trusted(source.manifest.digest, self.stack, self.metadata)
            )
        except (SerializationError, TrustError) as cause:
            message = f"{uri} cannot be read: {cause}"
            raise type(cause)(message) from cause

    def _opened(
        self, uri: str, digest: str | None, component: str | None
    ) -> tuple[Place, FileSource]:
        place = find_place(self.stack, uri, digest, self.metadata)
        if place is None and component is not None:
            place = Place(component, uri)
        if place is None:
            message = f"no store of {self.stack.name!r} keeps {uri}; choose the stack that does"
            raise NotFoundError(message)
        source = self.stack.hooks.load_artifact(place.store, place.uri)
        found = source.manifest.digest
        if digest is not None and found != digest:
            raise IntegrityError(changed(uri, digest, found, self.metadata))
        return place, source

    def output(self, name: str, artifacts: Mapping[str, ArtifactRecord]) -> object:
        """Return the value of an output, equal to what the step returned.

        Args:
            name: Name of the output, of an element of it (``models.0``), or of what a generator
                yielded (``train.yielded-7``), also where that is a point of a curve.
            artifacts: The artifacts of its step, or its run, by output.

        Raises:
            NotFoundError: It was not stored, or is gone.
            IntegrityError: What lies there is not what was stored.
            TrustError: Reading it could run code, and nobody vouches for it.
        """
        holders = holders_of(name, artifacts)
        if not holders:
            known = ", ".join(sorted(artifacts)) or "nothing"
            message = (
                f"the output {name!r} was not stored (there is: {known}); resume its run to make "
                "what is missing"
            )
            raise NotFoundError(message)
        value = self.artifact(artifacts[holders[0]])
        if isinstance(value, Curve):
            others = (self.artifact(artifacts[holder]) for holder in holders[1:])
            return point_of(chain([value], cast("Iterator[Curve]", others)), name)
        if not isinstance(value, Shape):
            return value
        trusted = is_trusted(artifacts[name].digest, self.stack, self.metadata)
        return join(value, lambda element: self.output(element, artifacts), trusted=trusted)


def changed(uri: str, recorded: str, found: str, metadata: MetadataStore) -> str:
    """Say that something else lies at a URI than was stored there, and who replaced it.

    Args:
        uri: The URI.
        recorded: Digest of what was stored.
        found: Digest of what lies there now.
        metadata: Tells whether a later run of this project stored that.
    """
    later = metadata.replacement(uri, recorded=recorded, found=found)
    if later is None:
        return (
            f"{uri} was stored as {recorded} but is {found} now; somebody replaced it, so restore "
            "it, or run the pipeline that made it again"
        )
    return (
        f"{uri} was stored as {recorded} but is {found} now; {later.run_id}/{later.output} "
        "replaced it, as its rule's `overwrite` permits, so take that one, or run the pipeline "
        "that made it again"
    )


def output_artifacts(
    run_id: str, step: str, output: str, metadata: MetadataStore
) -> dict[str, ArtifactRecord]:
    """Return all that is stored of an output by name: the container first, then its elements."""
    found = metadata.artifacts(run_id=run_id, step=step)
    belonging = (
        record
        for record in sorted(found, key=lambda record: record.artifact_id)
        if record.output == output or record.output.startswith(f"{output}.")
    )
    return {record.output: record for record in belonging}
