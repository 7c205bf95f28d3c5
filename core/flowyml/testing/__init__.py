"""Suites that a plugin's tests subclass: what every component of a role has to do.

They need ``flowyml[testing]``. A subclass gives the fixtures that make the component and look at
its backend with the backend's own means; what the component says about itself proves nothing.
Flags of the class tell what the backend cannot do, and ``skips`` names the tests that do not apply,
each with its reason, which the report of pytest shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowyml._lazy import attach

try:
    import pytest
except ImportError as cause:  # pragma: no cover  # where this is tested, pytest is installed
    message = "flowyml.testing needs pytest; install it with `pip install 'flowyml[testing]'`"
    raise ImportError(message) from cause

if TYPE_CHECKING:
    from flowyml.testing.components import ComponentContract
    from flowyml.testing.deliveries import Deliveries
    from flowyml.testing.deployers import DeployerContract
    from flowyml.testing.extensions import ExtensionContract
    from flowyml.testing.orchestrators import OrchestratorContract
    from flowyml.testing.registries import RegistryContract
    from flowyml.testing.serializers import SerializerContract
    from flowyml.testing.stores import FolderBackend, StoreBackend, StoreContract
    from flowyml.testing.trackers import TrackerContract

__all__ = [
    "ComponentContract",
    "Deliveries",
    "DeployerContract",
    "ExtensionContract",
    "FolderBackend",
    "OrchestratorContract",
    "RegistryContract",
    "SerializerContract",
    "StoreBackend",
    "StoreContract",
    "TrackerContract",
]

PARTS = {
    "flowyml.testing.components": ("ComponentContract",),
    "flowyml.testing.deliveries": ("Deliveries",),
    "flowyml.testing.deployers": ("DeployerContract",),
    "flowyml.testing.extensions": ("ExtensionContract",),
    "flowyml.testing.orchestrators": ("OrchestratorContract",),
    "flowyml.testing.registries": ("RegistryContract",),
    "flowyml.testing.serializers": ("SerializerContract",),
    "flowyml.testing.stores": ("FolderBackend", "StoreBackend", "StoreContract"),
    "flowyml.testing.trackers": ("TrackerContract",),
}

# What an assertion compared is shown only for modules that pytest rewrites before their import.
pytest.register_assert_rewrite(*PARTS)

__getattr__ = attach(__name__, PARTS)
