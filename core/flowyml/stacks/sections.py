"""The top of the file: which sections it has, and the mapping of each stack."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from flowyml.errors import ConfigurationError, Location, Problem
from flowyml.spelling import meant
from flowyml.stacks.glance import PLUGINS_STACK, SECTIONS
from flowyml.stacks.nodes import (
    Entry,
    MappingNode,
    ScalarNode,
    plain_value,
    text_beside,
    with_type,
)

__all__ = ["builtin_node", "stack_names", "stack_nodes"]

_NAME: Final = re.compile(r"\w[\w.-]*( [\w.-]+)*")
_NAMES: Final = "begin with a letter, a digit or _; go on with these, -, . and single spaces"
_NO_TEXT: Final = "to YAML this is no text; put it in quotes, or choose another name"

_BUILTIN_ROLES: Final = ("artifact_store", "model_registry", "model_deployer", "orchestrator")


def stack_nodes(root: MappingNode, also: Iterable[Problem] = ()) -> Mapping[str, MappingNode]:
    """Return the stacks of a file by name.

    Args:
        root: The file.
        also: What is known to be wrong with it.

    Raises:
        ConfigurationError: All that is wrong with its top level.
    """
    problems = [*also]
    problems += [
        Problem(f"unknown key {key.text!r}", key.location, _meant(key.text))
        for key in (entry.key for entry in root)
        if key.text not in SECTIONS and not key.text.startswith("x-")
    ]
    stacks, plugins = root.entry("stacks"), root.entry("plugins")
    if stacks and plugins:
        message = "the file has both `stacks:` and `plugins:`"
        hint = "move what is below `plugins:` to a stack of its own"
        problems.append(Problem(message, plugins.key.location, hint))
    if stacks and not (isinstance(stacks.value, MappingNode) and stacks.value.entries):
        message = "`stacks` is a mapping from names to stacks, and has at least one"
        problems.append(Problem(message, stacks.value.location))
    nodes = _mappings(_entries(root), problems)
    if problems:
        raise ConfigurationError(*problems)
    return nodes


def stack_names(root: MappingNode) -> tuple[str, ...]:
    """Return the names of the stacks of a file, whatever else is wrong with it."""
    return tuple(entry.key.text for entry in _entries(root))


def _entries(root: MappingNode) -> tuple[Entry, ...]:
    """Return the stacks of a file as they are written."""
    stacks, plugins = root.get("stacks"), root.entry("plugins")
    found = stacks.entries if isinstance(stacks, MappingNode) else ()
    if plugins:
        found += (Entry(attrs.evolve(plugins.key, text=PLUGINS_STACK), plugins.value),)
    return found


def builtin_node() -> MappingNode:
    """Return the built-in stack as if a file said it."""
    place, span = Location("<built-in>"), (0, 0)
    local = ScalarNode("local", quoted=True, location=place, span=span)
    entries = [Entry(text_beside(role, local), with_type(local)) for role in _BUILTIN_ROLES]
    return MappingNode(tuple(entries), place, span)


def _mappings(entries: tuple[Entry, ...], problems: list[Problem]) -> dict[str, MappingNode]:
    nodes: dict[str, MappingNode] = {}
    for entry in entries:
        if hint := _wrong_name(entry.key):
            message = f"{entry.key.text!r} cannot name a stack"
            problems.append(Problem(message, entry.key.location, hint))
        if isinstance(entry.value, MappingNode):
            nodes[entry.key.text] = entry.value
        elif entry.value.says_nothing:
            nodes[entry.key.text] = MappingNode((), entry.key.location, entry.value.span)
        else:
            message = f"{entry.key.text!r} is a mapping from roles to components"
            problems.append(Problem(message, entry.value.location))
    return nodes


def _wrong_name(key: ScalarNode) -> str | None:
    """Return what is to be done about the name of a stack; None where it is well."""
    if not key.quoted and not isinstance(plain_value(key.text), str):
        return _NO_TEXT
    return None if _NAME.fullmatch(key.text) else _NAMES


def _meant(key: str) -> str:
    return meant(key, SECTIONS) or f"known keys: {', '.join(SECTIONS)}"
