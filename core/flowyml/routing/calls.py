"""What each hook is given, and what is kept of its answer.

The hooks of the built-in roles have an entry each; a hook of a third party's role is called as
`DeliveryHook` says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import singledispatch
from typing import Any, Final, TypeVar

from attrs import frozen

from flowyml.artifacts import Curve, Metrics, Parameters
from flowyml.errors import DeliveryError, IntegrityError
from flowyml.metadata.columns import from_micros
from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import (
    DeliveryContext,
    DeliveryStatus,
    LoggedRun,
    Producer,
    Registration,
    RunStatus,
    StoredArtifact,
)
from flowyml.routing.containers import child_name
from flowyml.routing.ledger import Outcome, delivery_key, history_entry
from flowyml.routing.parcels import Parcel
from flowyml.serialization import decode, encode
from flowyml.stacks.stack import Stack

__all__ = ["call_hook", "kept_values"]

Named = TypeVar("Named", Metrics, Parameters)


@frozen
class _Call:
    """One attempt at one delivery."""

    stack: Stack
    parcel: Parcel
    delivery: DeliveryRecord
    context: DeliveryContext
    actor: str


def call_hook(
    stack: Stack, parcel: Parcel, delivery: DeliveryRecord, context: DeliveryContext, actor: str
) -> Outcome:
    """Call the hook of a delivery once; storing and deploying have ways of their own.

    Args:
        stack: Where the components are.
        parcel: What is delivered.
        delivery: Which delivery it is.
        context: What the component is told besides.
        actor: Who is named in the model's history.

    Raises:
        Exception: What the component raised.
    """
    call = _Call(stack, parcel, delivery, context, actor)
    return _CALLS.get(delivery.hook, _third_party)(call)


@singledispatch
def kept_values(value: object) -> dict[str, Any] | None:
    """Return a value as the ledger keeps what is not stored; None for what it has no form for."""
    del value
    return None


@kept_values.register
def _(value: Curve) -> dict[str, Any]:
    return {"kept": {"curve": encode(value.data)}}


@kept_values.register(Mapping)
def _(value: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        "values": encode(dict(value)),
        "step": getattr(value, "step", None),
        "metadata": encode(dict(getattr(value, "metadata", {}))),
    }
    return {"kept": kept}


def _log_metrics(call: _Call) -> Outcome:
    value = _value(Metrics, call)
    if isinstance(value, Curve):
        return _logged(_log_curve(value, call))
    metrics = _named_values(Metrics, value, call)
    return _logged(call.stack.hooks.log_metrics(call.delivery.component, metrics, call.context))


def _log_curve(curve: Curve, call: _Call) -> LoggedRun:
    """Log all points at once, or one by one where the tracker knows no other way."""
    hooks, component = call.stack.hooks, call.delivery.component
    batch = list(_points_of(curve, call.context, call.delivery.hook, component))
    logged = hooks.log_metrics_batch(component, batch)
    if logged is not None:
        return logged
    return [hooks.log_metrics(component, *point) for point in batch][-1]


def _points_of(
    curve: Curve, context: DeliveryContext, hook: str, component: str
) -> Iterator[tuple[Metrics, DeliveryContext]]:
    """Yield each point, with the context that it would have on its own."""
    run, place = context.run, context.producer
    names, times = curve.data["names"], curve.data["times"]
    for point, name, moment in zip(curve, names, times, strict=True):
        output = child_name(place.step, name)
        key = delivery_key(run.run_id, place.step, output, hook, component)
        producer = Producer(place.pipeline, place.run_id, place.step, output)
        yield point, DeliveryContext(key, run, producer, context.attempt, from_micros(moment))


def _log_parameters(call: _Call) -> Outcome:
    values = _named_values(Parameters, _value(Parameters, call), call)
    return _logged(call.stack.hooks.log_parameters(call.delivery.component, values, call.context))


def _logged(run: LoggedRun) -> Outcome:
    return Outcome(DeliveryStatus.DONE, run.reference, {"run_id": run.run_id, "url": run.url})


def _value(cls: type[Named], call: _Call) -> object:
    """Return what is logged: from the ledger where it is kept there, else the value itself."""
    kept = (call.delivery.payload or {}).get("kept")
    if kept is None:
        return call.parcel.read()
    if "curve" in kept:
        return Curve(decode(kept["curve"], trusted=True))
    made = cls(decode(kept["values"], trusted=True))
    made = made.with_metadata(**decode(kept["metadata"], trusted=True))
    return made.at_step(kept["step"]) if isinstance(made, Metrics) else made


def _named_values(cls: type[Named], value: object, call: _Call) -> Named:
    """Return a value as what the hook takes."""
    if isinstance(value, cls):
        return value
    try:
        return cls(value)  # type: ignore[arg-type]  # a class of the user's names this hook
    except TypeError as cause:
        message = f"{call.delivery.hook} takes a mapping, and {type(value).__name__} is none: "
        raise DeliveryError(message + str(cause)) from cause


def _register_model(call: _Call) -> Outcome:
    stored = call.parcel.lies_at()
    component = call.delivery.component
    model = call.stack.hooks.register_model(component, _registration(stored), call.context)
    if model.digest != stored.digest:
        message = (
            f"{component} has {model.reference} registered with {model.digest}, and what is "
            f"stored now is {stored.digest}; register it under another version"
        )
        raise IntegrityError(message)
    result = {
        "name": model.name,
        "version": model.version,
        "digest": model.digest,
        "uri": model.uri,
        "registry_id": model.registry_id,
    }
    producer = call.parcel.producer
    entry = history_entry(
        "registered",
        (model.name, model.version, model.digest),
        call.actor,
        registry=model.registry,
        registry_id=model.registry_id,
        run_id=producer.run_id,
        step=producer.step,
        output=producer.output,
    )
    return Outcome(DeliveryStatus.DONE, model.reference, result, events=(entry,))


def _artifact_stored(call: _Call) -> Outcome:
    stored = call.parcel.lies_at()
    call.stack.hooks.tell_stored(call.delivery.component, call.context.run, stored)
    return Outcome(DeliveryStatus.DONE)


def _run_finished(call: _Call) -> Outcome:
    status = RunStatus((call.delivery.payload or {})["status"])
    call.stack.hooks.tell_finished(call.delivery.component, call.context.run, status)
    return Outcome(DeliveryStatus.DONE)


def _registration(stored: StoredArtifact) -> Registration:
    manifest = stored.manifest
    properties: dict[str, Any] = decode(manifest.properties, trusted=True)
    return Registration(
        name=manifest.name,
        version=manifest.version,
        stored=stored,
        framework=properties.get("framework"),
        metadata=decode(manifest.metadata, trusted=True),
        input_schema=properties.get("input_schema"),
        output_schema=properties.get("output_schema"),
        serving_config=properties.get("serving_config", {}),
    )


def _third_party(call: _Call) -> Outcome:
    receipt = call.stack.hooks.deliver(
        call.delivery.hook,
        call.delivery.component,
        call.parcel.read(),
        call.parcel.lies_at(),
        call.context,
    )
    if receipt is None:
        return Outcome(DeliveryStatus.DONE)
    # What was delivered is not to be lost over a detail that JSON has no form for.
    details = json.loads(json.dumps(receipt.details, default=str))
    return Outcome(DeliveryStatus.DONE, receipt.reference, details)


_CALLS: Final[Mapping[str, Callable[[_Call], Outcome]]] = {
    "log_metrics": _log_metrics,
    "log_parameters": _log_parameters,
    "register_model": _register_model,
    # Only where a component missed it when all were told.
    "artifact_stored": _artifact_stored,
    "run_finished": _run_finished,
}
