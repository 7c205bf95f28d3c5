"""FlowyML: your code defines what, your YAML defines where."""

from __future__ import annotations

from flowyml._lazy import attach
from flowyml._version import __version__

TYPE_CHECKING = False  # as in `_lazy`
if TYPE_CHECKING:
    from flowyml.artifacts import Artifact, Dataset, Metrics, Model, Parameters
    from flowyml.pipelines.context import context, secret
    from flowyml.pipelines.inside import (
        deploy_model,
        log_metrics,
        log_parameters,
        register_model,
        store_artifact,
    )
    from flowyml.pipelines.pipeline import Pipeline
    from flowyml.pipelines.reading import Run, load
    from flowyml.pipelines.retry import Retry
    from flowyml.pipelines.step import step
    from flowyml.plugins.markers import hookimpl
    from flowyml.stacks.active import use_stack
    from flowyml.stacks.rules import Route

__all__ = [
    "Artifact",
    "Dataset",
    "Metrics",
    "Model",
    "Parameters",
    "Pipeline",
    "Retry",
    "Route",
    "Run",
    "__version__",
    "context",
    "deploy_model",
    "hookimpl",
    "load",
    "log_metrics",
    "log_parameters",
    "register_model",
    "secret",
    "step",
    "store_artifact",
    "use_stack",
]

__getattr__ = attach(
    __name__,
    {
        "flowyml.artifacts": ("Artifact", "Dataset", "Metrics", "Model", "Parameters"),
        "flowyml.pipelines.context": ("context", "secret"),
        "flowyml.pipelines.inside": (
            "deploy_model",
            "log_metrics",
            "log_parameters",
            "register_model",
            "store_artifact",
        ),
        "flowyml.pipelines.pipeline": ("Pipeline",),
        "flowyml.pipelines.reading": ("Run", "load"),
        "flowyml.pipelines.retry": ("Retry",),
        "flowyml.pipelines.step": ("step",),
        "flowyml.plugins.markers": ("hookimpl",),
        "flowyml.stacks.active": ("use_stack",),
        "flowyml.stacks.rules": ("Route",),
    },
)
