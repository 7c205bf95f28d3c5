"""Which plugins are installed, and the class behind a role and a type.

Listing imports nothing: an entry point's group is the role, its name is the ``type:`` of the YAML.
Only the entry point that a stack asks for is imported, and whatever happens then becomes an error
that names the plugin, its distribution and its version.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from flowyml._version import __version__
from flowyml.errors import PluginError
from flowyml.plugins.api import API_VERSION, fits
from flowyml.plugins.roles import BUILTIN_ROLES, SETTINGS, Role
from flowyml.spelling import hint

if TYPE_CHECKING:
    from flowyml.plugins.components import Component

__all__ = [
    "DISABLE_VARIABLE",
    "Catalog",
    "PluginWarning",
    "Provider",
    "installed",
    "misfit",
    "warn_of_misfits",
]

PREFIX: Final = "flowyml."
OWN: Final = "flowyml"
DISABLE_VARIABLE: Final = "FLOWYML_PLUGINS_DISABLE"

INSTALL: Final[Mapping[str, Mapping[str, str]]] = {
    "artifact_store": {"azure": "azure", "gcs": "gcp", "s3": "aws"},
    "experiment_tracker": {"mlflow": "mlflow", "tensorboard": "tensorboard", "wandb": "wandb"},
    "model_registry": {
        "mlflow": "mlflow",
        "sagemaker_model_registry": "aws",
        "vertex_model_registry": "gcp",
    },
    "model_deployer": {"sagemaker_endpoint": "aws", "vertex_endpoint": "gcp"},
    "orchestrator": {"sagemaker": "aws", "vertex_ai": "gcp"},
}
"""By role and type, the extra of ``flowyml`` that brings what may not be installed."""


_REQUIRES: Final = re.compile(
    r"flowyml(?:\[[^\]]*\])?\s*\(?(?P<range>[<>=!~][^;()]*)?\)?\s*(?:;|$)"
)


class PluginWarning(UserWarning):
    """A distribution is installed whose plugins cannot be used with this FlowyML."""


@frozen
class Provider:
    """An entry point: one distribution's offer for one type of one role.

    Attributes:
        requires: The versions of ``flowyml`` that the distribution requires (``>=3.0,<4``).
    """

    role: str
    type: str
    distribution: str
    version: str
    entry_point: EntryPoint = field(repr=False)
    requires: str = ""

    def __str__(self) -> str:
        """Name the distribution and where in it the class is."""
        return f"{self.distribution} {self.version} ({self.entry_point.value})"


@frozen
class Catalog:
    """The providers that one scan found.

    Attributes:
        providers: All of them, by role, type and distribution.
        disabled: Those that ``FLOWYML_PLUGINS_DISABLE`` took out.
    """

    providers: tuple[Provider, ...]
    disabled: tuple[Provider, ...] = ()

    def roles(self) -> tuple[str, ...]:
        """Name every role: the built-in ones first, then those that plugins add."""
        builtin = tuple(role.name for role in BUILTIN_ROLES)
        added = {provider.type for provider in self._of("role")}
        return (*builtin, *sorted(added.difference(builtin, SETTINGS)))

    def sound_roles(self) -> tuple[list[Role], list[PluginError]]:
        """Return every role that can be imported, and why the others cannot."""
        roles: list[Role] = []
        faults: list[PluginError] = []
        for name in self.roles():
            try:
                roles.append(self.role(name))
            except PluginError as fault:
                faults.append(fault)
        return roles, faults

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
        if name in SETTINGS:
            message = f"{_told(provider)} has the name of a setting of every stack; give it another"
            raise PluginError(message)
        loaded = _load(provider)
        if not isinstance(loaded, Role) or loaded.name != name:
            message = f"{_told(provider)} is not a flowyml.plugins.Role of that name"
            raise PluginError(message)
        return loaded

    def component(self, role: str, type_: str) -> type[Component]:
        """Return the class behind a type, importing its plugin and no other.

        Raises:
            PluginError: The type is unknown, provided twice, or its plugin is broken.
        """
        provider = self.find(role, type_)
        loaded = _load(provider)
        if fault := misfit(provider) or _fault(loaded, role):
            message = f"{_told(provider)} {fault}"
            raise PluginError(message)
        return loaded  # type: ignore[return-value]  # the fault would have said so

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
            message = (
                f"the {role} {type_!r} is provided twice, by {offers}; uninstall one of them, "
                f"or disable it with {DISABLE_VARIABLE}"
            )
            raise PluginError(message)
        raise PluginError(self.unknown(role, type_))

    def unknown(self, role: str, type_: str) -> str:
        """Say that a type is not installed, and which ones are, or how to get it."""
        for provider in self.disabled:
            if (provider.role, provider.type) == (role, type_):
                return f"{_told(provider)} is disabled by {DISABLE_VARIABLE}"
        known, extras = self.types(role), INSTALL.get(role, {})
        message = f"unknown {role} type {type_!r}"
        if extra := self.extra_of(role, type_):
            return f"{message}: install it with `pip install 'flowyml[{extra}]'`"
        if roles := self._roles_with(type_):
            message += f", which is a type of {' and '.join(roles)}"
        else:
            message += hint(type_, [*known, *extras])
        return f"{message} (installed: {', '.join(known) or 'none'})"

    def extra_of(self, role: str, type_: str) -> str | None:
        """Return the extra of FlowyML that brings a type; None where none does, or it is there."""
        there = ((each.role, each.type) for each in (*self.providers, *self.disabled))
        return None if (role, type_) in there else INSTALL.get(role, {}).get(type_)

    def _roles_with(self, type_: str) -> list[str]:
        """Name the roles that have a type of this name, installed or known."""
        return [
            role
            for role in self.roles()
            if type_ in self.types(role) or type_ in INSTALL.get(role, {})
        ]

    def _of(self, role: str) -> Iterable[Provider]:
        return (provider for provider in self.providers if provider.role == role)


@cache
def installed() -> Catalog:
    """Scan the environment's entry points, once a process."""
    scanned = entry_points()
    offers = [
        entry_point
        for group in scanned.groups
        if group.startswith(PREFIX)
        for entry_point in scanned.select(group=group)
    ]
    origins = {id(offer.dist): _origin(offer.dist) for offer in offers}
    found = [_provider(offer, *origins[id(offer.dist)]) for offer in offers]
    found.sort(key=lambda provider: (provider.role, provider.type, provider.distribution))
    unwanted = {_normal(name) for name in os.environ.get(DISABLE_VARIABLE, "").split(",")} - {""}
    disabled = tuple(provider for provider in found if _is_disabled(provider, unwanted))
    return Catalog(tuple(each for each in found if each not in disabled), disabled)


