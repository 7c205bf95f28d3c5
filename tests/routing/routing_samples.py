"""Stacks from component instances, and couriers over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from attrs import define, field
from tests.servers.flaky import FlakyDeployer, FlakyRegistry, FlakyStore, FlakyTracker

from flowyml.metadata.rows import DeliveryRecord, RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.plugins import Component
from flowyml.plugins.discovery import Provider
from flowyml.plugins.roles import BUILTIN_ROLES, Role
from flowyml.records import RunInfo, RunStatus
from flowyml.routing.deliver import Courier, StepDelivery
from flowyml.routing.retries import Retries
from flowyml.routing.router import Router
from flowyml.routing.splitting import take_apart
from flowyml.stacks.hooks import Hooks
from flowyml.stacks.rules import Rule
from flowyml.stacks.seats import Member, seat_members
from flowyml.stacks.stack import Stack
from flowyml_local.storage import LocalArtifactStore

STARTED = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)

RUN = RunInfo("run-1", "fraud", "test", STARTED)


def make_stack(
    components: Mapping[str, Component],
    rules: Mapping[str, Rule] | None = None,
    *,
    roles: Sequence[Role] = (),
    trust: frozenset[str] = frozenset(),
) -> Stack:
    """Return a stack of these components, by their names in it."""
    entry = EntryPoint("flaky", "tests.servers.flaky:Flaky", "flowyml.test")
    members = [
        Member(name, component, Provider(component.role, "flaky", "tests", "1", entry))
        for name, component in components.items()
    ]
    known = {role.name: role for role in (*BUILTIN_ROLES, *roles)}
    manager, seats = seat_members(members, known.values())
    extensions = frozenset(
        name for name, component in components.items() if component.role == "extension"
    )
    return Stack(
        name="test",
        components=dict(components),
        types=dict.fromkeys(components, "flaky"),
        rules=dict(rules or {}),
        hooks=Hooks(manager, seats, extensions),
        roles=known,
        trust=trust,
    )


def flaky_components(folder: Path, **faults: str) -> dict[str, Component]:
    """Return one component for each of the four roles, all with the same faults."""
    told = ", ".join(f"{hook}:{fault}" for hook, fault in faults.items())
    return {
        "artifact_store": FlakyStore(folder / "store", outbox=folder / "store.jsonl", faults=told),
        "experiment_tracker": FlakyTracker(folder / "tracker.jsonl", told),
        "model_registry": FlakyRegistry(folder / "registry.jsonl", told),
        "model_deployer": FlakyDeployer(folder / "deployer.jsonl", told),
    }


class Watcher:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.seen: list[DeliveryRecord] = []

    def delivery(self, delivery: DeliveryRecord) -> None:
        self.seen.append(delivery)


@define
class Workshop:
    """Routes values through a stack, and looks at what became of them.

    Attributes:
        folder: Where everything lies.
        metadata: The ledger.
        rules: The rules of the stack.
        components: Its components.
        pauses: The pauses between attempts; nobody waits for them.
        attempts: How often a delivery is tried.
    """

    folder: Path
    metadata: MetadataStore
    rules: dict[str, Rule] = field(factory=dict)
    components: dict[str, Component] = field(factory=dict)
    roles: tuple[Role, ...] = ()
    pauses: list[float] = field(factory=list)
    watcher: Watcher = field(factory=Watcher)
    attempts: int = 4

    @property
    def retries(self) -> Retries:
        return Retries(self.attempts, sleep=self.pauses.append)

    def stack(self) -> Stack:
        components = self.components or {
            "artifact_store": LocalArtifactStore(self.folder / "artifacts")
        }
        return make_stack(components, self.rules, roles=self.roles)

    def courier(self, run: RunInfo = RUN) -> Courier:
        """Return a courier as a new process would have it."""
        stack = self.stack()
        return Courier(
            stack, self.metadata, run, Router(stack), self.watcher, self.retries, actor="ada"
        )

    def route(
        self,
        value: object,
        annotation: object = Any,
        *,
        step: str = "train",
        output: str = "model",
        parents: Sequence[int] = (),
        courier: Courier | None = None,
    ) -> StepDelivery:
        """Route one output of a step."""
        self.metadata.add_steps(RUN.run_id, [step])
        self.metadata.start_step(RUN.run_id, step)
        leaves = take_apart(value, annotation, step=step, output=output)
        return (courier or self.courier()).route_step(step, leaves, parents)

    def status(self, hook: str, output: str = "model") -> str:
        """Return how a delivery stands."""
        return self.line(hook, output).status.value

    def line(self, hook: str, output: str = "model") -> DeliveryRecord:
        """Return the ledger's line of a delivery."""
        (found,) = [
            delivery
            for delivery in self.metadata.deliveries(RUN.run_id)
            if (delivery.hook, delivery.output) == (hook, output)
        ]
        return found


def a_run(metadata: MetadataStore, run: RunInfo = RUN) -> None:
    """Write a run down."""
    metadata.add_run(
        RunRecord(run.run_id, run.pipeline, run.stack, RunStatus.RUNNING, run.started_at)
    )
