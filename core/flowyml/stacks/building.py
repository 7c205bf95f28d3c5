"""From the mapping of one stack to the stack, every problem of it found at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal

import attrs
from attrs import define, field

from flowyml.errors import ConfigurationError, PluginError, Problem
from flowyml.plugins.components import Component
from flowyml.plugins.discovery import Catalog
from flowyml.plugins.roles import BUILTIN_ROLES, SETTINGS, Role
from flowyml.spelling import meant
from flowyml.stacks.hooks import Hooks
from flowyml.stacks.nodes import (
    Entry,
    ListNode,
    MappingNode,
    Node,
    ScalarNode,
    text_beside,
    with_type,
)
from flowyml.stacks.ruling import ROUTING, Ruling
from flowyml.stacks.seats import Member, seat_members
from flowyml.stacks.secrecy import component_secrets, redact, said
from flowyml.stacks.stack import FIRST_STORE, FURTHER_STORES, Stack
from flowyml.stacks.structuring import Structurer

__all__ = ["build_stack"]

EXTENSIONS: Final = "extensions"

ALWAYS: Final = (FIRST_STORE, "orchestrator")
"""The roles that a stack fills with ``local`` where the file does not."""


def build_stack(
    name: str,
    node: MappingNode,
    *,
    folder: Path,
    environ: Mapping[str, str],
    catalog: Catalog,
) -> Stack:
    """Build one stack.

    Args:
        name: Its name.
        node: Its mapping in the file.
        folder: What relative paths are relative to.
        environ: Where variables are looked up.
        catalog: The installed plugins.

    Raises:
        ConfigurationError: All that is wrong with it, each at its line and column.
        PluginError: A plugin that it names is broken.
    """
    return _Builder(name, node, catalog, Structurer(folder, environ)).build()


@define
class _Builder:
    name: str
    node: MappingNode
    catalog: Catalog
    structurer: Structurer
    types: dict[str, str] = field(factory=dict)
    nodes: dict[str, Node] = field(factory=dict)
    members: list[Member] = field(factory=list)
    absent: list[tuple[Node, str, str]] = field(factory=list)
    roles: dict[str, Role] = field(factory=lambda: {role.name: role for role in BUILTIN_ROLES})

    def build(self) -> Stack:
        known = self.catalog.roles()
        for entry in self.node:
            key = entry.key.text
            if key in known:
                self._role(entry)
            elif key not in SETTINGS:
                self._unknown_key(entry.key, known)
        self._fill()
        self._further_stores()
        self._extensions()
        ruling = Ruling(self.name, self.types, self.roles.values(), self.catalog, self.structurer)
        rules = ruling.rules(self.node.get(ROUTING))
        trust = self._trust()
        cache = self._setting("cache", bool, default=False)
        self._tell_absent()
        if self.structurer.problems:
            raise ConfigurationError(*sorted(self.structurer.problems, key=attrgetter("position")))
        return Stack(
            name=self.name,
            components={member.name: member.component for member in self._completed()},
            types=self.types,
            rules={name: placed.rule for name, placed in rules.items()},
            rule_places={name: placed.place for name, placed in rules.items()},
            hooks=self._hooks(),
            roles=self.roles,
            trust=trust,
            cache=cache,
        )

    # ─── components ─────────────────────────────────────────────────────────────────────────────

    def _role(self, entry: Entry) -> None:
        role = entry.key.text
        if role not in self.roles:
            self.roles[role] = self.catalog.role(role)
        if not isinstance(entry.value, ListNode):
            self._component(role, role, entry.value)
        elif not self.roles[role].several:
            self.structurer.note(
                f"a stack has one {role}", entry.value, "write a mapping, not a list"
            )
        else:
            for item in entry.value.items:
                self._component(role, None, item)

    def _fill(self) -> None:
        for role in ALWAYS:
            if self.node.get(role) is None:
                self._component(role, role, with_type(text_beside("local", self.node)))

    def _further_stores(self) -> None:
        node = self.node.get(FURTHER_STORES)
        if node is None:
            return
        if not isinstance(node, MappingNode):
            self.structurer.note(f"{FURTHER_STORES} is a mapping from names to stores", node)
            return
        taken = {"default", FIRST_STORE, self.types.get(FIRST_STORE)}
        for entry in node:
            name = entry.key.text
            if name in taken or name.startswith(f"{FURTHER_STORES}."):
                message = f"the stack's artifact_store already answers to the name {name!r}"
                self.structurer.note(message, entry.key, "give this store another name")
            self._component(FIRST_STORE, f"{FURTHER_STORES}.{name}", entry.value)

    def _extensions(self) -> None:
        node = self.node.get(EXTENSIONS)
        if node is None:
            return
        if not isinstance(node, ListNode):
            self.structurer.note(f"{EXTENSIONS} is a list", node, f"write {EXTENSIONS}: [NAME]")
            return
        for item in node.items:
            bare = isinstance(item, ScalarNode)
            self._component("extension", None, with_type(item) if bare else item)

    def _component(self, role: str, name: str | None, node: Node) -> None:
        """Add the component of a node; without a name it is called after its type."""
        type_ = self._named_type(role, node)
        name = name or self._free_name("extensions" if role == "extension" else role, type_)
        # Also one that cannot be built has its name, so that a rule for it is no second error.
        self.types[name] = type_
        if not isinstance(node, MappingNode) or type_ not in self.catalog.types(role):
            return
        self.nodes[name] = node
        try:
            provider = self.catalog.find(role, type_)
            cls = self.catalog.component(role, type_)
        except PluginError as error:
            message = f"{node.location}: {error}"
            raise PluginError(message) from error.__cause__
        made = self.structurer.structure(cls, node, f"{role} {type_!r}", without="type")
        if made is not None:
            self.members.append(Member(name, made, provider))

    def _named_type(self, role: str, node: Node) -> str:
        """Return the type that a node names; a problem, where it names none that is installed."""
        if not isinstance(node, MappingNode):
            return self._no_mapping(role, node)
        types = self.catalog.types(role)
        found = node.get("type")
        if found is None:
            hint = f"add `type:`, one of: {', '.join(types) or 'none is installed'}"
            self.structurer.note(f"this {role} has no `type`", node, hint)
            return ""
        type_ = self.structurer.structure(str, found, f"type of the {role}") or ""
        if self.catalog.extra_of(role, type_):
            self.absent.append((found, role, type_))
        elif type_ and type_ not in types:
            self.structurer.note(self.catalog.unknown(role, type_), found)
        return type_

    def _no_mapping(self, role: str, node: Node) -> str:
        text = node.text if isinstance(node, ScalarNode) else ""
        plain = text if text.replace("_", "").isalnum() else "NAME"
        self.structurer.note(f"this {role} is not a mapping", node, f"write {{ type: {plain} }}")
        return text

    def _free_name(self, prefix: str, type_: str) -> str:
        name, count = f"{prefix}.{type_}", 1
        while name in self.types:
            count += 1
            name = f"{prefix}.{type_}-{count}"
        return name

    def _completed(self) -> list[Member]:
        """Let every component take what it lacks from the others."""
        everyone = [member.component for member in self.members]
        self.members = [
            attrs.evolve(member, component=self._completed_one(member, everyone))
            for member in self.members
        ]
        return self.members

    def _completed_one(self, member: Member, everyone: list[Component]) -> Component:
        others = [other for other in everyone if other is not member.component]
        try:
            return member.component.beside(others)
        except ConfigurationError as cause:
            told = list(cause.problems)
        except KeyboardInterrupt:
            raise
        except BaseException as cause:  # noqa: BLE001  # a component may even call sys.exit()
            told = [Problem(f"{member.name}: {said(cause)}")]
        secrets, place = component_secrets(everyone), self.nodes[member.name].location
        raise ConfigurationError(
            *(Problem(redact(each.message, secrets), place, each.hint) for each in told)
        )

    def _hooks(self) -> Hooks:
        extensions = [member for member in self.members if member.provider.role == "extension"]
        others = [member for member in self.members if member not in extensions]
        manager, seats = seat_members([*extensions, *others], self.roles.values())
        return Hooks(manager, seats, frozenset(member.name for member in extensions))

    # ─── settings ───────────────────────────────────────────────────────────────────────────────

    def _trust(self) -> frozenset[str]:
        if isinstance(self.node.get("trust"), ListNode):
            return frozenset(self._setting("trust", list[Literal["pickle"]], default=[]))
        named = self._setting("trust", Literal["pickle"], default=None)
        return frozenset([named] if named else [])

    def _setting(self, key: str, type_: Any, *, default: Any) -> Any:
        node = self.node.get(key)
        made = None if node is None else self.structurer.structure(type_, node, key)
        return default if made is None else made

    def _tell_absent(self) -> None:
        """Tell of the types that are not installed, with one command that brings them all."""
        extras = dict.fromkeys(self.catalog.extra_of(role, type_) for _, role, type_ in self.absent)
        how = f"`pip install 'flowyml[{','.join(str(extra) for extra in extras)}]'`"
        for node, role, type_ in sorted(self.absent, key=lambda each: _position(each[0])):
            self.structurer.note(f"unknown {role} type {type_!r}: install it with {how}", node)
            how = "the same command"

    # ─── problems ───────────────────────────────────────────────────────────────────────────────

    def _unknown_key(self, key: ScalarNode, roles: Iterable[str]) -> None:
        known = [*roles, *SETTINGS]
        message = f"unknown key {key.text!r} in the stack {self.name!r}"
        self.structurer.note(
            message, key, meant(key.text, known) or f"known keys: {', '.join(known)}"
        )


def _position(node: Node) -> tuple[int, int]:
    return node.location.line, node.location.column
