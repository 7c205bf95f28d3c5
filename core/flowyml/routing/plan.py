"""The plan: what a run would do, from the annotations alone, before any step runs.

A run asks the same `Router` with the classes of the real values, so it does what the plan says for
every output whose annotation names its type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from flowyml.artifacts import Artifact
from flowyml.errors import FlowyMLError, Problem
from flowyml.routing.doubts import Doubts
from flowyml.routing.expectations import Expected, check_promise, expected_outputs
from flowyml.routing.planned import (
    UNKNOWN,
    DeclaredOutput,
    Plan,
    PlannedOutput,
    PlanProblem,
)
from flowyml.routing.router import STORE, Router, TypeRoute
from flowyml.serialization import check_class, serializer_name
from flowyml.stacks.stack import Stack

__all__ = ["DeclaredOutput", "Plan", "PlannedOutput", "make_plan"]

SHAPE_FORMAT = "json"
"""What is stored of a container is the names of its elements."""


def make_plan(
    pipeline: str, declared: Sequence[DeclaredOutput], stack: Stack, router: Router | None = None
) -> Plan:
    """Plan a run without running any step.

    Args:
        pipeline: Name of the pipeline.
        declared: The outputs of all its steps.
        stack: The stack it would run on.
        router: The router of the run, where there is one already.
    """
    planner = _Planner(pipeline, stack, router or Router(stack))
    outputs: list[PlannedOutput] = []
    problems: list[PlanProblem] = []
    for output in declared:
        try:
            outputs += planner.output(output)
        except FlowyMLError as error:
            message = f"step {output.step!r}, output {output.output!r}: {error}"
            problems.append(PlanProblem("error", Problem(message)))
    problems += Doubts(pipeline, stack, tuple(outputs)).all(declared)
    return Plan(pipeline, stack.name, tuple(outputs), tuple(problems))


@frozen
class _Planner:
    pipeline: str
    stack: Stack
    router: Router

    def output(self, declared: DeclaredOutput) -> Iterator[PlannedOutput]:
        check_promise(declared.annotation)
        for expected in expected_outputs(declared.annotation, declared.output):
            yield self._planned(declared, expected)

    def _planned(self, declared: DeclaredOutput, expected: Expected) -> PlannedOutput:
        """Plan one output; of an unknown type what holds for all: it is stored."""
        route = self.router.route(expected.cls or object, expected.route)
        called = declared.hooks
        deliveries = [each for each in route.deliveries if called is None or each.hook in called]
        stored = any(each.hook == STORE for each in deliveries)
        path = self._path(declared.step, expected, route)
        return PlannedOutput(
            step=declared.step,
            output=expected.output,
            type=UNKNOWN if expected.cls is None else expected.cls.__name__,
            serializer=_serializer(expected, route) if stored else "",
            store=route.store if stored else "",
            uri=f"{self.stack.store_uri(route.store)}/{path}" if stored else "",
            deliveries=tuple(deliveries),
            rule=route.rule,
        )

    def _path(self, step: str, expected: Expected, route: TypeRoute) -> str:
        values = {
            "pipeline_name": self.pipeline,
            "step_name": step,
            "stack_name": self.stack.name,
        }
        if expected.cls is not None:
            values["artifact_name"] = expected.cls.__name__.lower()
        if "*" not in expected.output:
            values["output_name"] = expected.output
        return route.path.render(values)


def _serializer(expected: Expected, route: TypeRoute) -> str:
    if expected.container:
        return SHAPE_FORMAT
    wanted = route.rule.format
    if expected.cls is None:
        return wanted or UNKNOWN
    if issubclass(expected.cls, Artifact):
        check_class(expected.cls)
        if wanted is None:
            return UNKNOWN
    return serializer_name(expected.cls, wanted)
