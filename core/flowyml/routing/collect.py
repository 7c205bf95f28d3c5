"""Reading an output back: the value, or the container with all its elements, as it was."""

from __future__ import annotations

from functools import partial

from flowyml.errors import IntegrityError, NotFoundError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.routing.containers import Shape, join
from flowyml.routing.trust import is_trusted
from flowyml.serialization import unpack
from flowyml.stacks.stack import Stack

__all__ = ["is_container", "output_artifacts", "read_artifact", "read_output"]

SHAPE = f"{Shape.__module__}:{Shape.__qualname__}"


def read_output(
    run_id: str, step: str, output: str, stack: Stack, metadata: MetadataStore
) -> object:
    """Return an output of a finished step, equal to what the step returned.

    Args:
        run_id: Id of the run.
        step: Name of the step.
        output: Name of the output, or of an element of it (``models.0``).
        stack: Where its stores are.
        metadata: Knows where it lies.

    Raises:
        NotFoundError: It was not stored, or is gone.
        IntegrityError: What lies there is not what was stored.
        TrustError: Reading it could run code, and nobody vouches for it.
    """
    records = {record.output: record for record in metadata.artifacts(run_id=run_id, step=step)}
    return _read(records, output, f"{run_id}/{step}", stack, metadata)


def read_artifact(record: ArtifactRecord, stack: Stack, metadata: MetadataStore) -> object:
    """Return what a stored artifact was; a container comes with its elements.

    Raises:
        NotFoundError: It is gone.
        IntegrityError: What lies there is not what was stored.
        TrustError: Reading it could run code, and nobody vouches for it.
    """
    if not is_container(record):
        return _load(record, stack, metadata)
    return read_output(record.run_id, record.step, record.output, stack, metadata)


def output_artifacts(
    run_id: str, step: str, output: str, metadata: MetadataStore
) -> tuple[ArtifactRecord, ...]:
    """Return all that is stored of an output: the container first, then its elements by name."""
    found = metadata.artifacts(run_id=run_id, step=step)
    belonging = [
        record
        for record in found
        if record.output == output or record.output.startswith(f"{output}.")
    ]
    return tuple(sorted(belonging, key=lambda record: record.artifact_id))


def is_container(record: ArtifactRecord) -> bool:
    """Whether an artifact is a container, whose elements are artifacts of their own."""
    return bool(record.manifest.get("python_type") == SHAPE)


def _read(
    records: dict[str, ArtifactRecord],
    output: str,
    place: str,
    stack: Stack,
    metadata: MetadataStore,
) -> object:
    record = records.get(output)
    if record is None:
        known = ", ".join(sorted(records)) or "nothing"
        message = (
            f"no output {output!r} of {place} is stored (there is: {known}); "
            "resume the run to make what is missing"
        )
        raise NotFoundError(message)
    value = _load(record, stack, metadata)
    if not isinstance(value, Shape):
        return value
    load = partial(_read, records, place=place, stack=stack, metadata=metadata)
    trusted = is_trusted(record.digest, stack, metadata)
    return join(value, lambda child: load(output=child), trusted=trusted)


def _load(record: ArtifactRecord, stack: Stack, metadata: MetadataStore) -> object:
    store = stack.store_of_uri(record.uri) or record.store
    source = stack.hooks.load_artifact(store, record.uri)
    if source.manifest.digest != record.digest:
        message = (
            f"{record.run_id}/{record.output} was stored as {record.digest}, but "
            f"{source.manifest.digest} lies at {record.uri} now; restore it, or run the step again"
        )
        raise IntegrityError(message)
    return unpack(source, trusted=is_trusted(record.digest, stack, metadata))