def _origin(distribution: Distribution | None) -> tuple[str, str, str]:
    """Return a distribution's name, its version and what it requires of ``flowyml``."""
    if distribution is None or "Name" not in (metadata := distribution.metadata):
        return "unknown", "unknown", ""
    required = (_REQUIRES.match(line) for line in metadata.get_all("Requires-Dist", []))
    ranges = (found["range"] or "" for found in required if found)
    return metadata["Name"], distribution.version, next(ranges, "").replace(" ", "")


def _provider(offer: EntryPoint, distribution: str, version: str, requires: str) -> Provider:
    role = offer.group.removeprefix(PREFIX)
    return Provider(role, offer.name, distribution, version, offer, requires)


def _is_disabled(provider: Provider, unwanted: AbstractSet[str]) -> bool:
    """Whether a third party's plugin is switched off, by its type, its distribution, or ``*``."""
    names = {"*", _normal(provider.type), _normal(provider.distribution)}
    return provider.distribution != OWN and bool(names & unwanted)


def _normal(name: str) -> str:
    """Return a distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _load(provider: Provider) -> object:
    """Import what an entry point names; whatever it raises becomes an error that names it."""
    try:
        return provider.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as cause:  # a plugin may even call sys.exit() while it is imported
        message = f"{_told(provider)} cannot be imported: {type(cause).__name__}: {cause}"
        raise PluginError(message) from cause


def misfit(provider: Provider) -> str | None:
    """Say why a distribution does not go with this flowyml, whoever installed them together."""
    try:
        outside = not fits(__version__, provider.requires)
    except ValueError:  # the installer knows more ways to write a range than we do
        return None
    if outside:
        return f"requires flowyml {provider.requires}, and this is {__version__}"
    return None


def warn_of_misfits(catalog: Catalog) -> None:
    """Warn of each distribution that does not go with this flowyml, from its metadata alone.

    For when a stack has been built: whatever that stack uses would have been an error.
    """
    faults = {
        (each.distribution, each.version): fault
        for each in catalog.providers
        if (fault := misfit(each))
    }
    for (name, version), fault in faults.items():
        message = (
            f"{name} {version}, which the stack does not use, {fault}; upgrade it, uninstall it, "
            f"or switch it off with {DISABLE_VARIABLE}={name}"
        )
        warnings.warn(message, PluginWarning, stacklevel=1)


def _fault(loaded: object, role: str) -> str | None:
    """Say why what an entry point names cannot be a component of a role; None where it can."""
    from flowyml.plugins.components import Component  # noqa: PLC0415  # a listing needs none

    if not (isinstance(loaded, type) and issubclass(loaded, Component)):
        return (
            "is not a component: a component is a class that derives from flowyml.plugins.Component"
        )
    if getattr(loaded, "role", role) != role:
        return f"is a component of the role {loaded.role!r}"
    if "__attrs_attrs__" not in vars(loaded) and vars(loaded).get("__annotations__"):
        return "is not decorated with @attrs.define, so that its fields are no configuration"
    try:
        outside = not fits(API_VERSION, loaded.flowyml_api)
    except ValueError as error:
        return f"has a wrong flowyml_api: {error}"
    if outside:
        return (
            f"is built for the hook contract {loaded.flowyml_api}, and this flowyml has "
            f"{API_VERSION}; upgrade whichever is older"
        )
    return None


def _told(provider: Provider) -> str:
    return f"the {provider.role} {provider.type!r} of {provider}"
