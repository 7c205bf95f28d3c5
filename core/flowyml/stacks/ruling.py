"""The mapping of types to rules becomes rules, each held against what the stack has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import frozen

from flowyml.errors import Location
from flowyml.plugins.discovery import Catalog
from flowyml.plugins.roles import Role
from flowyml.serialization.catalog import format_names, provided_formats
from flowyml.spelling import meant
from flowyml.stacks.nodes import Entry, MappingNode, Node
from flowyml.stacks.rules import Rule
from flowyml.stacks.stack import store_names, unknown_store
from flowyml.stacks.structuring import Structurer

__all__ = ["ROUTING", "PlacedRule", "Ruling"]

ROUTING: Final = "artifact_routing"


@frozen
class PlacedRule:
    """A rule, and where it stands in the file."""

    rule: Rule
    place: Location


@frozen
class Ruling:
    """Reads the rules of one stack.

    Attributes:
        stack: Name of the stack.
        types: The types of its components, by their names.
        roles: The roles whose hooks it calls.
        catalog: The installed plugins.
        structurer: Makes the rules, and is told what is wrong with them.
    """

    stack: str
    types: Mapping[str, str]
    roles: Iterable[Role]
    catalog: Catalog
    structurer: Structurer

    def rules(self, node: Node | None) -> Mapping[str, PlacedRule]:
        """Return the rules by the names of their types; one that cannot be made is left out."""
        if node is not None and not isinstance(node, MappingNode):
            self.structurer.note(f"{ROUTING} is a mapping from types to rules", node)
        entries = node if isinstance(node, MappingNode) else ()
        return {name: placed for entry in entries for name, placed in self._rule(entry)}

    def _rule(self, entry: Entry) -> Iterator[tuple[str, PlacedRule]]:
        what = f"the rule for {entry.key.text}"
        rule = self.structurer.structure(Rule, entry.value, what)
        if rule is not None:
            self._check(rule, entry.value, what)
            yield entry.key.text, PlacedRule(rule, entry.key.location)

    def _check(self, rule: Rule, node: Node, what: str) -> None:
        if rule.store is not None and rule.store not in store_names(self.types):
            message = unknown_store(self.stack, rule.store, self.types)
            self.structurer.note(f"{what}: {message}", _below(node, "store"))
        if rule.format is not None and rule.format not in format_names():
            self._check_provided(rule.format, _below(node, "format"), what)
        for metric, bound in (rule.deploy_min_metrics or {}).items():
            if not math.isfinite(bound):
                message = f"{what}: the threshold for {metric!r} is not a finite number"
                self.structurer.note(message, _below(node, "deploy_min_metrics", metric))
        own = _delivery_hooks(self.roles)
        for hook in rule.hooks or ():
            if hook not in own:
                self._check_hook(hook, own, _below(node, "hooks", hook), what)

    def _check_provided(self, format_: str, node: Node, what: str) -> None:
        """See whether another distribution brings a format; only now are serializers imported."""
        provided = provided_formats()
        known = format_names() | provided.formats
        if format_ not in known:
            close = meant(format_, known)
            broken = "".join(f"; {error}" for error in provided.broken)
            listed = f"known formats: {', '.join(sorted(known))}{broken}"
            message = f"{what}: there is no format {format_!r}"
            self.structurer.note(message, node, f"{close} ({listed})" if close else listed)

    def _check_hook(self, hook: str, own: set[str], node: Node, what: str) -> None:
        """See whether a role that the stack does not use has a hook; only now is it imported."""
        others, faults = self.catalog.sound_roles()
        known = own | _delivery_hooks(others)
        if hook not in known:
            broken = "".join(f"; {fault}" for fault in faults)
            message = f"{what}: no role has the delivery hook {hook!r}{broken}"
            self.structurer.note(message, node, meant(hook, sorted(known)))


def _delivery_hooks(roles: Iterable[Role]) -> set[str]:
    return {hook.name for role in roles for hook in role.hooks}


def _below(node: Node, *keys: str) -> Node:
    """Return the value that keys lead to, as far as they lead."""
    for key in keys:
        below = node.get(key) if isinstance(node, MappingNode) else None
        node = below or node
    return node
