"""The stack: the components behind the roles, the rules, and the hooks that reach them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Self, cast

from attrs import evolve, field, frozen

from flowyml.errors import ConfigurationError, Location
from flowyml.plugins.components import ArtifactStore, Component
from flowyml.plugins.roles import Role
from flowyml.spelling import hint
from flowyml.stacks.hooks import Hooks
from flowyml.stacks.rules import Rule

__all__ = ["FIRST_STORE", "FURTHER_STORES", "Stack", "store_names", "unknown_store"]

FIRST_STORE: Final = "artifact_store"
FURTHER_STORES: Final = "artifact_stores"


@frozen(eq=False)
class Stack:
    """What the YAML names, ready to be used.

    A component's name is its role (``artifact_store``); ``artifact_stores.NAME`` for a further
    store, ``experiment_tracker.TYPE`` where the stack gives a list, ``extensions.TYPE`` for an
    extension; ``-2`` is appended to the second of one type.

    Attributes:
        name: Its name.
        components: By the name of the component.
        types: Their ``type:``, by the name of the component.
        rules: ``artifact_routing``, by the name of the type.
        rule_places: Where the rules stand in the file.
        hooks: The typed facade over the components' hooks.
        roles: The roles that deliver, in the order in which they do: all the built-in ones, and
            those of third parties that this stack fills.
        trust: What may be read although nobody vouches for it; ``pickle`` is all there is.
        cache: Whether a step that does not say so itself may be answered from an earlier run.
    """

    name: str
    components: Mapping[str, Component] = field(repr=False)
    types: Mapping[str, str]
    rules: Mapping[str, Rule] = field(repr=False)
    hooks: Hooks = field(repr=False)
    roles: Mapping[str, Role] = field(repr=False)
    rule_places: Mapping[str, Location] = field(factory=dict, repr=False)
    trust: frozenset[str] = frozenset()
    cache: bool = False

    def of_role(self, role: str) -> tuple[str, ...]:
        """Name the components that fill a role; none, one, or several trackers."""
        return tuple(
            name for name in self.components if name == role or name.startswith(f"{role}.")
        )

    def keeping(self, secrets: Iterable[str]) -> Self:
        """Return the same stack, for a run whose secrets its hooks have to keep as well."""
        return evolve(self, hooks=self.hooks.keeping(secrets))

    def preflight(self) -> None:
        """Check cheaply, before a run starts, that every component can do its work.

        Raises:
            FlowyMLError: One cannot.
        """
        for name, component in self.components.items():
            with self.hooks.in_words("get ready", name):
                component.preflight()

    def store_name(self, name: str | None) -> str:
        """Return the component behind what a rule calls a store.

        The stack's ``artifact_store`` answers to None, to ``default`` and to its type.

        Raises:
            ConfigurationError: The stack has no such store.
        """
        if name is None or name in self.stores:
            return name or FIRST_STORE
        found = store_names(self.types).get(name)
        if found is None:
            raise ConfigurationError(unknown_store(self.name, name, self.types))
        return found

    @property
    def stores(self) -> tuple[str, ...]:
        """The components that keep artifacts, the default one first."""
        return (FIRST_STORE, *self.of_role(FURTHER_STORES))

    def store_uri(self, component: str) -> str:
        """Return the URI below which a store keeps everything."""
        try:
            return cast("ArtifactStore", self.components[component]).root_uri().rstrip("/")
        except NotImplementedError:  # it overrides the hooks, and need not know of URIs in advance
            return f"{self.types[component]}:/"

    def store_of_uri(self, uri: str) -> str | None:
        """Return the store that keeps what lies at a URI; the closest, where roots are nested."""
        roots = [(self.store_uri(name), name) for name in self.stores]
        keeping = [(root, name) for root, name in roots if f"{uri}/".startswith(f"{root}/")]
        return max(keeping, key=lambda found: len(found[0]))[1] if keeping else None


def store_names(types: Mapping[str, str]) -> Mapping[str, str]:
    """Return the names that rules give to stores, with the component behind each.

    Args:
        types: The types of a stack's components, by their names.
    """
    further = [name for name in types if name.startswith(f"{FURTHER_STORES}.")]
    named = {name.removeprefix(f"{FURTHER_STORES}."): name for name in further}
    first = {types[FIRST_STORE]: FIRST_STORE} if FIRST_STORE in types else {}
    return {"default": FIRST_STORE, **first, **named}


def unknown_store(stack: str, name: str, types: Mapping[str, str]) -> str:
    """Say that a stack has no store of a name, and which ones it has."""
    known = store_names(types)
    meant = hint(name, known)
    return f"the stack {stack!r} has no store {name!r}{meant} (its stores: {', '.join(known)})"
