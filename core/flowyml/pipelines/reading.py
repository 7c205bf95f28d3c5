"""Reading back what runs stored: ``flowyml.load`` and `Run`."""

from __future__ import annotations

from typing import Any, Final

from flowyml.errors import ConfigurationError, NotFoundError
from flowyml.metadata.references import RUN, parted
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.result import RunResult, read_result
from flowyml.pipelines.stored import Outputs
from flowyml.routing.deployments import named_model
from flowyml.routing.reader import Reader
from flowyml.stacks.active import current_project, current_stack
from flowyml.stacks.stack import Stack

__all__ = ["Run", "load"]

MODEL: Final = "model:"


def Run(reference: str) -> RunResult:  # noqa: N802  # reads as what it gives: Run("...").outputs
    """Return an earlier run, with what it stored.

    Args:
        reference: Its id, or a beginning of it that no other run has.

    Raises:
        NotFoundError: There is no such run.
    """
    project = current_project()
    project.require_history()
    with MetadataStore.read(project.metadata_path) as metadata:
        record = metadata.run(reference)
        return read_result(metadata, record.run_id, project, _stack_of(record.stack))


def load(reference: str | int) -> Any:
    """Return a stored value, verified.

    Args:
        reference: ``run:RUN_ID/output``, ``step.output`` of the newest run that has it,
            ``model:NAME@VERSION`` (the newest without a version), the URI of an artifact, or
            whatever names an artifact on the command line, its number for example.

    Raises:
        NotFoundError: There is no such value.
        IntegrityError: What lies in the store is not what was stored.
        TrustError: Reading it could run code, and nobody vouches for it.
    """
    project, reference = current_project(), str(reference)
    if reference.startswith(RUN):
        run, output = parted(reference)
        outputs = Run(run).outputs
        if output in outputs:  # also a point of a curve, which is no artifact of its own
            return outputs[output]
    if "://" not in reference and not reference.startswith(MODEL):  # else others may have made it
        project.require_history()
    with MetadataStore.read(project.metadata_path) as metadata:
        if reference.startswith(MODEL):
            found = named_model(current_stack(), reference.removeprefix(MODEL))
            return Reader(current_stack(), metadata).at(found.uri, found.digest)
        if "://" in reference and (kept := current_stack().store_of_uri(reference)):
            recorded = _digest_at(reference.rstrip("/"), metadata)
            return Reader(current_stack(), metadata).at(reference, recorded, kept)
        record = metadata.find_artifact(reference)
        stack = _stack_of(metadata.run(record.run_id).stack)
        stored = metadata.artifacts(run_id=record.run_id)
        outputs = Outputs.of(record.run_id, stored, project, lambda: stack)
    return outputs[record.output]


def _digest_at(uri: str, metadata: MetadataStore) -> str | None:
    """Return the digest that this project stored at a URI; None where it stored nothing there."""
    try:
        return metadata.find_artifact(uri).digest
    except NotFoundError:
        return None


def _stack_of(name: str) -> Stack:
    """Return the stack of a run; where the file has it no more, the active one must do."""
    try:
        return current_stack(name)
    except ConfigurationError:
        return current_stack()
