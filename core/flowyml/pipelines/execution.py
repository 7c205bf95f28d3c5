"""One step is executed: given its arguments, called, and what it returns is delivered.

It is a function of the task and of the workplace that the task's run has in this process; another
process makes itself a workplace from the task alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import attrs

from flowyml.artifacts import Artifact
from flowyml.errors import DeliveryError, FlowyMLError, StepError
from flowyml.metadata.rows import FINISHED, ArtifactRecord
from flowyml.pipelines.cache import recall, remember, wants_cache
from flowyml.pipelines.calling import call
from flowyml.pipelines.failures import StepTimeoutError, of_step, step_failure, trimmed
from flowyml.pipelines.forks import leave
from flowyml.pipelines.graph import Node
from flowyml.pipelines.handover import Made
from flowyml.pipelines.inside import CURRENT, Deliveries
from flowyml.pipelines.naming import Names
from flowyml.pipelines.workplace import Supplies, Workplace
from flowyml.records import StepOutcome, StepStatus, StepTask
from flowyml.routing.containers import Leaf, join
from flowyml.routing.deliver import StepDelivery
from flowyml.routing.deployments import is_measured
from flowyml.routing.renaming import apart_from
from flowyml.routing.splitting import take_apart
from flowyml.stacks.secrecy import redact

__all__ = ["execute"]

Outputs = Mapping[str, Sequence[Leaf]]
"""The leaves of each output of a step, by its name."""


def execute(task: StepTask, workplace: Workplace) -> StepOutcome:
    """Execute a step and write down how it ended.

    Args:
        task: The step.
        workplace: Where it happens.

    Raises:
        KeyboardInterrupt: The user wants no more of it; the step may be resumed.
    """
    try:
        return StepOutcome(task.step, _work(workplace.graph.nodes[task.step], workplace))
    except Exception as failure:  # noqa: BLE001  # a step's failure is its outcome
        workplace.failures[task.step] = failure
        error = redact(_told(task.step, failure, workplace), workplace.courier.secrets)
        stored = isinstance(failure, DeliveryError) and _is_stored(task, workplace)
        status = StepStatus.STORED if stored else StepStatus.FAILED
        workplace.metadata.set_step_status(task.run_id, task.step, status, error=error)
        return StepOutcome(task.step, StepStatus.FAILED, error)


def _is_stored(task: StepTask, workplace: Workplace) -> bool:
    """Whether the outputs are safe although a later delivery ended the step."""
    steps = workplace.metadata.steps(task.run_id)
    return any(step.name == task.step and step.status is StepStatus.STORED for step in steps)


def _told(step: str, failure: Exception, workplace: Workplace) -> str:
    """Return what is said of a failure; one that is neither ours nor the user's is named."""
    if isinstance(failure, StepTimeoutError) and not workplace.ends_with_step:
        return (
            f"{failure}. In a thread its code cannot be ended and may still be running; "
            "`executor: process` of the local orchestrator ends it"
        )
    said = str(failure) if isinstance(failure, FlowyMLError) else trimmed(failure)
    return of_step(step, said)


def _work(node: Node, workplace: Workplace) -> StepStatus:
    """Run a step, or take what the cache recalls for it, and deliver its outputs."""
    supplies = workplace.supplies(node)
    if not wants_cache(node, workplace):
        returned, names = _tried(node, supplies, workplace)
        return _deliver(node, _taken_apart(node, returned, names), supplies, workplace)
    recalled = recall(node, supplies, workplace)
    if recalled.values is not None:
        outputs = _recalled(node, recalled.values, recalled.artifacts)
        status = _deliver(node, outputs, supplies, workplace)
        _note(node, status, recalled.note, workplace, cached_from=recalled.run_id)
        return status
    returned, names = _tried(node, supplies, workplace)
    status = _deliver(node, _taken_apart(node, returned, names), supplies, workplace)
    if status in FINISHED:
        note = remember(node, recalled, workplace, delivered=bool(names))
        _note(node, status, note, workplace)
    return status


def _note(
    node: Node,
    status: StepStatus,
    note: str,
    workplace: Workplace,
    cached_from: str | None = None,
) -> None:
    workplace.metadata.set_step_status(
        workplace.run.run_id, node.name, status, note=note, cached_from=cached_from
    )


def _taken_apart(node: Node, returned: object, names: Names) -> Outputs:
    """Take apart what a step returned, apart from the names of what it delivered while it ran."""
    outputs = _leaves(node, _values(node, returned))
    return {name: apart_from(names.has, leaves) for name, leaves in outputs.items()}


def _recalled(
    node: Node, values: Sequence[object], artifacts: Mapping[str, ArtifactRecord]
) -> Outputs:
    """Take apart what the cache recalls; each leaf knows what it was stored as."""
    return {
        name: [attrs.evolve(leaf, recalled=artifacts.get(leaf.output)) for leaf in leaves]
        for name, leaves in _leaves(node, values).items()
    }


