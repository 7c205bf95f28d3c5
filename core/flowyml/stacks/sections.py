"""The top of the file: which sections it has, and the mapping of each stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from flowyml.errors import ConfigurationError, Location, Problem
from flowyml.stacks.nodes import Entry, MappingNode, ScalarNode
from flowyml.stacks.spelling import meant

__all__ = ["PLUGINS_STACK", "builtin_node", "stack_nodes"]

PLUGINS_STACK: Final = "default"

_SECTIONS: Final = ("stacks", "plugins", "active_stack", "pipelines")
_BUILTIN_ROLES: Final = ("artifact_store", "model_registry", "model_deployer", "orchestrator")


def stack_nodes(root: MappingNode) -> Mapping[str, MappingNode]:
    """Return the stacks of a file by name.

    Raises:
        ConfigurationError: All that is wrong with its top level.
    """
    problems = [
        Problem(f"unknown key {key.text!r}", key.location, _meant(key.text))
        for key in (entry.key for entry in root)
        if key.text not in _SECTIONS and not key.text.startswith("x-")
    ]
    stacks, plugins = root.entry("stacks"), root.entry("plugins")
    nodes: dict[str, MappingNode] = {}
    if stacks and plugins:
        message = "the file has both `stacks:` and `plugins:`"
        hint = "move what is below `plugins:` to a stack of its own"
        problems.append(Problem(message, plugins.key.location, hint))
    elif plugins:
        name = attrs.evolve(plugins.key, text=PLUGINS_STACK)
        nodes = _mappings((Entry(name, plugins.value),), problems)
    elif stacks and isinstance(stacks.value, MappingNode) and stacks.value.entries:
        nodes = _mappings(stacks.value.entries, problems)
    elif stacks:
        message = "`stacks` is a mapping from names to stacks, and has at least one"
        problems.append(Problem(message, stacks.value.location))
    if problems:
        raise ConfigurationError(*problems)
    return nodes


def builtin_node() -> MappingNode:
    """Return the built-in stack as if a file said it."""
    place, span = Location("<built-in>"), (0, 0)
    local = ScalarNode("local", quoted=True, location=place, span=span)
    type_ = ScalarNode("type", quoted=True, location=place, span=span)
    component = MappingNode((Entry(type_, local),), place, span)
    roles = [ScalarNode(role, quoted=True, location=place, span=span) for role in _BUILTIN_ROLES]
    return MappingNode(tuple(Entry(role, component) for role in roles), place, span)


def _mappings(entries: tuple[Entry, ...], problems: list[Problem]) -> dict[str, MappingNode]:
    nodes: dict[str, MappingNode] = {}
    for entry in entries:
        if isinstance(entry.value, MappingNode):
            nodes[entry.key.text] = entry.value
        elif entry.value.says_nothing:
            nodes[entry.key.text] = MappingNode((), entry.key.location, entry.value.span)
        else:
            message = f"{entry.key.text!r} is a mapping from roles to components"
            problems.append(Problem(message, entry.value.location))
    return nodes


def _meant(key: str) -> str:
    return meant(key, _SECTIONS) or f"known keys: {', '.join(_SECTIONS)}"
