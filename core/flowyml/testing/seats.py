"""Components in a stack that no file describes, so that their hooks are called as in a run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint

from flowyml.plugins import Component
from flowyml.plugins.discovery import Provider, installed
from flowyml.stacks.hooks import Hooks
from flowyml.stacks.seats import Member, seat_members

__all__ = ["hooks_of"]


def hooks_of(components: Mapping[str, Component]) -> Hooks:
    """Return the hooks of components, which are held against the contract as in a stack.

    Args:
        components: By their names in the stack; an extension goes before what it wraps.

    Raises:
        PluginError: One has a hook that no role has, or one with other arguments.
    """
    members = [Member(name, each, _provider(name, each)) for name, each in components.items()]
    roles, _ = installed().sound_roles()
    manager, seats = seat_members(members, roles)
    extensions = [name for name, each in components.items() if each.role == "extension"]
    return Hooks(manager, seats, frozenset(extensions))


def _provider(name: str, component: Component) -> Provider:
    cls = type(component)
    place = EntryPoint(name, f"{cls.__module__}:{cls.__qualname__}", f"flowyml.{component.role}")
    return Provider(component.role, name, "under test", "0", place)
