"""How a part of the contract goes: it works on for a while, and warns whoever uses it.

A hook says so in its specification, ``@hookspec(warn_on_impl=going("2.0", "implement ..."))``, and
for one of its arguments ``warn_on_impl_args={"name": going("2.0", "take ...")}``; an attribute or
a method of a base class in the ``deprecated`` of that class. A third party's role does the same.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any, Final, cast

import pluggy

from flowyml.plugins.components import Component

__all__ = ["DeprecatingManager", "going", "warn_of_use"]

WHOLE: Final = ""
"""Stands for the hook itself where else the name of an argument stands."""


def going(version: str, instead: str) -> DeprecationWarning:
    """Return the warning for what goes.

    Args:
        version: The version of the hook contract in which it is not there any more.
        instead: What to do instead, as an order (``implement log_metrics_batch``).
    """
    return DeprecationWarning(f"goes with version {version} of the contract; {instead}")


class DeprecatingManager(pluggy.PluginManager):
    """Keeps what specifications say of their end, to tell whose plugin it is about.

    pluggy's own warning is the text of the specification, which knows no plugin.
    """

    def __init__(self, project_name: str) -> None:
        """Begin without any."""
        super().__init__(project_name)
        self._going: dict[str, dict[str, Warning]] = {}

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> pluggy.HookspecOpts | None:
        """Take the warnings of a specification out of pluggy's hands."""
        found = super().parse_hookspec_opts(module_or_class, name)
        if found is None or not (found["warn_on_impl"] or found["warn_on_impl_args"]):
            return found
        self._going[name] = dict(found["warn_on_impl_args"] or {})
        if found["warn_on_impl"]:
            self._going[name][WHOLE] = found["warn_on_impl"]
        silent = {**found, "warn_on_impl": None, "warn_on_impl_args": None}
        return cast("pluggy.HookspecOpts", silent)

    def used(self, plugin: object) -> Iterator[str]:
        """Tell which hooks, and which arguments of hooks, a plugin implements that go."""
        for name, going_parts in self._going.items():
            implementations = getattr(self.hook, name).get_hookimpls()
            for implementation in (each for each in implementations if each.plugin is plugin):
                for part, warning in going_parts.items():
                    if part == WHOLE:
                        yield f"implements the hook {name!r}, which {warning}"
                    elif part in implementation.argnames:
                        yield f"takes {part!r} in the hook {name!r}, which {warning}"


def warn_of_use(told: str, cls: type[Component], used: Iterator[str]) -> None:
    """Warn of what a component uses of the contract although it goes, at the component's module.

    Args:
        told: What names the component, its distribution and its version.
        cls: Its class.
        used: What it uses of the hooks.
    """
    module = sys.modules[cls.__module__]
    place = getattr(module, "__file__", None) or cls.__module__
    known = vars(module).setdefault("__warningregistry__", {})  # so that one is told once
    for use in (*used, *_overridden(cls)):
        message = f"the {told} {use}"
        warnings.warn_explicit(message, DeprecationWarning, place, 1, cls.__module__, known)


def _overridden(cls: type[Component]) -> Iterator[str]:
    """Tell which attributes and methods of its bases a class has as its own although they go."""
    for number, base in enumerate(cls.__mro__):
        for name, warning in vars(base).get("deprecated", {}).items():
            if any(name in vars(derived) for derived in cls.__mro__[:number]):
                yield f"has {name!r} of {base.__name__}, which {warning}"
