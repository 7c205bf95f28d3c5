"""The records of a plan."""

from __future__ import annotations

from typing import Any, Literal

from attrs import frozen

from flowyml.errors import Problem
from flowyml.records import output_place
from flowyml.routing.router import PlannedDelivery
from flowyml.stacks.rules import Rule

__all__ = ["UNKNOWN", "DeclaredOutput", "Plan", "PlanProblem", "PlannedOutput"]

UNKNOWN = "decided by the value"


@frozen
class DeclaredOutput:
    """An output as a step declares it.

    Attributes:
        annotation: What the step says it returns; Any where it says nothing.
        hooks: The hooks that are called by name; None for all that its type names.
    """

    step: str
    output: str
    annotation: object = Any
    hooks: tuple[str, ...] | None = None


@frozen
class PlannedOutput:
    """One output, or the elements of one, and all that will happen to it.

    What is only logged is not stored: its serializer, store and URI are empty.

    Attributes:
        output: Name of the output; ``models.*`` stands for the elements of ``models``.
        type: Name of the artifact type, or that the value decides.
        serializer: Name of the format, or that the value decides. Where no rule asks for it, it is
            the first that is tried: a value that it does not hold exactly gets the next one.
        store: Name of the store in the stack.
        uri: Where it will be stored; what is not known yet stands in braces.
        deliveries: In the order in which they are made.
        rule: The rule that speaks for it, complete.
    """

    step: str
    output: str
    type: str
    serializer: str
    store: str
    uri: str
    deliveries: tuple[PlannedDelivery, ...]
    rule: Rule

    @property
    def place(self) -> str:
        """Step and output, as messages name it."""
        return output_place(self.step, self.output)


@frozen
class PlanProblem:
    """Something that is wrong with a plan (``error``), or most likely not meant (``warning``)."""

    severity: Literal["error", "warning"]
    problem: Problem


@frozen
class Plan:
    """What a run would do."""

    pipeline: str
    stack: str
    outputs: tuple[PlannedOutput, ...]
    problems: tuple[PlanProblem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep the run from starting."""
        return tuple(found.problem for found in self.problems if found.severity == "error")
