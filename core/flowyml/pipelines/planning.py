"""The plan of a pipeline: its declared outputs, routed without running a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from flowyml.artifacts import Parameters
from flowyml.pipelines.context import Context
from flowyml.pipelines.graph import Graph, Node
from flowyml.pipelines.step import YIELDED
from flowyml.records import CONTEXT
from flowyml.routing.containers import child_name
from flowyml.routing.plan import DeclaredOutput, Plan, make_plan
from flowyml.routing.router import Router
from flowyml.stacks.active import current_stack
from flowyml.stacks.stack import Stack

if TYPE_CHECKING:
    from flowyml.pipelines.pipeline import Pipeline

__all__ = ["CONTEXT_HOOKS", "logs_context", "plan_graph", "plan_run"]

CONTEXT_HOOKS: Final = ("log_parameters",)
"""What the context's values are given to; the run's own record has them, so they are not stored."""


def plan_run(pipeline: Pipeline, stack: str | None) -> Plan:
    """Return what a run of a pipeline would do."""
    chosen = current_stack(stack)
    return plan_graph(pipeline.name, pipeline.graph(), pipeline.context, chosen, Router(chosen))


def plan_graph(pipeline: str, graph: Graph, context: Context, stack: Stack, router: Router) -> Plan:
    """Return what a run of wired steps would do.

    Args:
        pipeline: Name of the pipeline.
        graph: The steps.
        context: The context values of the run.
        stack: The stack.
        router: The router of the run.
    """
    declared = [output for node in graph.nodes.values() for output in _declared(node)]
    if logs_context(context, stack):
        declared.insert(0, DeclaredOutput(CONTEXT, CONTEXT, Parameters, CONTEXT_HOOKS))
    return make_plan(pipeline, declared, stack, router)


def logs_context(context: Context, stack: Stack) -> bool:
    """Whether a run logs its context's values before its first step."""
    return bool(context.public) and bool(stack.of_role("experiment_tracker"))


def _declared(node: Node) -> Iterator[DeclaredOutput]:
    """Yield what a step returns, and what it yields before, of which there may be any number."""
    if node.step.is_generator:
        yielded = f"{child_name(node.name, YIELDED)}*"
        yield DeclaredOutput(node.name, yielded, node.step.yielded)
    for output in node.step.outputs:
        if output.annotation is Any or not node.may_leave_out(output):
            yield DeclaredOutput(node.name, output.name, output.annotation)
