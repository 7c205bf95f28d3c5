"""Attempts at deliveries: each counted before it is made, and its end written down after."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
from attrs import define, frozen

from flowyml.errors import DeliveryError, FlowyMLError
from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import DeliveryContext, DeliveryStatus, RunInfo
from flowyml.routing.calls import call_hook
from flowyml.routing.deployments import (
    deploy,
    deployed,
    endpoint_of,
    hold,
    registered_model,
    tell_registry,
)
from flowyml.routing.ledger import Ledger, Outcome
from flowyml.routing.parcels import Parcel
from flowyml.routing.retries import Retries
from flowyml.routing.whereabouts import where_it_lies
from flowyml.stacks.stack import Stack

__all__ = ["Attempts"]

Call = Callable[[DeliveryContext], Outcome]


@frozen
class Attempts:
    """Makes the deliveries of one run.

    Attributes:
        stack: Where the components are.
        run: The run.
        ledger: Where everything is written down.
        retries: How often, and with which pauses.
        actor: Who is named in the history of models.
    """

    stack: Stack
    run: RunInfo
    ledger: Ledger
    retries: Retries
    actor: str

    def deliver(self, parcel: Parcel, delivery: DeliveryRecord) -> Exception | None:
        """Make a delivery that follows storing, if it is its turn.

        The parcel has its line as it stands then.

        Returns:
            What the last attempt raised; None where nothing failed.
        """
        if delivery.status == DeliveryStatus.DONE or not delivery.is_debt:
            return None
        if first := parcel.blocked_by(delivery):
            self._wait_for(first, parcel, delivery)
            return None
        if delivery.hook == "deploy_model":
            return self._pass_gate(parcel, delivery)
        call = partial(call_hook, self.stack, parcel, delivery)
        return self._close(parcel, delivery, lambda context: call(context, self.actor))

    def attempt(
        self, parcel: Parcel, delivery: DeliveryRecord, call: Call, *, counted: bool = False
    ) -> Outcome:
        """Make as many attempts as it takes, and return the outcome, which the caller writes down.

        Args:
            parcel: Has the delivery's line as it stands afterwards.
            delivery: The delivery.
            call: Makes one attempt.
            counted: Whether the first attempt is counted already.

        Raises:
            Exception: What the last attempt raised; it is written down.
        """
        attempt = _Attempt(self, parcel, delivery.key, call, counted)
        return self.retries.call(
            attempt,
            may_pass=partial(self.may_pass, delivery.component),
            failed=attempt.failed,
        )

    def failure(self, delivery: DeliveryRecord, error: Exception) -> DeliveryError:
        """Return the error that ends a step over a delivery, for what its last attempt raised."""
        times = f"{delivery.attempts} attempts" if delivery.attempts > 1 else "one attempt"
        message = (
            f"step {delivery.step!r}, output {delivery.output!r}: {delivery.hook} by "
            f"{delivery.component} ({delivery.component_type}) failed after {times}: "
            f"{delivery.error}"
        )
        passing = self.stack.hooks.is_transient(delivery.component, error)
        return DeliveryError(message, transient=passing)

    def context(self, parcel: Parcel, delivery: DeliveryRecord) -> DeliveryContext:
        """Return what the component is told."""
        made_at = delivery.created_at
        return DeliveryContext(
            delivery.key, self.run, parcel.producer, delivery.attempts, made_at=made_at
        )

    def may_pass(self, component: str, error: Exception) -> bool:
        """Say whether what a component failed with may pass by itself."""
        return component in self.stack.components and self.stack.hooks.is_transient(
            component, error
        )

    def once(self) -> Attempts:
        """Return who makes one attempt at each delivery, and waits for nobody."""
        return attrs.evolve(self, retries=attrs.evolve(self.retries, attempts=1))

    def _pass_gate(self, parcel: Parcel, delivery: DeliveryRecord) -> Exception | None:
        """Deploy, or write down what the deployment waits for."""
        try:
            held = hold(parcel, delivery, actor=self.actor)
        except FlowyMLError as error:
            parcel.deliveries[delivery.key] = self.ledger.fail(delivery, error)
            return error
        if held is None:
            return self._close(parcel, delivery, partial(self._deploy, parcel, delivery))
        if held.waits_for != "approval":
            parcel.deliveries[delivery.key] = self.ledger.close(delivery, held)
            return None
        return self._close(parcel, delivery, lambda _context: tell_registry(self.stack, held))

    def _close(self, parcel: Parcel, delivery: DeliveryRecord, call: Call) -> Exception | None:
        try:
            outcome = self.attempt(parcel, delivery, call)
        except Exception as error:  # noqa: BLE001  # whatever a backend raises is written down
            return error
        parcel.deliveries[delivery.key] = self.ledger.close(
            parcel.deliveries[delivery.key], outcome
        )
        return None

    def _deploy(
        self, parcel: Parcel, delivery: DeliveryRecord, context: DeliveryContext
    ) -> Outcome:
        registered = registered_model(self.stack, parcel)
        endpoint = endpoint_of(delivery.payload or {}, registered.name)
        model = where_it_lies(self.stack, registered, self.ledger.metadata)
        served = deploy(self.stack, model, delivery.component, endpoint, context)
        return deployed(served, delivery.run_id, self.actor)

    def _wait_for(self, first: DeliveryRecord, parcel: Parcel, delivery: DeliveryRecord) -> None:
        if first.status == DeliveryStatus.SKIPPED:
            reason = f"it needs {first.hook}, which is skipped"
            outcome = Outcome(DeliveryStatus.SKIPPED, reason=reason)
            parcel.deliveries[delivery.key] = self.ledger.close(delivery, outcome)
        else:
            reason = f"waits for {first.hook}, which is not done"
            parcel.deliveries[delivery.key] = self.ledger.explain(delivery, reason)


@define
class _Attempt:
    """One delivery's attempts; keeps its line in the parcel up to date."""

    attempts: Attempts
    parcel: Parcel
    key: str
    call: Call
    counted: bool

    def __call__(self) -> Outcome:
        delivery = self.parcel.deliveries[self.key]
        if not self.counted:
            delivery = self.attempts.ledger.begin(delivery)
            self.parcel.deliveries[self.key] = delivery
        self.counted = False
        if delivery.component not in self.attempts.stack.components:
            message = (
                f"the stack {self.attempts.stack.name!r} has no {delivery.component} any more; "
                "put it back into flowyml.yaml, then resume the run"
            )
            raise DeliveryError(message)
        return self.call(self.attempts.context(self.parcel, delivery))

    def failed(self, error: Exception) -> None:
        delivery = self.parcel.deliveries[self.key]
        self.parcel.deliveries[self.key] = self.attempts.ledger.fail(delivery, error)
