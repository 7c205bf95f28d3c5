"""Deploying a registered model: what it waits for, and that it is what was registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowyml.errors import ConfigurationError, IntegrityError, NotFoundError
from flowyml.metadata.rows import DeliveryRecord, ModelEvent
from flowyml.records import DeliveryContext, DeliveryStatus, Deployment, ModelVersion
from flowyml.routing.gates import decide
from flowyml.routing.ledger import Outcome, history_entry
from flowyml.routing.parcels import Parcel
from flowyml.routing.router import PlannedDelivery
from flowyml.serialization import decode
from flowyml.stacks.rules import Rule
from flowyml.stacks.stack import Stack

__all__ = [
    "deploy",
    "deployed",
    "deployment_event",
    "endpoint_of",
    "find_model",
    "gate_payload",
    "hold",
    "is_measured",
    "named_model",
    "only_component",
    "own_metrics",
    "registered_model",
    "tell_registry",
    "verify_stored",
]

DECIDED = frozenset({DeliveryStatus.DONE, DeliveryStatus.SKIPPED})

WAITING = {
    "manual": "waits for `flowyml model deploy {name} --version {version}`",
    "approval": "waits for `flowyml model approve {name} --version {version}`",
}


def gate_payload(planned: PlannedDelivery, rule: Rule) -> dict[str, Any]:
    """Return what the ledger keeps of the gate, so that no later edit changes it."""
    return {
        "gate": planned.waits_for,
        "endpoint": rule.endpoint_name,
        "thresholds": dict(rule.deploy_min_metrics or {}) if planned.waits_for else {},
    }


def hold(parcel: Parcel, delivery: DeliveryRecord, *, actor: str) -> Outcome | None:
    """Return what a deployment waits for, or why there will be none; None lets it go on.

    Args:
        parcel: The stored and registered model.
        delivery: Its deployment.
        actor: Who is named in the model's history.
    """
    payload = delivery.payload or {}
    gate = payload.get("gate")
    if gate == "metrics":
        return _by_metrics(parcel, payload)
    if gate not in WAITING:
        return None
    registered = parcel.result_of("register_model")
    bound = {
        **payload,
        "model": registered["name"],
        "version": registered["version"],
        "digest": registered["digest"],
    }
    return Outcome(
        DeliveryStatus.PENDING,
        waits_for=gate,
        reason=WAITING[gate].format(name=bound["model"], version=bound["version"]),
        payload=bound,
        events=(_request(bound, delivery, actor),) if gate == "approval" else (),
    )


def _request(bound: Mapping[str, Any], delivery: DeliveryRecord, actor: str) -> ModelEvent:
    """Return the entry that asks for a decision; it names the delivery that waits for it."""
    return history_entry(
        "requested",
        (bound["model"], bound["version"], bound["digest"]),
        actor,
        key=delivery.key,
        run_id=delivery.run_id,
        endpoint=endpoint_of(bound, bound["model"]),
    )


def tell_registry(stack: Stack, held: Outcome) -> Outcome:
    """Let a registry that has approval of its own know that a version waits for it."""
    bound = held.payload or {}
    registry = only_component(stack, "model_registry")
    comment = "asked for by flowyml"
    stack.hooks.set_approval(registry, bound["model"], bound["version"], "pending", comment)
    return held


def _by_metrics(parcel: Parcel, payload: Mapping[str, Any]) -> Outcome | None:
    """Decide by the model's own metrics; one that is not there may be computed by a later step."""
    thresholds, metrics = payload["thresholds"], own_metrics(parcel)
    present = {name: bound for name, bound in thresholds.items() if name in metrics}
    decision = decide(present, metrics)
    if not decision.met:
        return Outcome(DeliveryStatus.SKIPPED, reason=f"the gate is not met: {decision}")
    missing = ", ".join(name for name in thresholds if name not in metrics)
    if not missing:
        return None
    reason = f"decided at the end of the run, when a step has computed {missing}"
    return Outcome(DeliveryStatus.PENDING, waits_for="metrics", reason=reason)


def is_measured(delivery: DeliveryRecord) -> bool:
    """Whether metrics that later steps compute decide about a delivery."""
    gate = (delivery.payload or {}).get("gate")
    return gate == "metrics" and delivery.status not in DECIDED


def own_metrics(parcel: Parcel) -> Mapping[str, object]:
    """Return the metrics that a model carries itself."""
    metadata: Mapping[str, Any] = decode(parcel.lies_at().manifest.metadata, trusted=True)
    metrics = metadata.get("metrics")
    return metrics if isinstance(metrics, Mapping) else {}


