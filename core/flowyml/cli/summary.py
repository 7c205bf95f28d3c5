"""What a run came to: where each output went, what serves or waits, and what to do next."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from flowyml.cli.columns import human_duration
from flowyml.cli.screen import complain, facts, line
from flowyml.records import DeliveryStatus, RunStatus, output_place

if TYPE_CHECKING:
    from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord
    from flowyml.pipelines.result import RunResult

__all__ = ["EXIT_CODES", "summarize"]

EXIT_CODES: Final = {
    RunStatus.DONE: 0,
    RunStatus.FAILED: 1,
    RunStatus.INCOMPLETE: 3,
    RunStatus.INTERRUPTED: 130,
    RunStatus.RUNNING: 1,
}


def summarize(result: RunResult, seconds: float | None) -> None:
    """Print the end of a run.

    Args:
        result: The run.
        seconds: How long it took; None where there was nothing to do.
    """
    artifacts = {(item.step, item.output): item for item in result.artifacts}
    deliveries: defaultdict[tuple[str, str], list[DeliveryRecord]] = defaultdict(list)
    for delivery in result.deliveries:
        deliveries[delivery.step, delivery.output].append(delivery)
    for place in dict.fromkeys([*artifacts, *deliveries]):
        told = tuple(_told(deliveries[place]))
        if told or place in artifacts:  # what the stack has no component for is in the plan
            _tell_output(place, artifacts.get(place), told)
    line()
    if result.error is not None:
        complain(f"Error: {result.error}")
    took = "" if seconds is None else f" in {human_duration(seconds)}"
    line(f"run {result.run_id}: {result.status}{took}", strong=True)
    if advice := _advice(result):
        line(advice)


def _tell_output(
    place: tuple[str, str], artifact: ArtifactRecord | None, told: Iterable[tuple[str, str]]
) -> None:
    step, output = place
    line()
    line(f"{output_place(step, output)}  {_described(artifact)}".rstrip(), strong=True)
    facts((f"  {word:10}", said) for word, said in told)


def _described(artifact: ArtifactRecord | None) -> str:
    if artifact is None:
        return ""
    version = f"@{artifact.version}" if artifact.version else ""
    own_name = artifact.name if artifact.name != artifact.output or version else ""
    return f"{artifact.type} {own_name}{version}"


def _told(deliveries: Iterable[DeliveryRecord]) -> Iterator[tuple[str, str]]:
    for delivery in deliveries:
        word = delivery.deed
        if delivery.waits_for:
            yield "waiting", next_command(delivery) or delivery.reason or delivery.waits_for
        elif delivery.status is DeliveryStatus.DONE:
            yield word, _received(delivery)
        elif delivery.status is DeliveryStatus.SKIPPED:
            # What a component would have got and a gate kept back; what no rule asks for, and what
            # the stack has no component for, is in the plan.
            if delivery.component_type:
                yield f"not {word}", delivery.reason or "skipped"
        else:
            why = delivery.error or delivery.reason or "not tried yet"
            if delivery.hook == "store_artifact":  # nobody can pay that: its step runs again
                yield f"not {word}", why
                continue
            yield "owed", f"{delivery.hook} ({delivery.component}): {why}"


def _received(delivery: DeliveryRecord) -> str:
    if delivery.hook == "store_artifact":
        return delivery.reference or delivery.component
    return f"{delivery.reference or 'yes'} ({delivery.component})"


def next_command(delivery: DeliveryRecord) -> str | None:
    """Return the command that goes on with a delivery that waits for a person."""
    payload = delivery.payload or {}
    name, version = payload.get("model"), payload.get("version")
    verb = {"manual": "deploy", "approval": "approve"}.get(delivery.waits_for or "")
    if not (name and version and verb):
        return None
    return f"flowyml model {verb} {shlex.quote(str(name))} --version {shlex.quote(str(version))}"


def _advice(result: RunResult) -> str | None:
    owed = sum(delivery.is_debt for delivery in result.deliveries)
    resume = f"`flowyml resume {result.run_id}`"
    if result.status is RunStatus.INCOMPLETE and not owed:
        return f"{resume} runs the steps that were skipped: what they take is stored by now"
    if result.status is RunStatus.INCOMPLETE:
        said = "1 delivery is" if owed == 1 else f"{owed} deliveries are"
        return f"{said} owed; {resume} tries again, when what it says above is put right"
    if result.status in {RunStatus.FAILED, RunStatus.INTERRUPTED}:
        return f"{resume} goes on with it; what was stored is not made again"
    return None
