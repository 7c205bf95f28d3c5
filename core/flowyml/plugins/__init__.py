"""What a plugin author reads: the markers, the hook contract, the base classes, discovery.

`use_stack` is here as well, because users look for it where the backends are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowyml._lazy import attach

if TYPE_CHECKING:
    from flowyml.plugins.bucket_store import BucketStore
    from flowyml.plugins.components import (
        ArtifactStore,
        Component,
        ExperimentTracker,
        Extension,
        ModelDeployer,
        ModelRegistry,
        Orchestrator,
        StepExecutor,
    )
    from flowyml.plugins.markers import hookimpl, hookspec
    from flowyml.plugins.roles import DeliveryHook, Role
    from flowyml.stacks.active import use_stack

__all__ = [
    "ArtifactStore",
    "BucketStore",
    "Component",
    "DeliveryHook",
    "ExperimentTracker",
    "Extension",
    "ModelDeployer",
    "ModelRegistry",
    "Orchestrator",
    "Role",
    "StepExecutor",
    "hookimpl",
    "hookspec",
    "use_stack",
]

__getattr__ = attach(
    __name__,
    {
        "flowyml.plugins.bucket_store": ("BucketStore",),
        "flowyml.plugins.components": (
            "ArtifactStore",
            "Component",
            "ExperimentTracker",
            "Extension",
            "ModelDeployer",
            "ModelRegistry",
            "Orchestrator",
            "StepExecutor",
        ),
        "flowyml.plugins.markers": ("hookimpl", "hookspec"),
        "flowyml.plugins.roles": ("DeliveryHook", "Role"),
        "flowyml.stacks.active": ("use_stack",),
    },
)
