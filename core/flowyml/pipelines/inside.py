"""The routes by call: what a step may deliver while it runs, before it returns anything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from flowyml.artifacts import Artifact, Metrics, Model, Parameters
from flowyml.errors import DeliveryError, PipelineError, SerializationError, StepError
from flowyml.pipelines.naming import Names
from flowyml.pipelines.step import YIELDED
from flowyml.routing.containers import Leaf
from flowyml.routing.curves import LOGGED
from flowyml.routing.gathering import Gathering, Hooks, is_point
from flowyml.routing.splitting import take_apart

if TYPE_CHECKING:  # a plan imports this with a pipeline's file, and nothing that runs steps
    from flowyml.pipelines.workplace import Workplace

__all__ = [
    "Deliveries",
    "current_deliveries",
    "deploy_model",
    "log_metrics",
    "log_parameters",
    "register_model",
    "store_artifact",
]


@define(eq=False)
class Deliveries:
    """What one try of a step delivers while it runs.

    The names are the same in every try, so that a step that is tried again, or resumed, delivers
    nothing twice.

    Attributes:
        workplace: Where the step runs.
        step: Name of the step.
        parents: Ids of the artifacts that the step was given.
        yielded: What its annotation promises for the values that it yields.
        process: Where it runs; the ledger's connection does not outlive a fork.
        names: The names of what was delivered.
    """

    workplace: Workplace
    step: str
    parents: Sequence[int]
    yielded: object = Any
    process: int = field(factory=os.getpid, init=False)
    names: Names = field(init=False)
    _curves: Gathering = field(init=False)
    _open: bool = field(default=True, init=False)

    @names.default
    def _make_names(self) -> Names:
        return Names(self.step)

    @_curves.default
    def _make_curves(self) -> Gathering:
        earlier = partial(self.workplace.courier.earlier_curves, self.step)
        return Gathering(self.step, self._hand_over, earlier)

    def deliver(
        self,
        value: object,
        name: str,
        hooks: Hooks = None,
        annotation: object = Any,
    ) -> None:
        """Deliver one value, or each element of it, under the step's name and one of its own.

        A point of a curve may wait for the next ones.

        Raises:
            StepError: The step is over, or the value is not what the annotation promises.
            DeliveryError: A delivery failed whose rule says ``on_error: fail``.
            SerializationError: No format holds the value, or the one asked for does not.
        """
        if not self._open:
            message = (
                f"step {self.step!r} is over, nothing more can be delivered from it; "
                "wait for your own threads and tasks before the step returns"
            )
            raise StepError(message, step=self.step)
        name, output = self.names.give(name)
        leaves = take_apart(value, annotation, step=self.step, output=output)
        if len(leaves) == 1 and is_point(leaves[0], self.workplace.courier.router, hooks):
            self._curves.add(name, leaves[0], hooks)
            return
        self._curves.flush()
        for leaf in leaves:
            self._hand_over(leaf, hooks)

    def _hand_over(self, leaf: Leaf, hooks: Hooks) -> None:
        self.workplace.courier.deliver_one(self.step, leaf, hooks=hooks, parents=self.parents)

    def on_yield(self, value: object) -> None:
        """Deliver what a generator yields; None is a mere pause."""
        if value is not None:
            self.deliver(value, YIELDED, annotation=self.yielded)

    def finish(self) -> None:
        """Deliver what still waits: the step's function has returned.

        Raises:
            DeliveryError: A delivery failed whose rule says ``on_error: fail``.
        """
        self._open = False
        self._curves.flush()

    def close(self) -> None:
        """Take nothing more: the try is over, and why it failed is what counts.

        A thread that was given up may be in the middle of a delivery: it is not waited for.
        """
        self._open = False
        with suppress(DeliveryError, SerializationError):  # it is in the ledger
            self._curves.flush_unless_busy()


CURRENT: ContextVar[Deliveries | None] = ContextVar("flowyml_step", default=None)


def current_deliveries(call: str) -> Deliveries:
    """Return the way out of the step that calls.

    Raises:
        PipelineError: No step is running here, or it runs in another process.
    """
    current = CURRENT.get()
    if current is None:
        message = (
            f"flowyml.{call}() was called outside of a step, where there is no run it belongs to; "
            "call it in a function marked @step while its pipeline runs. A thread of your own "
            "knows its step when it is started with contextvars.copy_context().run; a process of "
            "your own does not, so let it return to the step what is to be delivered"
        )
        raise PipelineError(message)
    if current.process != os.getpid():
        message = (
            f"flowyml.{call}() was called in a process that the step {current.step!r} started "
            "itself; let it return to the step what is to be delivered, and call it there"
        )
        raise PipelineError(message)
    return current


def log_metrics(metrics: Mapping[str, Any], step: int | None = None) -> None:
    """Log numbers to the experiment trackers; where there is none they are stored.

    Calls that follow each other within a second are delivered together, a moment later.

    Args:
        metrics: The numbers by name.
        step: Position in a training loop.

    Raises:
        PipelineError: No step is running here.
        TypeError: One of them is no number.
    """
    deliveries = current_deliveries("log_metrics")
    value = metrics if isinstance(metrics, Metrics) else Metrics(metrics)
    value = value if step is None else value.at_step(step)
    name = LOGGED if value.step is None else f"{LOGGED}-at-{value.step}"
    deliveries.deliver(value, name, ("log_metrics",))


def log_parameters(parameters: Mapping[str, Any]) -> None:
    """Log settings to the experiment trackers, now; where there is none they are stored.

    Args:
        parameters: The settings by name.

    Raises:
        PipelineError: No step is running here.
    """
    deliveries = current_deliveries("log_parameters")
    value = parameters if isinstance(parameters, Parameters) else Parameters(parameters)
    deliveries.deliver(value, "parameters", ("log_parameters",))


def store_artifact(value: object, name: str) -> None:
    """Store a value beside the step's outputs, now.

    Args:
        value: An artifact, or any other value.
        name: Its name; it is found as ``run:RUN/STEP.NAME``.

    Raises:
        PipelineError: No step is running here, or the name is empty.
    """
    deliveries = current_deliveries("store_artifact")
    if not isinstance(name, str) or not name:
        message = f"store_artifact(value, name=...) needs a name; got {name!r}"
        raise PipelineError(message)
    deliveries.deliver(value, name, ("store_artifact",))


def register_model(model: Model) -> None:
    """Store a model and register it, now.

    Args:
        model: The model, with the name that it is to be registered under.

    Raises:
        PipelineError: No step is running here, or it is no model.
    """
    deliveries = current_deliveries("register_model")
    named = _model(model, "register_model")
    deliveries.deliver(named, named.name or "model", ("store_artifact", "register_model"))


def deploy_model(model: Model) -> None:
    """Store a model, register it and deploy it where the rules permit that, now.

    Args:
        model: The model.

    Raises:
        PipelineError: No step is running here, or it is no model.
    """
    deliveries = current_deliveries("deploy_model")
    named = _model(model, "deploy_model")
    hooks = ("store_artifact", "register_model", "deploy_model")
    deliveries.deliver(named, named.name or "model", hooks)


def _model(model: object, call: str) -> Model:
    if isinstance(model, Model):
        return model if model.name else evolve(model, name="model")
    shown = type(model).__name__
    hint = "" if isinstance(model, Artifact) else ", flowyml.Model(data=...)"
    message = f"flowyml.{call}() takes a Model{hint}; got {shown}"
    raise PipelineError(message)
