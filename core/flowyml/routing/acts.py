"""Serving a registered model, and ending that, outside of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from attrs import frozen

from flowyml.artifacts import Model
from flowyml.errors import DeliveryError
from flowyml.metadata.lease import Lease
from flowyml.metadata.rows import DeliveryRecord, ModelEvent
from flowyml.metadata.store import MetadataStore
from flowyml.records import (
    DeliveryContext,
    DeliveryStatus,
    Deployment,
    ModelVersion,
    Producer,
    RunInfo,
    RunStatus,
)
from flowyml.routing.attempts import Attempts
from flowyml.routing.debts import Debts, finish_run
from flowyml.routing.deployments import deploy, deployment_event, only_component
from flowyml.routing.dispatch import rule_for
from flowyml.routing.ledger import Ledger, Outcome, delivery_key, history_entry, now
from flowyml.routing.patience import Patience
from flowyml.routing.retries import Retries
from flowyml.routing.serving import serving
from flowyml.routing.whereabouts import where_it_lies
from flowyml.stacks.secrecy import component_secrets
from flowyml.stacks.stack import Stack

__all__ = ["Acts"]


@frozen
class Acts:
    """What a person does about endpoints.

    Attributes:
        stack: Where the registry and the deployer are.
        metadata: Where everything is written down.
        actor: Who acts.
        retries: How often a deployment is tried when its failure may pass.
    """

    stack: Stack
    metadata: MetadataStore
    actor: str
    retries: Retries

    def waiting(self, model: ModelVersion, events: Sequence[ModelEvent]) -> DeliveryRecord | None:
        """Return the delivery of a run that waits for this deployment, or owes it, the newest."""
        for entry in reversed(events):
            if entry.kind == "registered" and entry.version == model.version:
                delivery = self._deployment_of(entry)
                if delivery is not None and (delivery.waits_for or delivery.is_debt):
                    return delivery
        return None

    def open(self, delivery: DeliveryRecord, outcome: Outcome) -> DeliveryRecord:
        """Write down that a deployment need not wait any more: from now on its run owes it.

        Whoever is killed between this and the deployment leaves a run that can be resumed.
        """
        with self.metadata.transaction():
            opened = self._ledger.close(delivery, outcome)
            run = self.metadata.run(delivery.run_id)
            if opened.is_debt and run.status == RunStatus.DONE:
                self.metadata.set_run_status(run.run_id, RunStatus.INCOMPLETE)
        return opened

    def finish(self, delivery: DeliveryRecord) -> Deployment:
        """Make a deployment that a run owes, and goes on owing when that fails.

        Raises:
            DeliveryError: The deployer failed.
        """
        with self._working_on(delivery.run_id):
            return self._finish(delivery)

    def _finish(self, delivery: DeliveryRecord) -> Deployment:
        record = self.metadata.run(delivery.run_id)
        run = RunInfo(record.run_id, record.pipeline, record.stack, record.started_at)
        attempts = Attempts(self.stack, run, self._ledger, self.retries, self.actor)
        debts = Debts(self.stack, run, self.metadata, Patience(attempts))
        parcel = debts.parcels()[delivery.step, delivery.output]
        done = debts.deliver(parcel, delivery.key)
        if done.status != DeliveryStatus.DONE or done.result is None:
            message = (
                f"{done.component} could not deploy: {done.error or done.reason}; "
                f"`flowyml resume {done.run_id}` tries again"
            )
            raise DeliveryError(message)
        finish_run(self.metadata, record.run_id)
        return Deployment(
            endpoint=done.result["endpoint"],
            model=done.result["model"],
            version=done.result["version"],
            digest=done.result["digest"],
            deployer=done.component_type,
            created_at=done.updated_at,
            url=done.result["url"],
            status=done.result["status"],
            key=done.key,
        )

    def deploy(self, model: ModelVersion, endpoint: str, kind: str) -> Deployment:
        """Serve a version at an endpoint, and add that to its history.

        Raises:
            IntegrityError: What is stored is not what was registered.
            DeliveryError: The endpoint serves another model, or the deployer failed.
        """
        component = only_component(self.stack, "model_deployer")
        if kind == "rolled_back":
            self._refuse_foreign(model.name, endpoint, component)
        # Killed before it is in the history, the same act finds what it did by the same key.
        count = len(self.metadata.events(model.name))
        place = json.dumps([kind, model.name, model.version, endpoint, count])
        key = hashlib.sha256(place.encode()).hexdigest()
        run = RunInfo(model.run_id or "none", "", self.stack.name, now())
        producer = Producer("", run.run_id, "", model.name)
        attempts = iter(range(1, self.retries.attempts + 1))
        with self.stack.hooks.in_words(f"deploy {model.reference} at {endpoint!r}", component):
            deployment = self.retries.call(
                lambda: deploy(
                    self.stack,
                    where_it_lies(self.stack, model, self.metadata),
                    component,
                    endpoint,
                    DeliveryContext(key, run, producer, next(attempts)),
                ),
                may_pass=lambda error: self.stack.hooks.is_transient(component, error),
                failed=lambda _error: None,
            )
        self.metadata.append_event(deployment_event(kind, deployment, self.actor))
        return deployment

    def end(self, name: str, events: Sequence[ModelEvent]) -> Iterator[str]:
        """End every endpoint that serves a model, and yield its name."""
        component = only_component(self.stack, "model_deployer")
        known = {endpoint: (e.version, e.digest) for endpoint, e in serving(events).items()}
        for deployment in self._served_by(component):
            if deployment.model == name:
                known[deployment.endpoint] = (deployment.version, deployment.digest)
            else:
                known.pop(deployment.endpoint, None)
        for endpoint, (version, digest) in known.items():
            with self.working_at(endpoint):
                with self.stack.hooks.in_words(f"end the endpoint {endpoint!r}", component):
                    self.stack.hooks.undeploy_model(component, endpoint)
                entry = history_entry(
                    "undeployed", (name, version, digest), self.actor, endpoint=endpoint
                )
                self.metadata.append_event(entry)
            yield endpoint

    def working_at(self, endpoint: str) -> Lease:
        """Let only one process at a time move an endpoint by hand; a slow one keeps no other."""
        message = f"another process works on the endpoint {endpoint!r}; try again when it has ended"
        refusal = DeliveryError(message, transient=True)
        return Lease(self.metadata, f"endpoint:{endpoint}", refusal=refusal)

    def endpoint(self, model: ModelVersion) -> str:
        """Return where a model is deployed when nobody says where."""
        return rule_for(Model, self.stack.rules).endpoint_name or model.name

    @property
    def _ledger(self) -> Ledger:
        secrets = component_secrets(self.stack.components.values())
        return Ledger(self.metadata, secrets=secrets)

    def _working_on(self, run_id: str) -> Lease:
        """Keep others from paying the same debt at the same moment."""
        message = (
            f"another process works on the run {run_id}, which owes this deployment; "
            f"`flowyml resume {run_id}` makes it when that has ended"
        )
        return Lease(self.metadata, run_id, refusal=DeliveryError(message, transient=True))

    def _deployment_of(self, registered: ModelEvent) -> DeliveryRecord | None:
        details = registered.details
        for component in self.stack.of_role("model_deployer"):
            place = (details["run_id"], details["step"], details["output"])
            found = self.metadata.delivery(delivery_key(*place, "deploy_model", component))
            if found is not None:
                return found
        return None

    def _served_by(self, component: str) -> Sequence[Deployment]:
        with self.stack.hooks.in_words("list what it serves", component):
            return self.stack.hooks.list_deployments(component)

    def _refuse_foreign(self, name: str, endpoint: str, component: str) -> None:
        """Refuse to put an earlier version in the place of another model."""
        for deployment in self._served_by(component):
            if deployment.endpoint == endpoint and deployment.model != name:
                message = (
                    f"the endpoint {endpoint!r} serves {deployment.model}@{deployment.version}; "
                    "deploy a version of this model by name if it is to serve there"
                )
                raise DeliveryError(message)
