"""``flowyml plugin check``: what an author can know of a plugin before users do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import attrs
from attrs import frozen

from flowyml.cli.soundness import soundness
from flowyml.errors import FlowyMLError, NotFoundError, PluginError
from flowyml.plugins.api import API_VERSION
from flowyml.plugins.descriptions import exposed_fields, unexplained_fields
from flowyml.plugins.discovery import OWN, Catalog, Provider
from flowyml.serialization.providers import Provider as SerializerProvider
from flowyml.stacks.seats import Member, seat_members

if TYPE_CHECKING:
    from flowyml.plugins.components import Component

__all__ = ["Finding", "check_provider", "normal", "providers_of"]


@frozen
class Finding:
    """What a look at a plugin found.

    Attributes:
        check: What was looked at.
        status: How it is; ``skipped`` where nothing could be said.
        message: What was found.
        fix: What to do about it.
    """

    check: str
    status: Literal["ok", "failed", "skipped"]
    message: str
    fix: str | None = None


def providers_of(distribution: str | None, catalog: Catalog) -> list[Provider]:
    """Return what a distribution offers; of all third parties, where none is named.

    Raises:
        NotFoundError: It offers nothing.
    """
    offers = [*catalog.providers, *catalog.disabled]
    if distribution is None:
        return [each for each in offers if each.distribution != OWN]
    wanted = normal(distribution)
    if found := [each for each in offers if normal(each.distribution) == wanted]:
        return found
    known = sorted({each.distribution for each in offers})
    message = (
        f"no distribution {distribution!r} with plugins is installed; "
        f"there are: {', '.join(known)}. An entry point is known once its package is installed "
        "(`pip install -e .`)"
    )
    raise NotFoundError(message)


def check_provider(provider: Provider, catalog: Catalog) -> Iterator[Finding]:
    """Look at one entry point, the cheapest things first; the first that fails ends it."""
    status, problem = soundness(provider, catalog)
    sound = status == "ok"
    yield Finding("discovery", "ok" if sound else "failed", problem or f"found in {provider}")
    for name, look in _looks(provider, catalog) if sound else ():
        try:
            found = look()
        except FlowyMLError as error:
            yield Finding(name, "failed", str(error))
            return
        yield Finding(name, "ok", found)


def normal(name: str) -> str:
    """Return a distribution's name in the form that all its spellings have in common."""
    return name.lower().replace("_", "-").replace(".", "-")


def _looks(provider: Provider, catalog: Catalog) -> Iterator[tuple[str, Callable[[], str]]]:
    if provider.role == "serializer":
        yield "import", lambda: _serializer(provider)
    elif provider.role == "role":
        yield "import", lambda: f"the role {catalog.role(provider.type).name!r}"
    else:
        yield "import", lambda: _imported(provider, catalog)
        yield "hooks", lambda: _hooks(provider, catalog)
        yield "fields", lambda: _fields(catalog.component(provider.role, provider.type))


def _serializer(provider: Provider) -> str:
    made = SerializerProvider(provider.type, provider.entry_point).load()
    return f"the format {made.name!r}, version {made.version}"


def _imported(provider: Provider, catalog: Catalog) -> str:
    cls = catalog.component(provider.role, provider.type)
    if not (cls.flowyml_api or provider.requires or provider.distribution == OWN):
        message = (
            f"neither says {cls.__qualname__} which hook contract it is built for "
            f'(`flowyml_api: ClassVar[str] = ">=1,<2"`), nor says {provider.distribution} which '
            "versions of flowyml it requires; a later one could break it unnoticed"
        )
        raise PluginError(message)
    built = cls.flowyml_api or "any"
    return f"{cls.__qualname__}, built for the hook contract {built} (here: {API_VERSION})"


def _hooks(provider: Provider, catalog: Catalog) -> str:
    cls = catalog.component(provider.role, provider.type)
    # Without its configuration: methods are found by the class, and none is called.
    component: Component = object.__new__(cls)
    if provider.role in catalog.roles():
        catalog.role(provider.role)  # where it is broken, that is what is wrong
    roles, _ = catalog.sound_roles()  # another distribution's, where it is, is not
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", DeprecationWarning)
        manager, seats = seat_members([Member(provider.type, component, provider)], roles)
    callers = manager.get_hookcallers(seats[provider.type]) or []
    if not callers:
        message = f"{cls.__qualname__} implements no hook; mark its methods with @hookimpl"
        raise PluginError(message)
    names = ", ".join(sorted(caller.name for caller in callers))
    return "; ".join([names, *(f"deprecated: {each.message}" for each in told)])


def _fields(cls: type[Component]) -> str:
    if shown := exposed_fields(cls):
        message = f"{', '.join(shown)}: a secret's field is made with `field(repr=False)`"
        raise PluginError(message)
    if silent := unexplained_fields(cls):
        message = (
            f"{', '.join(silent)}: say what it means in the section Attributes of the docstring "
            f"of {cls.__qualname__}; `flowyml plugin show {cls.role}` reads it"
        )
        raise PluginError(message)
    names = [a.name for a in attrs.fields(cls) if a.init and not a.name.startswith("_")]
    return ", ".join(names) or "no configuration"