def deploy(
    stack: Stack, model: ModelVersion, component: str, endpoint: str, context: DeliveryContext
) -> Deployment:
    """Serve a registered model, after comparing what lies in the store with what was registered.

    Raises:
        IntegrityError: It is not the digest that was registered.
        Exception: What the deployer raised.
    """
    verify_stored(stack, model)
    deployment = stack.hooks.deploy_model(component, model, endpoint, context)
    if deployment.digest != model.digest:
        message = (
            f"{component} serves {deployment.digest} at {endpoint!r} in place of "
            f"{model.reference}, which is {model.digest}; undeploy it and deploy again"
        )
        raise IntegrityError(message)
    return deployment


def deployed(deployment: Deployment, run_id: str, actor: str) -> Outcome:
    """Return what is kept of a deployment, with the entry for the model's history."""
    result = {
        "endpoint": deployment.endpoint,
        "model": deployment.model,
        "version": deployment.version,
        "digest": deployment.digest,
        "url": deployment.url,
        "status": deployment.status,
    }
    return Outcome(
        DeliveryStatus.DONE,
        deployment.reference,
        result,
        events=(deployment_event("deployed", deployment, actor, run_id=run_id),),
    )


def deployment_event(
    kind: str, deployment: Deployment, actor: str, comment: str = "", **details: Any
) -> ModelEvent:
    """Return the entry for a model's history that tells of a deployment."""
    return history_entry(
        kind,
        (deployment.model, deployment.version, deployment.digest),
        actor,
        comment,
        endpoint=deployment.endpoint,
        deployer=deployment.deployer,
        url=deployment.url,
        key=deployment.key,
        **details,
    )


def registered_model(stack: Stack, parcel: Parcel) -> ModelVersion:
    """Return the version that a parcel's model was registered as.

    Raises:
        NotFoundError: The registry has it no more.
        IntegrityError: What the registry has now is another model.
    """
    known = parcel.result_of("register_model")
    model = find_model(stack, str(known.get("name")), known.get("version"))
    if model.digest != parcel.lies_at().digest:
        message = (
            f"{model.reference} is {model.digest} in the registry, and what was stored and "
            f"registered is {parcel.lies_at().digest}; register it under another version"
        )
        raise IntegrityError(message)
    return model


def find_model(stack: Stack, name: str, version: str | None) -> ModelVersion:
    """Return a version of a model, by its number or an alias; the newest one where none is said.

    Raises:
        NotFoundError: The registry has no such version.
        ConfigurationError: The stack has no registry.
    """
    registry = only_component(stack, "model_registry")
    which = f"{name}@{version}" if version else name
    with stack.hooks.in_words(f"look up {which}", registry):
        model = stack.hooks.get_model(registry, name, version)
        others = () if model else stack.hooks.list_models(registry, name)
    if model is None:
        known = ", ".join(other.version for other in others)
        hint = f"its versions: {known}" if known else "`flowyml model list` shows what it has"
        message = f"the model registry of the stack {stack.name!r} has no model {which!r}; {hint}"
        raise NotFoundError(message)
    return model


def named_model(stack: Stack, reference: str) -> ModelVersion:
    """Return the version that ``NAME@VERSION`` names, the newest without a version.

    Raises:
        NotFoundError: The registry has no such version.
        ConfigurationError: The stack has no registry.
    """
    name, _, version = reference.partition("@")
    return find_model(stack, name, version or None)


def only_component(stack: Stack, role: str) -> str:
    """Name the component that fills a role.

    Raises:
        ConfigurationError: There is none.
    """
    found = stack.of_role(role)
    if not found:
        message = (
            f"the stack {stack.name!r} has no {role}; add one to it in flowyml.yaml, or choose a "
            "stack that has one"
        )
        raise ConfigurationError(message)
    return found[0]


def verify_stored(stack: Stack, model: ModelVersion) -> None:
    """Compare what lies in the store with what was registered.

    A store that this stack does not have is left to the deployer, which compares again.

    Raises:
        NotFoundError: Nothing lies there any more.
        IntegrityError: It is something else.
    """
    store = stack.store_of_uri(model.uri)
    if store is None:
        return
    found = stack.hooks.load_artifact(store, model.uri).manifest.digest
    if found != model.digest:
        message = (
            f"{model.reference} was registered as {model.digest}, but {found} lies at "
            f"{model.uri} now; nothing was deployed. Find out who changed it"
        )
        raise IntegrityError(message)


def endpoint_of(payload: Mapping[str, Any], model: str) -> str:
    """Return the endpoint that a rule names, else the one named after the model."""
    return payload.get("endpoint") or model