def _leaves(node: Node, values: Sequence[object]) -> Outputs:
    return {
        output.name: take_apart(value, output.annotation, step=node.name, output=output.name)
        for output, value in zip(node.step.outputs, values, strict=True)
        if value is not None or not node.may_leave_out(output)
    }


def _deliver(node: Node, outputs: Outputs, supplies: Supplies, workplace: Workplace) -> StepStatus:
    """Deliver the outputs of a step and hand them on to the steps that take them."""
    leaves = list(chain.from_iterable(outputs.values()))
    delivered = workplace.courier.route_step(node.name, leaves, supplies.parents)
    _hand_on(node, outputs, delivered, workplace)
    return delivered.status


def _hand_on(node: Node, outputs: Outputs, delivered: StepDelivery, workplace: Workplace) -> None:
    """Keep the live outputs for the steps that take them; what is not kept, those load."""
    records = {record.output: record for record in delivered.artifacts}
    measured = {delivery.output for delivery in delivered.deliveries if is_measured(delivery)}
    for name, leaves in outputs.items():
        stored = tuple(records[leaf.output] for leaf in leaves if leaf.output in records)
        is_stored = len(stored) == len(leaves)
        # What is measured has to be what would be deployed: the stored one.
        is_judged = is_stored and any(leaf.output in measured for leaf in leaves)
        if not (is_judged or _is_spent(leaves)):
            made = Made(_live(leaves), stored, is_stored)
            workplace.handover.give(name, made, node.consumers.get(name, 0))


def _is_spent(leaves: Sequence[Leaf]) -> bool:
    """Whether storing an output reads it to its end, so that its takers have to load it."""
    values = (leaf.value for leaf in leaves)
    carried = (value.data if isinstance(value, Artifact) else value for value in values)
    return any(isinstance(value, Iterator) for value in carried)


def _live(leaves: Sequence[Leaf]) -> object:
    """Return an output as its takers get it: what the annotation made of it included."""
    whole, *elements = leaves
    if whole.shape is None:
        return whole.value
    values = {leaf.output: leaf.value for leaf in elements}
    return join(whole.shape, values.__getitem__)


def _tried(node: Node, supplies: Supplies, workplace: Workplace) -> tuple[object, Names]:
    """Call the step's function as often as its ``retry`` allows.

    A try for which the inputs cannot be loaded again is one that failed: what kept the step from
    a store may still last.

    Returns:
        What it returned, and the names of all else that it delivered.
    """
    retry, failures = node.step.retry, 0
    while True:
        workplace.metadata.start_step(workplace.run.run_id, node.name)
        try:
            if failures:
                supplies = workplace.supplies_again(node, supplies)
            return _called(node, supplies, workplace)
        except StepTimeoutError:
            raise
        except Exception as failure:
            failures += 1
            raised = isinstance(failure, StepError)
            if failures > retry.times or (raised and not isinstance(failure.__cause__, retry.on)):
                raise
        time.sleep(retry.pause(failures))


def _called(node: Node, supplies: Supplies, workplace: Workplace) -> tuple[object, Names]:
    deliveries = Deliveries(workplace, node.name, supplies.parents, node.step.yielded)
    token = CURRENT.set(deliveries)
    try:
        returned = call(node.step, supplies.arguments, deliveries.on_yield)
        if os.getpid() != deliveries.process:
            leave()
        deliveries.finish()
        return returned, deliveries.names
    except (KeyboardInterrupt, StepTimeoutError):
        raise
    except BaseException as error:  # a step may even call sys.exit()
        if os.getpid() != deliveries.process:
            leave(error)
        raise step_failure(node.name, error) from error
    finally:
        CURRENT.reset(token)
        deliveries.close()


def _values(node: Node, returned: object) -> Sequence[object]:
    """Return what was returned for each output."""
    step = node.step
    count = len(step.outputs)
    if count == 1:
        return (returned,)
    if count == 0:
        if returned is None:
            return ()
        message = (
            f"step {step.name!r} has outputs=[] but returned a {type(returned).__name__}; "
            "return nothing, or name the output"
        )
        raise StepError(message, step=step.name)
    if not isinstance(returned, tuple | list):
        names = ", ".join(step.output_names)
        message = (
            f"step {step.name!r} has {count} outputs ({names}) but returned one "
            f"{type(returned).__name__}; return a tuple of {count}"
        )
        raise StepError(message, step=step.name)
    if len(returned) != count:
        names = ", ".join(step.output_names)
        message = (
            f"step {step.name!r} has {count} outputs ({names}) but returned {len(returned)} "
            "values; return one for each"
        )
        raise StepError(message, step=step.name)
    return returned
