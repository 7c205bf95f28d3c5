"""The plan of a pipeline: its declared outputs, routed without running a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from flowyml.artifacts import Parameters
from flowyml.errors import PipelineError
from flowyml.pipelines.annotations import may_take
from flowyml.pipelines.context import Context, reveal
from flowyml.pipelines.graph import Graph, Node
from flowyml.pipelines.step import YIELDED
from flowyml.records import CONTEXT
from flowyml.routing.containers import child_name
from flowyml.routing.plan import DeclaredOutput, Plan, make_plan
from flowyml.routing.router import Router
from flowyml.spelling import hint, spelled
from flowyml.stacks.active import current_stack
from flowyml.stacks.stack import Stack

if TYPE_CHECKING:
    from flowyml.pipelines.pipeline import Pipeline

__all__ = ["CONTEXT_HOOKS", "check_parameters", "logs_context", "plan_graph", "plan_run"]

CONTEXT_HOOKS: Final = ("log_parameters",)
"""What the context's values are given to; the run's own record has them, so they are not stored."""


def plan_run(
    pipeline: Pipeline, stack: str | None, parameters: Mapping[str, Any] | None = None
) -> Plan:
    """Return what a run of a pipeline with these context values over its own would do."""
    given, chosen = dict(parameters or {}), current_stack(stack)
    graph = pipeline.graph(given)
    check_parameters(pipeline, graph, given)
    return plan_graph(pipeline.name, graph, pipeline.context.over(given), chosen, Router(chosen))


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


def check_parameters(pipeline: Pipeline, graph: Graph, given: Mapping[str, Any]) -> None:
    """Refuse a value for this run that no step asks for, or that is none for the step that does.

    Raises:
        PipelineError: No step takes one of them, nor has the pipeline's context it; or it is text
            where a step takes a number, or the like.
    """
    asked = {name for node in graph.nodes.values() for name in node.context_names}
    for name in given:
        if name not in asked and name not in pipeline.context:
            steps = (node.step for node in graph.nodes.values())
            takable = {parameter.name for step in steps for parameter in step.parameters}
            known = sorted((takable | pipeline.context.keys()) - graph.producers.keys())
            message = (
                f"no step of {pipeline.name!r} takes the parameter {name!r}{hint(name, known)} "
                f"(parameters: {', '.join(known) or 'none'})"
            )
            raise PipelineError(message)
    for node in graph.nodes.values():
        _check_values(node, given)


def _check_values(node: Node, given: Mapping[str, Any]) -> None:
    annotations = {parameter.name: parameter.annotation for parameter in node.step.parameters}
    for taken in node.inputs:
        if taken.kind == "output" or taken.name not in given:
            continue
        value, annotation = reveal(given[taken.name]), annotations.get(taken.parameter, Any)
        if not may_take(annotation, value):
            message = (
                f"step {node.name!r} takes {taken.parameter!r} as {spelled(annotation)}, and this "
                f"run gives it {_kind(value)}; a number is written as 0.1, a bool as true "
                "or false, and text that looks like one of them in quotes, as '\"5\"'; what has no "
                "such form, let the step make of the text"
            )
            raise PipelineError(message)


def _kind(value: object) -> str:
    """Say of which kind a value is, which may be a secret; of a container what it holds as well."""
    name = type(value).__name__
    items: Iterable[object] = value if isinstance(value, list) else ()
    pairs = value.items() if isinstance(value, dict) else ()
    held = [_kind(item) for item in items] + [f"{_kind(key)}: {_kind(it)}" for key, it in pairs]
    return f"{name} of {' and '.join(dict.fromkeys(held))}" if held else name


def _declared(node: Node) -> Iterator[DeclaredOutput]:
    """Yield what a step returns, and what it yields before, of which there may be any number."""
    if node.step.is_generator:
        yielded = f"{child_name(node.name, YIELDED)}*"
        yield DeclaredOutput(node.name, yielded, node.step.yielded)
    for output in node.step.outputs:
        if output.annotation is Any or not node.may_leave_out(output):
            yield DeclaredOutput(node.name, output.name, output.annotation)
