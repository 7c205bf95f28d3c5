"""The step cache: an earlier result stands for a step whose code and arguments are the same.

A result depends on the step's code, its inputs as they were stored, its context values and the
names of its outputs. What a step delivers besides what it returns would be missing from a result
that is used again, so such a step always runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from attrs import field, frozen

from flowyml.errors import FlowyMLError, SerializationError
from flowyml.metadata.rows import ArtifactRecord, ResultRecord
from flowyml.pipelines.definitions import UnknownSourceError
from flowyml.pipelines.failures import trimmed
from flowyml.pipelines.graph import Node
from flowyml.pipelines.sources import code_digest
from flowyml.pipelines.workplace import Supplies, Workplace
from flowyml.routing.reader import Reader
from flowyml.serialization import encode
from flowyml.serialization.catalog import for_reading
from flowyml.stacks.secrecy import redact

__all__ = ["Recalled", "recall", "remember", "wants_cache"]


@frozen
class Recalled:
    """What the cache knows of a step.

    Attributes:
        note: Why an earlier result is used, or why not.
        key: What its result will be kept under; None where it cannot be.
        parts: What the result depends on, by what people call it.
        values: The outputs of the earlier result, where it is used.
        artifacts: What they were stored as, by output.
        run_id: The run that it is from.
    """

    note: str
    key: str | None = None
    parts: Mapping[str, str] | None = None
    values: tuple[object, ...] | None = None
    artifacts: Mapping[str, ArtifactRecord] = field(factory=dict)
    run_id: str | None = None


def wants_cache(node: Node, workplace: Workplace) -> bool:
    """Whether a step, or else its stack, asks for the cache."""
    asked = node.step.cache
    return workplace.stack.cache if asked is None else asked


def recall(node: Node, supplies: Supplies, workplace: Workplace) -> Recalled:
    """Find an earlier result of a step with these arguments."""
    if node.step.is_generator:
        return Recalled("not cached: what it yields is delivered while it runs")
    try:
        parts = _parts(node, supplies, workplace)
    except UnknownSourceError as error:
        return Recalled(f"not cached: {error}")
    except Exception as error:  # noqa: BLE001  # the user's objects may raise anything
        raised = redact(trimmed(error), workplace.courier.secrets)
        return Recalled(f"not cached: what it depends on cannot be compared: {raised}")
    key = _digest([node.name, node.step.output_names, parts])
    found = workplace.metadata.result(key)
    if found is None:
        return Recalled(_why(node, parts, workplace), key, parts)
    try:
        artifacts = _artifacts(node, found, workplace)
        reader = Reader(workplace.stack, workplace.metadata)
        values = tuple(reader.output(name, artifacts) for name in node.step.output_names)
    except FlowyMLError as error:
        note = f"not cached: the result of run {found.run_id} cannot be read: {error}"
        return Recalled(note, key, parts)
    note = f"cached: code, inputs and context values are those of run {found.run_id}"
    return Recalled(note, key, parts, values, artifacts, found.run_id)


def remember(node: Node, recalled: Recalled, workplace: Workplace, *, delivered: bool) -> str:
    """Keep the result of a step that has run; return what is to be noted.

    Args:
        node: The step.
        recalled: What was known before it ran.
        workplace: Where it ran.
        delivered: Whether it delivered anything while it ran.
    """
    if delivered:
        return "not cached: it delivers while it runs"
    if recalled.key is not None:
        workplace.metadata.add_result(
            ResultRecord(
                key=recalled.key,
                pipeline=workplace.run.pipeline,
                step=node.name,
                run_id=workplace.run.run_id,
                parts=dict(recalled.parts or {}),
                created_at=datetime.now(UTC),
            )
        )
    return recalled.note


def _parts(node: Node, supplies: Supplies, workplace: Workplace) -> dict[str, str]:
    given = (*supplies.arguments.positional, *supplies.arguments.named.values())
    parts = {"its code": code_digest(node.step, given)}
    for taken in node.inputs:
        if taken.kind == "output":
            made, name = supplies.made[taken.name], f"the input {taken.parameter!r}"
            if not made.is_stored:
                message = f"{name} is not stored, or not all of it"
                raise UnknownSourceError(message)
            parts[name] = _digest([_facts(record) for record in made.records])
    for name in node.context_names:
        parts[f"the context value {name!r}"] = _value_digest(name, workplace.context[name])
    return parts


def _facts(record: ArtifactRecord) -> list[object]:
    """Return all of a stored artifact that its reader could make use of."""
    kept = record.manifest
    return [
        record.digest,
        record.name,
        record.version,
        kept.get("properties"),
        kept.get("metadata"),
    ]


def _value_digest(name: str, value: object) -> str:
    try:
        return _digest(encode(value))
    except SerializationError as cause:
        message = (
            f"the context value {name!r} is a {type(value).__name__} whose content is not known"
        )
        raise UnknownSourceError(message) from cause


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _why(node: Node, parts: Mapping[str, str], workplace: Workplace) -> str:
    """Say what is new since the last result of a step."""
    last = workplace.metadata.newest_result(workplace.run.pipeline, node.name)
    if last is None:
        return "not cached: there is no earlier result"
    names = dict.fromkeys([*parts, *last.parts])
    changed = [name for name in names if parts.get(name) != last.parts.get(name)]
    what = ", ".join(changed) or "the names of its outputs"
    return f"not cached: changed since run {last.run_id}: {what}"


def _artifacts(
    node: Node, found: ResultRecord, workplace: Workplace
) -> Mapping[str, ArtifactRecord]:
    """Return what the outputs of an earlier result were stored as.

    Raises:
        SerializationError: They have a format that is written differently now.
    """
    artifacts = {
        record.output: record
        for record in workplace.metadata.artifacts(run_id=found.run_id, step=node.name)
    }
    for record in artifacts.values():
        _check_format(record)
    return artifacts


def _check_format(record: ArtifactRecord) -> None:
    kept = record.manifest
    serializer = for_reading(kept["serializer"], kept["python_type"])
    if serializer.version != kept["serializer_version"]:
        message = f"{record.output!r} was stored as an older version of {serializer.name}"
        raise SerializationError(message)
