"""The wiring: which step takes what from where, decided before anything runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from flowyml.errors import PipelineError
from flowyml.pipelines.annotations import artifact_types, can_accept
from flowyml.pipelines.graph import AnyStep, Graph, Input, Node, in_order
from flowyml.pipelines.step import Output, Parameter
from flowyml.records import CONTEXT
from flowyml.spelling import meant, spelled

__all__ = ["wire"]


def wire(pipeline: str, steps: Sequence[AnyStep], context: Iterable[str] = ()) -> Graph:
    """Find out what every step takes from where.

    Args:
        pipeline: Name of the pipeline, for messages.
        steps: Its steps, in the order in which they were added.
        context: Names of the context values.

    Raises:
        PipelineError: The steps cannot be wired; the message lists everything that is wrong.
    """
    wiring = _Wiring(pipeline, steps, frozenset(context))
    wiring.find_producers()
    wiring.raise_problems()
    nodes = {step.name: wiring.node(step) for step in steps}
    wiring.raise_problems()
    for node in nodes.values():
        for name in node.upstream:
            nodes[name].downstream.append(node.name)
        for output in {taken.name for taken in node.inputs if taken.kind == "output"}:
            consumers = nodes[wiring.producers[output]].consumers
            consumers[output] = consumers.get(output, 0) + 1
    return Graph(in_order(pipeline, nodes), wiring.producers)


@define
class _Wiring:
    """The state of wiring one pipeline."""

    pipeline: str
    steps: Sequence[AnyStep]
    context: frozenset[str]
    outputs: dict[str, Output] = field(factory=dict)
    producers: dict[str, str] = field(factory=dict)
    by_type: dict[type, list[str]] = field(factory=dict)
    problems: list[str] = field(factory=list)
    takers: dict[str, list[AnyStep]] | None = None

    def raise_problems(self) -> None:
        """Raise all that was found so far as one error."""
        if len(self.problems) == 1:
            message = f"pipeline {self.pipeline!r}: {self.problems[0]}"
            raise PipelineError(message)
        if self.problems:
            listed = "".join(f"\n  - {problem}" for problem in self.problems)
            message = f"pipeline {self.pipeline!r} has {len(self.problems)} problems:{listed}"
            raise PipelineError(message)

    def find_producers(self) -> None:
        """Note who makes which output; complain of names that are there twice."""
        names: set[str] = set()
        for step in self.steps:
            if step.name in names:
                self.problems.append(
                    f"two steps have the name {step.name!r}; give one of them another with "
                    "@step(name=...)"
                )
                continue
            names.add(step.name)
            if step.name == CONTEXT:
                self.problems.append(
                    f"no step can have the name {CONTEXT!r}, under which a run records its own "
                    "parameters; give it another with @step(name=...)"
                )
                continue
            try:
                outputs = step.outputs
            except PipelineError as error:
                self.problems.append(str(error))
                continue
            for output in outputs:
                self._add_output(step, output)

    def _add_output(self, step: AnyStep, output: Output) -> None:
        if other := self.producers.get(output.name):
            self.problems.append(
                f"steps {other!r} and {step.name!r} both make the output {output.name!r}; give one "
                "of them another name with @step(outputs=[...])"
            )
            return
        self.outputs[output.name] = output
        self.producers[output.name] = step.name
        for cls in artifact_types(output.annotation):
            for base in cls.__mro__:
                self.by_type.setdefault(base, []).append(output.name)

    def node(self, step: AnyStep) -> Node:
        """Find every argument of one step."""
        try:
            parameters = step.parameters
        except PipelineError as error:
            self.problems.append(str(error))
            return Node(step, (), ())
        renamed = self._renamed(step, parameters)
        found = [self._input(step, parameter, renamed) for parameter in parameters]
        inputs = [taken for taken in found if taken is not None] + self._further(step, parameters)
        taken_from = (self.producers[each.name] for each in inputs if each.kind == "output")
        return Node(step, tuple(inputs), tuple(dict.fromkeys(taken_from)))

    def _renamed(self, step: AnyStep, parameters: Sequence[Parameter]) -> dict[str, str]:
        """Give the ``inputs`` that no parameter is named after to those that nothing else fills."""
        if step.inputs is None:
            return {}
        names = {parameter.name for parameter in parameters}
        strangers = [name for name in step.inputs if name not in names]
        for name in step.inputs:
            if not self._is_known(step, name):
                self.problems.append(self._unknown_input(step, name))
        if step.takes_any_name:
            return {}
        free = [
            parameter.name
            for parameter in parameters
            if parameter.name not in step.inputs and not self._is_known(step, parameter.name)
        ]
        for name in strangers[len(free) :]:
            if self._is_known(step, name):
                self.problems.append(
                    f"step {step.name!r} lists the input {name!r} but has no parameter for it; add "
                    f"the parameter, or take {name!r} out of inputs=[...]"
                )
        return dict(zip(free, strangers, strict=False))

    def _further(self, step: AnyStep, parameters: Sequence[Parameter]) -> list[Input]:
        """Return the ``inputs`` that go to a ``**parameter``."""
        if step.inputs is None or not step.takes_any_name:
            return []
        names = {parameter.name for parameter in parameters}
        return [
            Input(name, "output" if self._makes(step, name) else "context", name)
            for name in step.inputs
            if name not in names and self._is_known(step, name)
        ]

    def _is_known(self, step: AnyStep, name: str) -> bool:
        return self._makes(step, name) or name in self.context

    def _makes(self, step: AnyStep, name: str) -> bool:
        """Whether another step makes this output."""
        return self.producers.get(name, step.name) != step.name

    def _input(
        self, step: AnyStep, parameter: Parameter, renamed: Mapping[str, str]
    ) -> Input | None:
        name = renamed.get(parameter.name, parameter.name)
        if self._makes(step, name):
            self._check_annotation(step, parameter, name)
            return Input(parameter.name, "output", name)
        if name in self.context:
            return Input(parameter.name, "context", name)
        fitting = self._fitting(step, parameter)
        if len(fitting) == 1:
            return Input(parameter.name, "output", fitting[0])
        reported = name in (step.inputs or ())
        if not parameter.has_default and not reported:
            self.problems.append(self._unresolvable(step, parameter, fitting))
        return None

    def _check_annotation(self, step: AnyStep, parameter: Parameter, name: str) -> None:
        produced = self.outputs[name].annotation
        if parameter.annotation is not produced and not can_accept(parameter.annotation, produced):
            self.problems.append(
                f"step {step.name!r} takes {parameter.name!r} as {spelled(parameter.annotation)}, "
                f"but step {self.producers[name]!r} makes {name!r} as {spelled(produced)}; change "
                "one of the annotations, or the name"
            )

    def _fitting(self, step: AnyStep, parameter: Parameter) -> list[str]:
        """Return the outputs upstream whose type is the artifact type of a parameter."""
        found = {
            name: None
            for cls in artifact_types(parameter.annotation)
            for name in self.by_type.get(cls, ())
            if self.producers[name] != step.name
        }
        if len(found) > 1 and (after := self._after(step)):
            return [name for name in found if self.producers[name] not in after]
        return list(found)

    def _after(self, step: AnyStep) -> set[str]:
        """Return the steps that come after this one by the names that they ask for."""
        if self.takers is None:
            self.takers = self._find_takers()
        after: set[str] = set()
        waiting = deque([step.name])
        while waiting:
            for taker in self.takers.get(waiting.popleft(), ()):
                if taker.name not in after:
                    after.add(taker.name)
                    waiting.append(taker.name)
        return after - {step.name}

    def _find_takers(self) -> dict[str, list[AnyStep]]:
        """Return for each step those that ask for one of its outputs by name."""
        takers: dict[str, list[AnyStep]] = {}
        for step in self.steps:
            asked = {parameter.name for parameter in step.parameters} | set(step.inputs or ())
            for name in asked & self.producers.keys():
                takers.setdefault(self.producers[name], []).append(step)
        return takers

    def _unknown_input(self, step: AnyStep, name: str) -> str:
        return (
            f"step {step.name!r} lists the input {name!r}, which no other step makes and the "
            f"context does not have{self._meant(name)}"
        )

    def _unresolvable(self, step: AnyStep, parameter: Parameter, fitting: Sequence[str]) -> str:
        wanted = f"step {step.name!r}: nothing fills the parameter {parameter.name!r}"
        if fitting:
            listed = ", ".join(repr(name) for name in sorted(fitting))
            return (
                f"{wanted}: {len(fitting)} outputs have its type ({listed}); name the parameter "
                "after the one you mean"
            )
        if self.producers.get(parameter.name) == step.name:
            return (
                f"{wanted}: only the step itself makes an output of that name; give its own output "
                "another name with @step(outputs=[...])"
            )
        return (
            f"{wanted}: no other step makes an output of that name and the context has no such "
            f"value{self._meant(parameter.name)}; name it after an output, add it to "
            f"context({parameter.name}=...), or give it a default"
        )

    def _meant(self, name: str) -> str:
        known = [*self.producers, *self.context]
        question = meant(name, known)
        return f" ({question})" if question else ""
