"""Roles and their hooks: which component of a stack a delivery is addressed to.

The built-in roles are in the table below. A third party adds a role with an entry point of the
group ``flowyml.role`` whose name is the role and whose value is a `Role`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final, Literal

from attrs import field, frozen

from flowyml.plugins import hookspecs

__all__ = ["BUILTIN_ROLES", "SETTINGS", "DeliveryHook", "OnError", "Role"]

SETTINGS: Final = ("artifact_stores", "artifact_routing", "extensions", "trust", "cache")
"""The keys of a stack that are no roles, and that no role may take away from it."""

OnError = Literal["fail", "defer"]


@frozen
class DeliveryHook:
    """A hook that delivers an artifact to one component.

    A hook of a third party's role is called as
    ``hook(artifact=..., stored=..., context=...)`` and returns a `Receipt` or None.

    Attributes:
        name: Name of the hook.
        role: Role of the components that it is addressed to.
        switch: Field of a rule that turns it on and off; None for one that is always on.
        default: Whether it is on where no rule says.
        after: Hooks whose delivery of the same artifact must be done before.
        on_error: What a failure means where no rule says.
    """

    name: str
    role: str
    switch: str | None = None
    default: bool = True
    after: tuple[str, ...] = ("store_artifact",)
    on_error: OnError = "defer"


@frozen
class Role:
    """A key of a stack.

    Attributes:
        name: The key.
        spec: Class or module that holds the role's hookspecs.
        hooks: Its hooks that deliver artifacts.
        several: Whether a stack may give a list of components.
    """

    name: str
    spec: type | ModuleType = field(eq=False, repr=False)
    hooks: tuple[DeliveryHook, ...] = ()
    several: bool = False


BUILTIN_ROLES: tuple[Role, ...] = (
    Role(
        "artifact_store",
        hookspecs.ArtifactStoreSpec,
        hooks=(DeliveryHook("store_artifact", "artifact_store", after=(), on_error="fail"),),
    ),
    Role(
        "experiment_tracker",
        hookspecs.ExperimentTrackerSpec,
        hooks=(
            DeliveryHook("log_metrics", "experiment_tracker", switch="log_to_tracker"),
            DeliveryHook("log_parameters", "experiment_tracker", switch="log_to_tracker"),
        ),
        several=True,
    ),
    Role(
        "model_registry",
        hookspecs.ModelRegistrySpec,
        hooks=(DeliveryHook("register_model", "model_registry", switch="register"),),
    ),
    Role(
        "model_deployer",
        hookspecs.ModelDeployerSpec,
        hooks=(
            DeliveryHook(
                "deploy_model",
                "model_deployer",
                switch="deploy",
                default=False,
                after=("store_artifact", "register_model"),
            ),
        ),
    ),
    Role("orchestrator", hookspecs.OrchestratorSpec),
)
"""The roles that every stack knows, in the order in which they are delivered to."""
