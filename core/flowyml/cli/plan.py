"""``flowyml plan``: what a run would do, before it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from flowyml.cli import columns
from flowyml.cli.cells import Column, Object
from flowyml.cli.options import Output, ProjectCommand, output_format, parametrised, stacked
from flowyml.cli.screen import complain, line, listing, table
from flowyml.records import output_place

if TYPE_CHECKING:
    from flowyml.routing.plan import Plan, PlannedOutput
    from flowyml.routing.router import PlannedDelivery

__all__ = ["plan"]


def _target(item: Object) -> str:
    if item["component"] is None:
        return "-"
    return f"{item['component']} ({item['type']})"


OUTPUTS: Final = (
    Column("output", lambda item: output_place(item["step"], item["output"])),
    columns.text("type", "type"),
    columns.prose("format", "serializer"),
    columns.text("uri", "uri"),
)

DELIVERIES: Final = (
    Column("output", lambda item: output_place(item["step"], item["output"])),
    columns.text("hook", "hook"),
    Column("component", _target, is_text=True),
    columns.status("action", "action"),
    columns.prose("why", "reason"),
)


@click.command(cls=ProjectCommand)
@click.argument("target")
@parametrised
@output_format
@stacked
def plan(*, target: str, given: tuple[str, ...], output: Output) -> int:
    """Say what a run would do, without running any step.

    TARGET is a file, FILE:attribute, module:attribute, a module, or a name. Exits with 2 when the
    plan has errors, which would keep the run from starting.
    """
    from flowyml.cli.parameters import parse_parameters
    from flowyml.pipelines.finding import find_pipeline
    from flowyml.stacks.active import current_project

    made = find_pipeline(target, current_project()).plan(parameters=parse_parameters(given))
    outputs = [_output_object(planned) for planned in made.outputs]
    if output == "json":
        listing([_plan_object(made, outputs)], OUTPUTS, output, empty="")
    else:
        line(f"pipeline {made.pipeline} on the stack {made.stack}")
        if stored := [each for each in outputs if each["uri"]]:
            table(stored, OUTPUTS, title="Outputs")
        if deliveries := [delivery for each in outputs for delivery in each["deliveries"]]:
            table(deliveries, DELIVERIES, title="Deliveries")
        _tell_problems(made)
    return 2 if made.errors else 0


def _plan_object(made: Plan, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "pipeline": made.pipeline,
        "stack": made.stack,
        "status": "error" if made.errors else "ok",
        "outputs": outputs,
        "problems": [
            {
                "severity": found.severity,
                "message": found.problem.message,
                "location": str(found.problem.location) if found.problem.location else None,
                "hint": found.problem.hint,
            }
            for found in made.problems
        ],
    }


def _output_object(planned: PlannedOutput) -> dict[str, Any]:
    return {
        "step": planned.step,
        "output": planned.output,
        "type": planned.type,
        "serializer": planned.serializer,
        "store": planned.store,
        "uri": planned.uri,
        "deliveries": [_delivery_object(planned, delivery) for delivery in planned.deliveries],
    }


def _delivery_object(planned: PlannedOutput, delivery: PlannedDelivery) -> dict[str, Any]:
    return {
        "step": planned.step,
        "output": planned.output,
        "hook": delivery.hook,
        "component": delivery.component,
        "type": delivery.component_type,
        "action": delivery.action,
        "waits_for": delivery.waits_for,
        "reason": delivery.reason,
        "on_error": delivery.on_error,
        "after": list(delivery.after),
    }


def _tell_problems(made: Plan) -> None:
    for found in made.problems:
        complain(f"{found.severity.capitalize()}: {found.problem}")
