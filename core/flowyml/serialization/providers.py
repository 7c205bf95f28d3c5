"""Serializers of other distributions, by the entry-point group ``flowyml.serializer``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from attrs import field, frozen

from flowyml.errors import PluginError
from flowyml.serialization.contract import Serializer

__all__ = ["Provider", "provider_for", "providers"]

GROUP = "flowyml.serializer"

MEMBERS = ("name", "read", "runs_code", "version", "writer")


@frozen
class Provider:
    """An entry point: one distribution's serializer for one class.

    Attributes:
        key: Qualified name of the class, with dots.
    """

    key: str
    entry_point: EntryPoint = field(repr=False)

    def __str__(self) -> str:
        """Name the distribution and where in it the serializer is."""
        distribution = self.entry_point.dist
        name = f"{distribution.name} {distribution.version}" if distribution else "unknown"
        return f"{name} ({self.entry_point.value})"

    def load(self) -> Serializer:
        """Import and make the serializer.

        Raises:
            PluginError: It cannot be imported, or lacks a part of the contract.
        """
        try:
            made = self.entry_point.load()()
        except KeyboardInterrupt:
            raise
        except BaseException as cause:  # a package may even call sys.exit() while it is imported
            message = (
                f"the serializer for {self.key} of {self} cannot be used: "
                f"{type(cause).__name__}: {cause}"
            )
            raise PluginError(message) from cause
        if missing := [name for name in MEMBERS if not hasattr(made, name)]:
            message = f"the serializer for {self.key} of {self} has no {', '.join(missing)}"
            raise PluginError(message)
        return cast("Serializer", made)


def provider_for(cls: type) -> Provider | None:
    """Return the only provider that names this very class.

    Raises:
        PluginError: There are two.
    """
    key = f"{cls.__module__}.{cls.__qualname__}"
    found = [provider for provider in providers() if provider.key == key]
    if len(found) > 1:
        offers = " and ".join(str(provider) for provider in found)
        message = f"the serializer for {key} is provided twice, by {offers}; uninstall one of them"
        raise PluginError(message)
    return found[0] if found else None


@cache
def providers() -> tuple[Provider, ...]:
    """Scan the environment's entry points, once a process and only when a class is not built in."""
    found = [Provider(entry.name, entry) for entry in entry_points(group=GROUP)]
    return tuple(sorted(found, key=str))
