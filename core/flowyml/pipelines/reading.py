"""Reading back what runs stored: ``flowyml.load`` and `Run`."""

from __future__ import annotations

from typing import Any, Final

from flowyml.errors import ConfigurationError, NotFoundError
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.result import RunResult, read_result
from flowyml.pipelines.stored import Outputs
from flowyml.routing.collect import Reader
from flowyml.stacks.active import current_project, current_stack
from flowyml.stacks.stack import Stack

__all__ = ["Run", "load"]

RUN: Final = "run:"
MODEL: Final = "model:"


def Run(reference: str) -> RunResult:  # noqa: N802  # reads as what it gives: Run("...").outputs
    """Return an earlier run, with what it stored.

    Args:
        reference: Its id, or a beginning of it that no other run has.

    Raises:
        NotFoundError: There is no such run.
    """
    project = current_project()
    with MetadataStore.open(project.metadata_path) as metadata:
        record = metadata.run(reference)
        return read_result(metadata, record.run_id, project, _stack_of(record.stack))


def load(reference: str) -> Any:
    """Return a stored value, verified.

    Args:
        reference: ``run:RUN_ID/output``, ``model:NAME@VERSION`` (the newest without a version), the
            URI of an artifact, or whatever names an artifact on the command line.

    Raises:
        NotFoundError: There is no such value.
        IntegrityError: What lies in the store is not what was stored.
        TrustError: Reading it could run code, and nobody vouches for it.
    """
    project = current_project()
    if reference.startswith(RUN):
        run, _, output = reference.removeprefix(RUN).partition("/")
        return Run(run).outputs[output]
    with MetadataStore.open(project.metadata_path) as metadata:
        if reference.startswith(MODEL):
            return _model(reference.removeprefix(MODEL), Reader(current_stack(), metadata))
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


def _model(reference: str, reader: Reader) -> object:
    name, _, version = reference.partition("@")
    registries = reader.stack.of_role("model_registry")
    if not registries:
        message = (
            f"the stack {reader.stack.name!r} has no model_registry, so no model {name!r} is "
            "registered there; load it by run:RUN_ID/output or by its URI"
        )
        raise NotFoundError(message)
    found = reader.stack.hooks.get_model(registries[0], name, version or None)
    if found is None:
        message = (
            f"there is no model {reference!r} in {registries[0]} of the stack "
            f"{reader.stack.name!r}; `flowyml model list` shows those that are"
        )
        raise NotFoundError(message)
    return reader.at(found.uri, found.digest)
