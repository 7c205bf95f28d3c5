"""Type, rule and stack together: the deliveries that a value of one class gets.

The plan asks with the class that an annotation declares, the run with the class of the value; both
get the same answer from here.
"""

from __future__ import annotations

from typing import Literal

from attrs import define, field, frozen

from flowyml.errors import ConfigurationError, PluginError
from flowyml.plugins.discovery import installed
from flowyml.plugins.roles import DeliveryHook, OnError
from flowyml.routing.dispatch import hooks_for, routed_class, rule_for
from flowyml.stacks.rules import Route, Rule
from flowyml.stacks.stack import Stack
from flowyml.stacks.templates import PathTemplate

__all__ = ["PlannedDelivery", "Router", "TypeRoute"]

STORE = "store_artifact"

DEFAULT_PATH = PathTemplate("{run_id}/{output_name}")
"""Where no rule says another one; no two outputs meet there."""

Action = Literal["deliver", "skip", "wait"]


@frozen
class PlannedDelivery:
    """One hook for one component, decided before anything is delivered.

    Attributes:
        hook: Name of the hook.
        role: The role it is addressed to.
        component: Name of the component in the stack; None where there is none to deliver to.
        component_type: Its ``type``.
        action: ``wait`` for a deployment that a person has to trigger.
        reason: Why it is skipped, or what it waits for.
        waits_for: ``manual`` or ``approval`` where ``action`` is ``wait``; ``metrics`` where a
            threshold has to be met first.
        on_error: Whether a failure ends the step.
        after: Hooks that have to be done before.
    """

    hook: str
    role: str
    component: str | None
    component_type: str | None
    action: Action
    on_error: OnError
    after: tuple[str, ...]
    reason: str | None = None
    waits_for: str | None = None


@frozen
class TypeRoute:
    """What happens to values of one class in one stack.

    Attributes:
        type: Name of the class, as rules know it.
        rule: The rule that speaks for it, complete.
        store: Name of the store's component.
        path: Template of the path below the store's root.
        deliveries: In the order in which they are made.
    """

    type: str
    rule: Rule
    store: str
    path: PathTemplate
    deliveries: tuple[PlannedDelivery, ...]


@define
class Router:
    """Answers for one stack, each class once.

    Attributes:
        stack: The stack.
    """

    stack: Stack
    _routes: dict[tuple[type, Route | None], TypeRoute] = field(factory=dict, init=False)
    _hooks: dict[str, DeliveryHook] = field(init=False)
    _faults: list[PluginError] = field(factory=list, init=False)

    @_hooks.default
    def _known_hooks(self) -> dict[str, DeliveryHook]:
        return {hook.name: hook for role in self.stack.roles.values() for hook in role.hooks}

    def route(self, cls: type, override: Route | None = None) -> TypeRoute:
        """Return the route of a class.

        Args:
            cls: The class of the value, or the one that an annotation declares.
            override: What the annotation of the output says; it goes before every rule.

        Raises:
            PipelineError: Two equally specific answers.
            ConfigurationError: The class names a hook that no role has.
        """
        key = (routed_class(cls), override)
        if key not in self._routes:
            self._routes[key] = self._make(*key)
        return self._routes[key]

    def _make(self, cls: type, override: Route | None) -> TypeRoute:
        rule = rule_for(cls, self.stack.rules)
        rule = override.over(rule) if override else rule
        store = self.stack.store_name(rule.store)
        names = {STORE, *hooks_for(cls)}  # what is not stored could neither be read nor resumed
        if not self._hooks.keys() >= names:
            self._know_all_roles()
        for name in sorted(names):
            if name not in self._hooks:
                raise ConfigurationError(self._unknown_hook(cls, name))
        ordered = [hook for hook in self._hooks.values() if hook.name in names]
        deliveries: list[PlannedDelivery] = []
        for hook in ordered:
            deliveries += self._deliveries(hook, rule, store, deliveries)
        return TypeRoute(
            type=cls.__name__,
            rule=rule,
            store=store,
            path=rule.path or DEFAULT_PATH,
            deliveries=tuple(deliveries),
        )

    def _know_all_roles(self) -> None:
        """Learn the hooks of roles that are installed but that this stack does not fill."""
        roles, self._faults = installed().sound_roles()
        for role in roles:
            self._hooks |= {hook.name: hook for hook in role.hooks if hook.name not in self._hooks}

    def _deliveries(
        self, hook: DeliveryHook, rule: Rule, store: str, before: list[PlannedDelivery]
    ) -> list[PlannedDelivery]:
        components = (store,) if hook.role == "artifact_store" else self.stack.of_role(hook.role)
        skipped = self._why_not(hook, rule, components, before)
        if skipped:
            return [self._planned(hook, rule, None, "skip", skipped)]
        waits_for, reason = _gate(rule) if hook.name == "deploy_model" else (None, None)
        action: Action = "wait" if waits_for in {"manual", "approval"} else "deliver"
        return [
            self._planned(hook, rule, component, action, reason, waits_for)
            for component in components
        ]

    def _why_not(
        self,
        hook: DeliveryHook,
        rule: Rule,
        components: tuple[str, ...],
        before: list[PlannedDelivery],
    ) -> str | None:
        if hook.name == STORE:
            return None
        said = (rule.hooks or {}).get(hook.name)
        if hook.switch is not None and said is None:
            said = getattr(rule, hook.switch, None)
        wanted = hook.default if said is None else said
        if not wanted:
            switch = hook.switch or hook.name
            return f"{'no rule says' if said is None else 'the rule says'} {switch}: " + (
                "true" if said is None else "false"
            )
        if not components:
            return f"the stack {self.stack.name!r} has no {hook.role}"
        undone = {planned.hook for planned in before if planned.action == "skip"}
        missing = [name for name in hook.after if name in undone]
        return f"it needs {missing[0]}, which is skipped" if missing else None

    def _planned(
        self,
        hook: DeliveryHook,
        rule: Rule,
        component: str | None,
        action: Action,
        reason: str | None,
        waits_for: str | None = None,
    ) -> PlannedDelivery:
        return PlannedDelivery(
            hook=hook.name,
            role=hook.role,
            component=component,
            component_type=self.stack.types[component] if component else None,
            action=action,
            reason=reason,
            waits_for=waits_for,
            on_error=rule.on_error or hook.on_error,
            after=hook.after,
        )

    def _unknown_hook(self, cls: type, name: str) -> str:
        known = ", ".join(sorted(self._hooks))
        broken = "".join(f"; {fault}" for fault in self._faults)
        return (
            f"the type {cls.__qualname__} names the hook {name!r}, which no installed "
            f"role has (known: {known}); install the plugin that brings it{broken}"
        )


def _gate(rule: Rule) -> tuple[str | None, str | None]:
    """Return what a permitted deployment waits for, and how to say it."""
    condition = rule.deploy_condition or "manual"
    if condition == "manual":
        return "manual", "waits for `flowyml model deploy`"
    if condition == "on_approval":
        return "approval", "waits for `flowyml model approve`"
    if not rule.deploy_min_metrics:
        return None, None
    bounds = ", ".join(f"{name} >= {bound:g}" for name, bound in rule.deploy_min_metrics.items())
    return "metrics", f"deploys when {bounds}"
