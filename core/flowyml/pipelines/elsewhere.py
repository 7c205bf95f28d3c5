"""Whether steps on other machines would find what they find on this one."""

from __future__ import annotations

from flowyml.errors import ConfigurationError, Problem
from flowyml.plugins.components import StepExecutor
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project

__all__ = ["check_environment"]


def check_environment(executor: StepExecutor, project: Project, stack: str) -> None:
    """Refuse a run whose steps would build another stack, or none, where they run.

    A variable with a default counts as well where it is set here: there the default would stand
    for it, and the step would write to another place.

    Args:
        executor: What runs the steps; it says nothing where they find this environment.
        project: The project.
        stack: Name of the stack.

    Raises:
        ConfigurationError: Variables that the stack uses are set here and not there.
    """
    there = getattr(executor, "environment", None)
    if there is None:
        return
    configuration = Configuration.read(project)
    used = configuration.variables(configuration.node(stack).without(("orchestrator",)))
    lacking = [name for name, value in used.items() if value is not None and name not in there]
    if lacking:
        names = ", ".join(lacking)
        added = ", ".join(f"{name}: ${{{name}}}" for name in lacking)
        message = (
            f"the stack {stack!r} uses environment variables that its orchestrator's jobs do not "
            f"have: {names}"
        )
        hint = f"say which values they get: `environment: {{ {added} }}` of the orchestrator"
        raise ConfigurationError(Problem(message, hint=hint))
