"""The libraries that a component works with, looked for without importing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from attrs import frozen

from flowyml.plugins.components import Component

__all__ = ["MissingLibrary", "install_command", "missing_libraries"]


@frozen
class MissingLibrary:
    """A module that a component needs and that this environment does not have.

    Attributes:
        module: Name of the module.
        requirement: What to install.
    """

    module: str
    requirement: str


def install_command(missing: Iterable[MissingLibrary]) -> str:
    """Return the one command that brings libraries."""
    requirements = dict.fromkeys(f"'{library.requirement}'" for library in missing)
    return f"pip install {' '.join(requirements)}"


def missing_libraries(component: Component) -> Iterator[MissingLibrary]:
    """Yield the libraries that a component cannot work without, and that are not installed."""
    for module, requirement in component.libraries.items():
        if find_spec(module) is None:
            yield MissingLibrary(module, requirement)
