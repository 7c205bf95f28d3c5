"""The graph: the steps of a pipeline, and what each takes from which."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal

from attrs import field, frozen

from flowyml.errors import PipelineError
from flowyml.pipelines.step import Output, Step

__all__ = ["AnyStep", "Graph", "Input", "Node", "in_order"]

AnyStep = Step[..., Any]

UNPROMISED: Final = (Any, None, type(None))


@frozen
class Input:
    """Where a step gets one argument from.

    Attributes:
        parameter: Name of the parameter.
        kind: An output of another step, or a context value. What is left to a default is no input.
        name: Name of the output or the context value.
    """

    parameter: str
    kind: Literal["output", "context"]
    name: str


@frozen(eq=False)
class Node:
    """A step in its place.

    Attributes:
        step: The step.
        inputs: Its arguments, in the order of its parameters.
        upstream: Names of the steps whose outputs it takes.
        downstream: Names of the steps that take its outputs.
        consumers: For each output, how many steps take it.
    """

    step: AnyStep
    inputs: tuple[Input, ...]
    upstream: tuple[str, ...]
    downstream: list[str] = field(factory=list)
    consumers: dict[str, int] = field(factory=dict)

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.step.name

    @property
    def context_names(self) -> tuple[str, ...]:
        """The context values that it takes."""
        return tuple(taken.name for taken in self.inputs if taken.kind == "context")

    def may_leave_out(self, output: Output) -> bool:
        """Whether there is no such output where None is returned for it.

        A generator that only yields promises none, and no step takes it.
        """
        promised = output.annotation not in UNPROMISED
        return self.step.is_generator and not promised and not self.consumers.get(output.name)


@frozen(eq=False)
class Graph:
    """The steps of a pipeline, wired.

    Attributes:
        nodes: By name of the step, in an order in which they can run.
        producers: Name of the step that makes each output.
    """

    nodes: Mapping[str, Node]
    producers: Mapping[str, str]


def in_order(pipeline: str, nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Sort the nodes so that each comes after those it takes from, and keep their order else.

    Raises:
        PipelineError: Some wait for each other.
    """
    missing = {name: len(node.upstream) for name, node in nodes.items()}
    ready = deque(name for name, count in missing.items() if not count)
    ordered: dict[str, Node] = {}
    while ready:
        node = nodes[ready.popleft()]
        ordered[node.name] = node
        for name in node.downstream:
            missing[name] -= 1
            if not missing[name]:
                ready.append(name)
    if len(ordered) < len(nodes):
        circle = _circle({name: node for name, node in nodes.items() if name not in ordered})
        message = (
            f"pipeline {pipeline!r}: the steps {' -> '.join(circle)} wait for each other; "
            "let one of them take something else"
        )
        raise PipelineError(message)
    return ordered


def _circle(nodes: Mapping[str, Node]) -> list[str]:
    """Return one circle among nodes that all wait for another one of them."""
    seen: list[str] = []
    name = next(iter(nodes))
    while name not in seen:
        seen.append(name)
        name = next(above for above in nodes[name].upstream if above in nodes)
    circle = seen[seen.index(name) :]
    return [name, *reversed(circle)]
