"""The life of a registered model: approval, deployment, rollback, and the record of them all.

A decision is bound to the digest that it was asked for. Every act is an entry of the model's
history, which is only ever added to. The registry and the deployer are reached through their hooks
alone, so that an act means the same whichever they are.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from flowyml.errors import DeliveryError, IntegrityError, NotFoundError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import DeliveryRecord, ModelEvent
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, Deployment, ModelVersion
from flowyml.routing.acts import Acts
from flowyml.routing.deployments import find_model, only_component, verify_stored
from flowyml.routing.ledger import Outcome, history_entry
from flowyml.routing.retries import Retries
from flowyml.routing.serving import served_before, serving
from flowyml.routing.whereabouts import find_place
from flowyml.stacks.stack import Stack

__all__ = ["ModelLifecycle"]

Verdict = Literal["approved", "rejected"]


@frozen
class ModelLifecycle:
    """Decides about the models of a stack's registry and serves them with its deployer.

    Attributes:
        stack: Where the registry and the deployer are.
        metadata: Where everything is written down.
        actor: Who acts.
        retries: How often a deployment is tried when its failure may pass.
    """

    stack: Stack
    metadata: MetadataStore
    actor: str
    retries: Retries = field(factory=Retries)

    def approve(self, name: str, version: str, comment: str = "") -> Deployment | None:
        """Approve a version whose run asked for it, and deploy it.

        Where it is approved already and was not deployed, by a process that was killed for example,
        it is deployed now; the decision stays the first one.

        Args:
            name: Name of the model.
            version: Its version.
            comment: Why.

        Returns:
            The deployment.

        Raises:
            NotFoundError: Nobody asked, or the version does not exist.
            DeliveryError: It is decided already; or it is approved now and could not be deployed,
                which the run owes from now on.
            IntegrityError: The model is not the one that approval was asked for.
        """
        with self._working_on(name):
            model = find_model(self.stack, name, version)
            owed = self._approved_and_owed(model)
            delivery = owed or self._decide(model, "approved", comment)
        return self._acts.finish(delivery)

    def reject(self, name: str, version: str, comment: str = "") -> None:
        """Reject a version whose run asked for approval; it is not deployed.

        Raises:
            NotFoundError: Nobody asked, or the version does not exist.
            DeliveryError: It is decided already.
            IntegrityError: The model is not the one that approval was asked for.
        """
        with self._working_on(name):
            self._decide(find_model(self.stack, name, version), "rejected", comment)

    def deploy(
        self, name: str, version: str | None = None, endpoint: str | None = None
    ) -> Deployment:
        """Deploy a registered version, its digest verified again.

        Args:
            name: Name of the model.
            version: Its version or an alias; None for the newest.
            endpoint: Where; None for the rule's endpoint, else the one named after the model.

        Raises:
            NotFoundError: The version does not exist.
            DeliveryError: It waits for approval, or was rejected; or the deployer failed.
            IntegrityError: What is stored is not what was registered.
        """
        with self._working_on(name):
            model = find_model(self.stack, name, version)
            self._refuse_undecided(model)
            waiting = self._acts.waiting(model, self.metadata.events(name))
            owed = self._opened(waiting, endpoint) if waiting else None
        if owed is not None:
            return self._acts.finish(owed)
        place = endpoint or self._acts.endpoint(model)
        with self._acts.working_at(place):
            return self._acts.deploy(model, place, "deployed")

    def undeploy(self, name: str) -> tuple[str, ...]:
        """End every endpoint that serves a model.

        Returns:
            The endpoints that were ended.

        Raises:
            NotFoundError: None serves it.
        """
        ended = tuple(self._acts.end(name, self.metadata.events(name)))
        if not ended:
            message = f"no endpoint serves {name!r}; `flowyml model list` shows what is deployed"
            raise NotFoundError(message)
        return ended

    def rollback(self, name: str, endpoint: str | None = None) -> Deployment:
        """Deploy the version that served before the one that serves now.

        Args:
            name: Name of the model.
            endpoint: Where; it may be left out where the model has only one endpoint.

        Raises:
            NotFoundError: No other version served there before.
            IntegrityError: What is stored or registered is not what served then.
        """
        place = endpoint or self._only_endpoint(name, self.metadata.events(name))
        with self._acts.working_at(place):
            before = self._served_before(name, self.metadata.events(name), place)
            return self._acts.deploy(before, place, "rolled_back")

    def history(self, name: str) -> tuple[list[ModelEvent], int | None]:
        """Return a model's history, and the first entry that is missing or was changed."""
        return self.metadata.events(name), self.metadata.verify_history(name)

    @property
    def _acts(self) -> Acts:
        return Acts(self.stack, self.metadata, self.actor, self.retries)

    def _served_before(self, name: str, events: list[ModelEvent], place: str) -> ModelVersion:
        """Return the version that served at an endpoint before, if it still is what it was."""
        before = served_before(events, place)
        if before is None:
            message = (
                f"no other version of {name!r} served at {place!r} before; "
                f"`flowyml model history {name}` shows what did"
            )
            raise NotFoundError(message)
        model = find_model(self.stack, name, before.version)
        if model.digest != before.digest:
            message = (
                f"{model.reference} is {model.digest} in the registry, and {before.digest} served "
                f"at {place!r} then; deploy a version by name"
            )
            raise IntegrityError(message)
        return model

    def _opened(self, waiting: DeliveryRecord, endpoint: str | None) -> DeliveryRecord:
        """Let a deployment that a run left waiting, or owes, go on; elsewhere if that is asked."""
        payload = {**(waiting.payload or {}), "gate": None}
        if endpoint is not None:
            payload["endpoint"] = endpoint
        return self._acts.open(waiting, Outcome(DeliveryStatus.PENDING, payload=payload))

    def _approved_and_owed(self, model: ModelVersion) -> DeliveryRecord | None:
        """Return the deployment that approval permits already, where it was not made."""
        requests, decisions = self._decisions(model)
        key = requests[-1].details["key"] if requests else ""
        decision = decisions.get(key)
        delivery = self.metadata.delivery(key)
        if decision is None or decision.kind != "approved" or delivery is None:
            return None
        return delivery if delivery.is_debt else None

    def _decide(self, model: ModelVersion, verdict: Verdict, comment: str) -> DeliveryRecord:
        """Write a decision down, tell the registry, and return the delivery that waited for it."""
        request = self._open_request(model)
        delivery = self.metadata.delivery(request.details["key"])
        if delivery is None:
            message = f"the delivery that asked for {model.reference} is not in the ledger"
            raise NotFoundError(message)
        self._check(model, request)
        registry = only_component(self.stack, "model_registry")
        with self.stack.hooks.in_words(f"note that {model.reference} is {verdict}", registry):
            self.stack.hooks.set_approval(registry, model.name, model.version, verdict, comment)
        return self._acts.open(delivery, self._outcome(delivery, model, verdict, comment))

    def _outcome(
        self, delivery: DeliveryRecord, model: ModelVersion, verdict: Verdict, comment: str
    ) -> Outcome:
        entry = history_entry(
            verdict,
            (model.name, model.version, model.digest),
            self.actor,
            comment,
            key=delivery.key,
            run_id=delivery.run_id,
        )
        payload = {**(delivery.payload or {}), "gate": None}
        if verdict == "approved":
            return Outcome(DeliveryStatus.PENDING, payload=payload, events=(entry,))
        why = f": {comment}" if comment else ""
        reason = f"rejected by {self.actor}{why}"
        return Outcome(DeliveryStatus.SKIPPED, reason=reason, payload=payload, events=(entry,))

    def _open_request(self, model: ModelVersion) -> ModelEvent:
        """Return the newest request for a decision about a version that is not decided yet."""
        requests, decisions = self._decisions(model)
        if not requests:
            message = (
                f"nobody asked for approval of {model.reference}: its rule does not say "
                "`deploy_condition: on_approval`; deploy it with `flowyml model deploy`"
            )
            raise NotFoundError(message)
        last = requests[-1]
        decision = decisions.get(last.details["key"])
        if decision is not None:
            message = (
                f"{model.reference} was {decision.kind} by {decision.actor} on "
                f"{decision.at:%Y-%m-%d %H:%M} UTC already; register a new version to decide anew"
            )
            raise DeliveryError(message)
        return last

    def _decisions(self, model: ModelVersion) -> tuple[list[ModelEvent], dict[str, ModelEvent]]:
        """Return the requests for decisions about a version, and the decisions by their keys."""
        events = [e for e in self.metadata.events(model.name) if e.version == model.version]
        requests = [entry for entry in events if entry.kind == "requested"]
        decided = (entry for entry in events if entry.kind in {"approved", "rejected"})
        return requests, {str(entry.details.get("key")): entry for entry in decided}

    def _refuse_undecided(self, model: ModelVersion) -> None:
        """Refuse to serve what waits for a decision, or was rejected."""
        events = [e for e in self.metadata.events(model.name) if e.version == model.version]
        last = next(
            (e for e in reversed(events) if e.kind in {"requested", "approved", "rejected"}), None
        )
        if last is None or last.kind == "approved":
            return
        if last.kind == "rejected":
            why = f": {last.comment}" if last.comment else ""
            message = f"{model.reference} was rejected by {last.actor}{why}"
        else:
            message = (
                f"{model.reference} waits for approval; decide with `flowyml model approve "
                f"{model.name} --version {model.version}`, which deploys it"
            )
        raise DeliveryError(message)

    def _check(self, model: ModelVersion, request: ModelEvent) -> None:
        if model.digest != request.digest:
            message = (
                f"approval of {model.reference} was asked for {request.digest}, and the registry "
                f"has {model.digest} now; nothing was decided"
            )
            raise IntegrityError(message)
        verify_stored(self.stack, model)
        self._read(model)

    def _read(self, model: ModelVersion) -> None:
        """Read all of a model: its manifest does not tell that bytes beside it were altered."""
        place = find_place(self.stack, model.uri, model.digest, self.metadata)
        if place is None:
            message = (
                f"no store of the stack {self.stack.name!r} has {model.reference}, which was "
                f"stored at {model.uri}; nothing was decided. Decide with a stack that has it"
            )
            raise NotFoundError(message)
        try:
            with self.stack.hooks.in_words(f"read {place.uri}", place.store):
                source = self.stack.hooks.load_artifact(place.store, place.uri)
                for file in source.manifest.files:
                    source.open(file.name).close()
        except IntegrityError as cause:
            message = f"{model.reference} is not what was registered, nothing was decided: {cause}"
            raise IntegrityError(message) from cause

    def _only_endpoint(self, name: str, events: list[ModelEvent]) -> str:
        endpoints = sorted(serving(events)) or sorted(
            {str(e.details["endpoint"]) for e in events if e.kind == "undeployed"}
        )
        if len(endpoints) == 1:
            return endpoints[0]
        known = ", ".join(endpoints)
        message = f"say at which endpoint {name!r} is to be rolled back (it has: {known})"
        if not endpoints:
            message = f"{name!r} never served anywhere, so there is nothing to go back to"
        raise NotFoundError(message)

    def _working_on(self, name: str) -> Lease:
        """Let only one process at a time decide about a model."""
        message = f"another process decides about the model {name!r}; try again when it has ended"
        refusal = DeliveryError(message, transient=True)
        return Lease(self.metadata, f"model:{name}", refusal=refusal)
