"""Whether an installed plugin can be used, as far as that is seen without importing it."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

from flowyml.plugins.discovery import misfit

if TYPE_CHECKING:
    from flowyml.plugins.discovery import Catalog, Provider

__all__ = ["soundness"]


def soundness(provider: Provider, catalog: Catalog) -> tuple[str, str | None]:
    """Return a plugin's status, and what is wrong where it is not ``ok``.

    ``disabled``, ``duplicate`` (another distribution has the same type), ``incompatible`` (it is
    made for another FlowyML) or ``broken`` (its module is missing, or is no Python). A fault that
    only shows when the module is executed is not found here.
    """
    if provider in catalog.disabled:
        return "disabled", "FLOWYML_PLUGINS_DISABLE names it"
    place = (provider.role, provider.type)
    rivals = [each for each in catalog.providers if (each.role, each.type) == place]
    if others := [str(each) for each in rivals if each is not provider]:
        return "duplicate", f"{' and '.join(others)} has it as well"
    if unfit := misfit(provider):
        return "incompatible", f"it {unfit}"
    fault = _fault(provider.entry_point.module)
    return ("broken", fault) if fault else ("ok", None)


def _fault(module: str) -> str | None:
    """Look at a module's file without executing any of it."""
    spec = _find(module)
    if spec is None:
        return f"there is no module {module}"
    if not (isinstance(spec.loader, SourceFileLoader) and spec.origin):
        return None
    try:
        compile(Path(spec.origin).read_bytes(), spec.origin, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError) as error:
        return f"{spec.origin}: {error}"
    return None


def _find(module: str) -> ModuleSpec | None:
    """Find a module as an import would; `importlib.util.find_spec` imports the packages above."""
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    name = ""
    for part in module.split("."):
        if spec is not None and spec.submodule_search_locations is None:
            return None
        path = list(spec.submodule_search_locations or ()) if spec else None
        name = f"{name}.{part}" if name else part
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((each for each in found if each is not None), None)
        if spec is None:
            return None
    return spec
