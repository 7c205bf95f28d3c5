"""``flowyml.yaml`` as a whole: its stacks, the active one, the pipelines it names.

Two shapes are known: ``stacks:`` with ``active_stack:``, and ``plugins:``, which is one stack of
the name ``default``. Only the stack that is built is looked into, so that a variable that another
one needs may be unset, and a plugin that another one needs may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import define, field

from flowyml.errors import ConfigurationError, Location, Problem
from flowyml.spelling import meant
from flowyml.stacks.glance import Glance, glance
from flowyml.stacks.nodes import MappingNode, Node, describe
from flowyml.stacks.project import Project
from flowyml.stacks.text import read_text, shown_path

if TYPE_CHECKING:
    from flowyml.plugins.discovery import Catalog
    from flowyml.stacks.stack import Stack

__all__ = ["BUILTIN_STACK", "Configuration"]

T = TypeVar("T")

BUILTIN_STACK: Final = "local"


@define(slots=False, eq=False)
class Configuration:
    """What the file says, or that there is none.

    The libraries that parse and structure are imported by what needs them: listing stacks does not.

    Attributes:
        project: The project that it configures.
        text: The file's text; None where there is no file.
    """

    project: Project
    text: str | None = field(default=None, repr=False)
    _repeated: list[Problem] = field(factory=list, init=False, repr=False)

    @classmethod
    def read(cls, project: Project) -> Configuration:
        """Read the file of a project.

        Raises:
            ConfigurationError: It cannot be read, is not YAML, or has another shape.
        """
        if project.config is None:
            return cls(project)
        made = cls(project, read_text(project.config, shown_path(project.config)))
        if made._glance is None:
            try:
                _ = made._stacks
            except ConfigurationError:
                raise ConfigurationError(*made.problems) from None
        return made

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong with the file above its stacks, in its order."""
        sections = (lambda: self._stacks, lambda: self.active_stack, lambda: self.pipelines)
        found: list[Problem] = []
        for look in sections:
            try:
                look()
            except ConfigurationError as error:
                found += error.problems
        return tuple(sorted(dict.fromkeys(found), key=attrgetter("position")))

    @cached_property
    def document(self) -> MappingNode | None:
        """The file as a tree; None where there is no file."""
        from flowyml.stacks.document import parse_mapping  # noqa: PLC0415

        if self.text is None or self.project.config is None:
            return None
        return parse_mapping(self.text, shown_path(self.project.config), self._repeated)

    @property
    def stack_names(self) -> tuple[str, ...]:
        """Names of the stacks, in the order of the file; the built-in one where there is none."""
        if self.text is None:
            return (BUILTIN_STACK,)
        if self._glance:
            return self._glance.stack_names
        from flowyml.stacks.sections import stack_names  # noqa: PLC0415

        return (stack_names(self.document) if self.document else ()) or (BUILTIN_STACK,)

    @property
    def active_stack(self) -> str | None:
        """What ``active_stack`` says; None where it says nothing.

        Raises:
            ConfigurationError: It names no stack.
        """
        if self._glance:
            return self._glance.active_stack
        node = self._section("active_stack")
        if node is None:
            return None
        name = self._resolved(node)
        if not isinstance(name, str):
            message = f"active_stack: expected text, found {describe(name)}"
            raise ConfigurationError(Problem(message, node.location))
        self._check_name(name, node.location)
        return str(name)

    @property
    def pipelines(self) -> Mapping[str, str]:
        """References of pipelines, by the names that the file gives them."""
        node = self._section("pipelines")
        return self._structured(dict[str, str], node, "pipelines") if node else {}

    def build(
        self, name: str, catalog: Catalog | None = None, *, leaving_out: Container[str] = ()
    ) -> Stack:
        """Build one stack.

        Args:
            name: One of `stack_names`; ``local`` is there in any case.
            catalog: The plugins to choose from; the installed ones where it is not given.
            leaving_out: Keys of the stack that are not looked into, as if they were not there.

        Raises:
            ConfigurationError: There is no such stack, or all that is wrong with it.
            PluginError: A plugin that it names is broken.
        """
        from flowyml.plugins.discovery import installed  # noqa: PLC0415
        from flowyml.stacks.building import build_stack  # noqa: PLC0415

        return build_stack(
            name,
            self.node(name).without(leaving_out),
            folder=self.project.folder,
            environ=os.environ,
            catalog=catalog or installed(),
        )

    def node(self, name: str, source: str | None = None) -> MappingNode:
        """Return the mapping of one stack.

        Args:
            name: Its name.
            source: Who names it (``FLOWYML_STACK``), for the error.

        Raises:
            ConfigurationError: There is no such stack.
        """
        from flowyml.stacks.sections import builtin_node  # noqa: PLC0415

        self._check_name(name, None, source)
        return self._stacks.get(name) or builtin_node()

    def variables(self, node: MappingNode) -> Mapping[str, str | None]:
        """Return the environment variables that a stack uses, with their values as they are now."""
        from flowyml.stacks.interpolation import variables  # noqa: PLC0415

        return {found: os.environ.get(found) for found in variables(node)}

    @cached_property
    def _glance(self) -> Glance | None:
        return glance(self.text) if self.text else None

    @cached_property
    def _stacks(self) -> Mapping[str, MappingNode]:
        from flowyml.stacks.sections import stack_nodes  # noqa: PLC0415

        if self.document is None:
            return {}
        return stack_nodes(self.document, also=self._repeated)

    def _section(self, name: str) -> Node | None:
        return self.document.get(name) if self.document else None

    def _resolved(self, node: Node) -> object:
        from flowyml.stacks.interpolation import resolve  # noqa: PLC0415

        problems: list[Problem] = []
        value: object = resolve(node, os.environ, problems)
        if problems:
            raise ConfigurationError(*problems)
        return value

    def _check_name(self, name: str, place: Location | None, source: str | None = None) -> None:
        if name in self.stack_names or name == BUILTIN_STACK:
            return
        known = ", ".join(self.stack_names)
        hint = meant(name, self.stack_names) or f"known stacks: {known}"
        config = self.project.config
        where = f" in {shown_path(config)}" if config and not place else ""
        where += f" (named by {source})" if source else ""
        raise ConfigurationError(Problem(f"there is no stack {name!r}{where}", place, hint))

    def _structured(self, type_: type[T], node: Node, what: str) -> T:
        from flowyml.stacks.structuring import Structurer  # noqa: PLC0415

        structurer = Structurer(self.project.folder, os.environ)
        made = structurer.structure(type_, node, what)
        if made is None:
            raise ConfigurationError(*structurer.problems)
        return made
