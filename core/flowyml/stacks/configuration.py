"""``flowyml.yaml`` as a whole: its stacks, the active one, the pipelines it names.

Two shapes are known: ``stacks:`` with ``active_stack:``, and ``plugins:``, which is one stack of
the name ``default``. Only the stack that is built is looked into, so that a variable that another
one needs may be unset, and a plugin that another one needs may be missing.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Final, TypeVar

import attrs
from attrs import define, field

from flowyml.errors import ConfigurationError, Location, Problem
from flowyml.plugins.discovery import Catalog, installed
from flowyml.stacks.building import build_stack
from flowyml.stacks.document import parse, read_text
from flowyml.stacks.interpolation import variables
from flowyml.stacks.nodes import Entry, MappingNode, Node, ScalarNode, plain_value
from flowyml.stacks.project import Project
from flowyml.stacks.stack import Stack
from flowyml.stacks.structuring import Structurer

__all__ = ["BUILTIN_STACK", "PLUGINS_STACK", "Configuration"]

T = TypeVar("T")

BUILTIN_STACK: Final = "local"
PLUGINS_STACK: Final = "default"

_KEYS: Final = ("stacks", "plugins", "active_stack", "pipelines")
_BUILTIN_ROLES: Final = ("artifact_store", "model_registry", "model_deployer", "orchestrator")


@define(slots=False, eq=False)
class Configuration:
    """What the file says, or that there is none.

    Attributes:
        project: The project that it configures.
        document: The file as a tree; None where there is no file.
    """

    project: Project
    document: MappingNode | None = None
    _stacks: Mapping[str, MappingNode] = field(init=False, repr=False)

    @classmethod
    def read(cls, project: Project) -> Configuration:
        """Read the file of a project.

        Raises:
            ConfigurationError: It cannot be read, is not YAML, or has another shape.
        """
        if project.config is None:
            return cls(project)
        shown = shown_path(project)
        root = parse(read_text(project.config, shown), shown)
        if root is None or _is_nothing(root):
            message = "the file is empty"
            hint = "`flowyml init` writes one, or remove it to use the built-in stack"
            raise ConfigurationError(Problem(message, Location(shown), hint))
        if not isinstance(root, MappingNode):
            message = "the file has to be a mapping with `stacks:` or `plugins:` in it"
            raise ConfigurationError(Problem(message, root.location))
        return cls(project, root)

    @_stacks.default
    def _stacks_of_the_file(self) -> Mapping[str, MappingNode]:
        return _stack_nodes(self.document) if self.document else {}

    @property
    def stack_names(self) -> tuple[str, ...]:
        """Names of the stacks, in the order of the file; the built-in one where there is none."""
        return tuple(self._stacks) or (BUILTIN_STACK,)

    @cached_property
    def active_stack(self) -> str | None:
        """What ``active_stack`` says; None where it says nothing.

        Raises:
            ConfigurationError: It names no stack.
        """
        node = self.document.get("active_stack") if self.document else None
        if node is None:
            return None
        name = self._structured(str, node, "active_stack")
        self._check_name(name, node.location)
        return name

    @cached_property
    def pipelines(self) -> Mapping[str, str]:
        """References of pipelines, by the names that the file gives them."""
        node = self.document.get("pipelines") if self.document else None
        return self._structured(dict[str, str], node, "pipelines") if node else {}

    def build(self, name: str, catalog: Catalog | None = None) -> Stack:
        """Build one stack.

        Args:
            name: One of `stack_names`; ``local`` is there in any case.
            catalog: The plugins to choose from; the installed ones where it is not given.

        Raises:
            ConfigurationError: There is no such stack, or all that is wrong with it.
            PluginError: A plugin that it names is broken.
        """
        return build_stack(
            name,
            self.node(name),
            folder=self.project.folder,
            environ=os.environ,
            catalog=catalog or installed(),
        )

    def node(self, name: str) -> MappingNode:
        """Return the mapping of one stack.

        Raises:
            ConfigurationError: There is no such stack.
        """
        self._check_name(name, None)
        return self._stacks.get(name) or _builtin_node()

    def variables(self, name: str) -> Mapping[str, str | None]:
        """Return the environment variables that a stack uses, with their values as they are now."""
        return {found: os.environ.get(found) for found in variables(self.node(name))}

    def _check_name(self, name: str, place: Location | None) -> None:
        if name in self._stacks or name == BUILTIN_STACK:
            return
        close = difflib.get_close_matches(name, self.stack_names, n=1)
        known = ", ".join(self.stack_names)
        hint = f"did you mean {close[0]!r}?" if close else f"known stacks: {known}"
        where = f" in {shown_path(self.project)}" if self.project.config and not place else ""
        raise ConfigurationError(Problem(f"there is no stack {name!r}{where}", place, hint))

    def _structured(self, type_: type[T], node: Node, what: str) -> T:
        structurer = Structurer(self.project.folder, os.environ)
        made = structurer.structure(type_, node, what)
        if made is None:
            raise ConfigurationError(*structurer.problems)
        return made


def shown_path(project: Project) -> str:
    """Return the file's path as short as it is clear: relative, where it is below here."""
    path = str(project.config)
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def _stack_nodes(root: MappingNode) -> Mapping[str, MappingNode]:
    """Return the stacks of the file by name, its top level checked."""
    problems = [
        Problem(f"unknown key {key.text!r}", key.location, _meant(key.text))
        for key in (entry.key for entry in root)
        if key.text not in _KEYS and not key.text.startswith("x-")
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


def _mappings(entries: tuple[Entry, ...], problems: list[Problem]) -> dict[str, MappingNode]:
    nodes: dict[str, MappingNode] = {}
    for entry in entries:
        if isinstance(entry.value, MappingNode):
            nodes[entry.key.text] = entry.value
        elif _is_nothing(entry.value):
            nodes[entry.key.text] = MappingNode((), entry.key.location, entry.value.span)
        else:
            message = f"{entry.key.text!r} is a mapping from roles to components"
            problems.append(Problem(message, entry.value.location))
    return nodes


def _is_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and not node.quoted and plain_value(node.text) is None


def _builtin_node() -> MappingNode:
    """Return the built-in stack as if a file said it."""
    place, span = Location("<built-in>"), (0, 0)
    local = ScalarNode("local", quoted=True, location=place, span=span)
    type_ = ScalarNode("type", quoted=True, location=place, span=span)
    component = MappingNode((Entry(type_, local),), place, span)
    roles = [ScalarNode(role, quoted=True, location=place, span=span) for role in _BUILTIN_ROLES]
    return MappingNode(tuple(Entry(role, component) for role in roles), place, span)


def _meant(key: str) -> str:
    close = difflib.get_close_matches(key, _KEYS, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(_KEYS)}"
