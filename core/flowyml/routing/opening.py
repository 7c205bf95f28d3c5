"""From what a step returned to parcels: the plan for each, and the lines of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs
from attrs import frozen

from flowyml.records import CONTEXT, Producer, RunInfo
from flowyml.routing.calls import kept_values
from flowyml.routing.containers import Leaf
from flowyml.routing.curves import written_points
from flowyml.routing.deployments import gate_payload
from flowyml.routing.ledger import Ledger
from flowyml.routing.parcels import Parcel
from flowyml.routing.router import DEFAULT_PATH, STORE, PlannedDelivery, Router, TypeRoute
from flowyml.stacks.rules import Route

__all__ = ["Opening"]

LOGGING_HOOKS = frozenset({"log_metrics", "log_parameters"})
"""Hooks whose values are small enough for the ledger, so that they need not be stored first.

What is logged by a call is stored all the same where no tracker takes it, or it would be gone.
"""


@frozen
class Opening:
    """Opens the parcels of one run.

    Attributes:
        run: The run.
        router: Knows where each type goes.
        ledger: Makes the lines.
    """

    run: RunInfo
    router: Router
    ledger: Ledger

    def open(self, step: str, leaf: Leaf, hooks: Collection[str] | None = None) -> Parcel:
        """Return the parcel of a leaf; nothing is written yet.

        Args:
            step: Name of the step.
            leaf: What it returned.
            hooks: The hooks that were called by name; None for all that its type names.
        """
        route = self._route(leaf, hooks)
        producer = Producer(self.run.pipeline, self.run.run_id, step, leaf.output)
        wanted = _wanted(route, hooks, is_recorded=leaf.output == CONTEXT)
        deliveries, on_error = {}, {}
        for planned in route.deliveries:
            if planned.hook in wanted:
                payload = _payload(planned, route, leaf, stored=STORE in wanted)
                delivery = self.ledger.open(producer, planned, payload)
                deliveries[delivery.key] = delivery
                on_error[delivery.key] = planned.on_error
        return Parcel(
            producer=producer,
            deliveries=deliveries,
            after={planned.hook: planned.after for planned in route.deliveries},
            read=lambda: leaf.value,
            on_error=on_error,
            leaf=leaf,
            route=route,
        )

    def _route(self, leaf: Leaf, hooks: Collection[str] | None) -> TypeRoute:
        """Return the route of a leaf; a deployment called by name needs no rule to permit it.

        A rule's path is for what a step returns. What it logs besides has a path of its own.
        """
        cls = type(leaf.value)
        route = self.router.route(cls, leaf.route)
        if hooks is not None and LOGGING_HOOKS.issuperset(hooks):
            return attrs.evolve(route, path=DEFAULT_PATH)
        if hooks is None or "deploy_model" not in hooks or route.rule.deploy is not None:
            return route
        condition = route.rule.deploy_condition or "auto"
        called = Route(deploy=True, deploy_condition=condition)
        said = called.over(leaf.route) if leaf.route else called
        return self.router.route(cls, said)


def _wanted(
    route: TypeRoute, hooks: Collection[str] | None, *, is_recorded: bool
) -> frozenset[str]:
    """Return the hooks to call, with all that have to be done before them.

    Args:
        route: What is planned.
        hooks: Those that were called by name; None for all.
        is_recorded: Whether the run's own record has the value.
    """
    if hooks is None:
        return frozenset(planned.hook for planned in route.deliveries)
    if LOGGING_HOOKS.issuperset(hooks):
        taken = any(each.hook in hooks and each.action != "skip" for each in route.deliveries)
        return frozenset(hooks) if taken or is_recorded else frozenset({STORE, *hooks})
    after: Mapping[str, tuple[str, ...]] = {
        planned.hook: planned.after for planned in route.deliveries
    }
    wanted = {STORE, *hooks}
    while more := {first for hook in wanted for first in after.get(hook, ())} - wanted:
        wanted |= more
    return frozenset(wanted)


def _payload(
    planned: PlannedDelivery, route: TypeRoute, leaf: Leaf, *, stored: bool
) -> dict[str, Any] | None:
    if planned.action == "skip":
        return None
    if planned.hook == "deploy_model":
        return gate_payload(planned, route.rule)
    if planned.hook == STORE:
        return written_points(leaf.value)
    return kept_values(leaf.value) if planned.hook in LOGGING_HOOKS and not stored else None
