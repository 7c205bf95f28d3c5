"""The workplace: all that the steps of one run share in one process."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.calling import Arguments
from flowyml.pipelines.context import Context
from flowyml.pipelines.graph import Graph, Node
from flowyml.pipelines.handover import Handover, Made
from flowyml.records import RunInfo
from flowyml.routing.deliver import Courier
from flowyml.routing.reader import Reader, output_artifacts
from flowyml.routing.router import STORE
from flowyml.stacks.stack import Stack

__all__ = ["Supplies", "Workplace"]


@frozen
class Supplies:
    """What a step is called with, and what that was made from.

    Attributes:
        arguments: For the function.
        records: The artifacts among them, by parameter.
        made: The outputs that they are, by name.
    """

    arguments: Arguments
    records: Mapping[str, tuple[ArtifactRecord, ...]]
    made: Mapping[str, Made]

    @property
    def parents(self) -> tuple[int, ...]:
        """Ids of the artifacts that the step's outputs are made from."""
        ids = (record.artifact_id for records in self.records.values() for record in records)
        return tuple(dict.fromkeys(ids))


@frozen(eq=False)
class Workplace:
    """Where steps of one run are executed.

    Attributes:
        run: The run.
        graph: The pipeline, wired.
        context: Its context values for this run.
        stack: The stack.
        metadata: Where everything is written down.
        courier: Delivers what steps return.
        handover: The live objects.
        failures: What steps raised in this process, by step.
        ends_with_step: Whether this process has just one step to execute and ends with it.
    """

    run: RunInfo
    graph: Graph
    context: Context
    stack: Stack
    metadata: MetadataStore
    courier: Courier
    handover: Handover = field(factory=Handover)
    failures: dict[str, BaseException] = field(factory=dict)
    ends_with_step: bool = False

    def supplies(self, node: Node) -> Supplies:
        """Gather what a step is called with; what was not made here is loaded."""
        names = dict.fromkeys(taken.name for taken in node.inputs if taken.kind == "output")
        made = {name: self.handover.take(name) or self._loaded(name) for name in names}
        return self._supplied(node, made)

    def supplies_again(self, node: Node, before: Supplies) -> Supplies:
        """Gather it for another try, which must not see what the one before it changed."""
        made = {
            name: self._loaded(name) if each.is_stored else each
            for name, each in before.made.items()
        }
        return self._supplied(node, made)

    def _supplied(self, node: Node, made: Mapping[str, Made]) -> Supplies:
        named: dict[str, object] = {}
        records: dict[str, tuple[ArtifactRecord, ...]] = {}
        for taken in node.inputs:
            if taken.kind == "context":
                named[taken.parameter] = self.context[taken.name]
            else:
                named[taken.parameter] = made[taken.name].value
                records[taken.parameter] = made[taken.name].records
        positional = [
            named.pop(parameter.name, parameter.default)
            for parameter in node.step.parameters
            if parameter.positional
        ]
        return Supplies(Arguments(positional, named), records, made)

    def give_up(self, step: str) -> None:
        """Let go of what is kept for a step that will not run."""
        for output in self.taken_by(step):
            self.handover.take(output)

    def taken_by(self, step: str) -> set[str]:
        """Return the outputs of other steps that a step takes."""
        inputs = self.graph.nodes[step].inputs
        return {taken.name for taken in inputs if taken.kind == "output"}

    def out_of_reach(self, producer: str) -> set[str]:
        """Return the outputs of a step of which something is neither at hand nor stored yet."""
        owed = (
            debt.output
            for debt in self.metadata.debts(self.run.run_id)
            if debt.step == producer and debt.hook == STORE
        )
        outputs = {name for place in owed for name in (place, place.partition(".")[0])}
        return {
            output
            for output in outputs
            if self.graph.producers.get(output) == producer and not self.handover.holds(output)
        }

    def _loaded(self, output: str) -> Made:
        artifacts = self.artifacts(output)
        value = Reader(self.stack, self.metadata).output(output, artifacts)
        return Made(value, tuple(artifacts.values()), is_stored=True)

    def artifacts(self, output: str) -> dict[str, ArtifactRecord]:
        """Return what an output was stored as: itself and its elements."""
        producer = self.graph.producers[output]
        return output_artifacts(self.run.run_id, producer, output, self.metadata)
