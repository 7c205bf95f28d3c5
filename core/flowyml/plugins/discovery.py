"""Which plugins are installed, and the class behind a role and a type.

Listing imports nothing: an entry point's group is the role, its name is the ``type:`` of the YAML.
Only the entry point that a stack asks for is imported.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from attrs import field, frozen

from flowyml.errors import PluginError
from flowyml.plugins.components import Component
from flowyml.plugins.roles import BUILTIN_ROLES, Role

__all__ = ["Catalog", "Provider", "installed"]

PREFIX = "flowyml."

INSTALL = {
    "azure": "azure",
    "gcs": "gcp",
    "mlflow": "mlflow",
    "s3": "aws",
    "sagemaker": "aws",
    "sagemaker_endpoint": "aws",
    "sagemaker_model_registry": "aws",
    "tensorboard": "tensorboard",
    "vertex_ai": "gcp",
    "vertex_endpoint": "gcp",
    "vertex_model_registry": "gcp",
    "wandb": "wandb",
}
"""The extra of ``flowyml`` that brings a type we know of but that is not installed."""


@frozen
class Provider:
    """An entry point: one distribution's offer for one type of one role."""

    role: str
    type: str
    distribution: str
    version: str
    entry_point: EntryPoint = field(repr=False)

    def __str__(self) -> str:
        """Name the distribution and where in it the class is."""
        return f"{self.distribution} {self.version} ({self.entry_point.value})"


@frozen
class Catalog:
    """The providers that one scan found.

    Attributes:
        providers: All of them, by role, type and distribution.
    """

    providers: tuple[Provider, ...]

    def roles(self) -> tuple[str, ...]:
        """Name every role: the built-in ones first, then those that plugins add."""
        builtin = tuple(role.name for role in BUILTIN_ROLES)
        added = {provider.type for provider in self._of("role")}
        return (*builtin, *sorted(added.difference(builtin)))

    def types(self, role: str) -> tuple[str, ...]:
        """Name the types that are installed for a role."""
        return tuple(sorted({provider.type for provider in self._of(role)}))

    def role(self, name: str) -> Role:
        """Return a role, importing the plugin that adds it if it is not built in.

        Raises:
            PluginError: No such role, or its plugin is broken.
        """
        for role in BUILTIN_ROLES:
            if role.name == name:
                return role
        provider = self.find("role", name)
        loaded = _load(provider)
        if not isinstance(loaded, Role):
            message = f"the role {name!r} of {provider} is not a flowyml Role"
            raise PluginError(message)
        return loaded

    def component(self, role: str, type_: str) -> type[Component]:
        """Return the class behind a type, importing its plugin and no other.

        Raises:
            PluginError: The type is unknown, provided twice, or its plugin is broken.
        """
        provider = self.find(role, type_)
        loaded = _load(provider)
        if not (isinstance(loaded, type) and issubclass(loaded, Component)):
            message = (
                f"the {role} {type_!r} of {provider} is not a component: "
                f"a component is a class that derives from flowyml.plugins.Component"
            )
            raise PluginError(message)
        return loaded

    def find(self, role: str, type_: str) -> Provider:
        """Return the only provider of a type.

        Raises:
            PluginError: There is none, or more than one.
        """
        found = [provider for provider in self._of(role) if provider.type == type_]
        if len(found) == 1:
            return found[0]
        if found:
            offers = " and ".join(str(provider) for provider in found)
            message = f"the {role} {type_!r} is provided twice, by {offers}; uninstall one of them"
            raise PluginError(message)
        raise PluginError(self.unknown(role, type_))

    def unknown(self, role: str, type_: str) -> str:
        """Say that a type is not installed, and which ones are, or how to get it."""
        known = self.types(role)
        message = f"unknown {role} type {type_!r}"
        if type_ in INSTALL:
            return f"{message}: install it with `pip install 'flowyml[{INSTALL[type_]}]'`"
        if close := difflib.get_close_matches(type_, known, n=1):
            message += f"; did you mean {close[0]!r}?"
        return f"{message} (installed: {', '.join(known) or 'none'})"

    def _of(self, role: str) -> Iterable[Provider]:
        return (provider for provider in self.providers if provider.role == role)


@cache
def installed() -> Catalog:
    """Scan the environment's entry points, once a process."""
    scanned = entry_points()
    found = [
        Provider(
            role=group.removeprefix(PREFIX),
            type=entry_point.name,
            distribution=entry_point.dist.name if entry_point.dist else "unknown",
            version=entry_point.dist.version if entry_point.dist else "unknown",
            entry_point=entry_point,
        )
        for group in scanned.groups
        if group.startswith(PREFIX)
        for entry_point in scanned.select(group=group)
    ]
    found.sort(key=lambda provider: (provider.role, provider.type, provider.distribution))
    return Catalog(tuple(found))


def _load(provider: Provider) -> object:
    """Import what an entry point names; whatever it raises becomes an error that names it."""
    try:
        return provider.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as cause:  # a plugin may even call sys.exit() while it is imported
        message = (
            f"the {provider.role} {provider.type!r} of {provider} cannot be imported: "
            f"{type(cause).__name__}: {cause}"
        )
        raise PluginError(message) from cause
