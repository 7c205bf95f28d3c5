"""The rule: what the YAML, or an annotation, says about one artifact type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import attrs
from attrs import field, frozen

from flowyml.plugins.roles import OnError
from flowyml.stacks.templates import PathTemplate

__all__ = ["DeployCondition", "Route", "Rule"]

DeployCondition = Literal["manual", "on_approval", "auto"]


def _template(path: PathTemplate | str | None) -> PathTemplate | None:
    return PathTemplate(path) if isinstance(path, str) else path


@frozen(kw_only=True)
class Rule:
    """How artifacts of one type are delivered; a field that is None says nothing.

    Attributes:
        store: Name of the store in the stack.
        path: Template of the path below the store's root.
        register: Whether models are registered.
        deploy: Whether models may be deployed.
        deploy_condition: What has to happen before a model is deployed.
        deploy_min_metrics: Thresholds for ``deploy_condition: auto``, by metric.
        endpoint_name: Endpoint to deploy to; the model's name where it is not given.
        log_to_tracker: Whether metrics and parameters are logged.
        format: Name of the serializer.
        overwrite: Whether another artifact at the same path may be replaced.
        on_error: Whether a delivery that fails ends the step.
        hooks: Hooks of third parties' roles, switched on or off by name.
    """

    store: str | None = None
    path: PathTemplate | None = field(default=None, converter=_template)
    register: bool | None = None
    deploy: bool | None = None
    deploy_condition: DeployCondition | None = None
    # A Route stands in annotations, which typing hashes; a mapping has no hash.
    deploy_min_metrics: Mapping[str, float] | None = field(default=None, hash=False)
    endpoint_name: str | None = None
    log_to_tracker: bool | None = None
    format: str | None = None
    overwrite: bool | None = None
    on_error: OnError | None = None
    hooks: Mapping[str, bool] | None = field(default=None, hash=False)

    def over(self, general: Self) -> Self:
        """Return this rule with what it leaves unset taken from a more general one."""
        inherited = {
            a.name: getattr(general, a.name)
            for a in attrs.fields(Rule)
            if getattr(self, a.name) is None
        }
        return attrs.evolve(self, **inherited)


Route = Rule
"""A rule in an annotation: ``Annotated[Model, Route(register=False)]`` is for that output alone."""
