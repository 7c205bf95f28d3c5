"""Backends for all four roles that fail when they are told to.

They are real components: each writes what it was given to a file of JSON lines and finds it there
by its key, as a backend does that lives longer than any process. ``faults`` names points and what
happens there::

    register_model:before:transient:2, deploy_model:after:kill:1

Points are ``before`` the call does anything, ``during`` it, and ``after`` its effect, when nobody
was told yet. Kinds are ``transient``, ``permanent``, ``broken`` (an exception of the backend's own)
and ``kill`` (SIGKILL to this process). The last number says how often; it is counted in the file.
``chance`` makes transient faults at all points by probability, from ``seed`` on.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from attrs import define, field

from flowyml.artifacts import Metrics, Parameters
from flowyml.errors import DeliveryError
from flowyml.plugins import (
    ExperimentTracker,
    ModelDeployer,
    ModelRegistry,
    hookimpl,
)
from flowyml.records import (
    ApprovalStatus,
    DeliveryContext,
    Deployment,
    LoggedRun,
    ModelVersion,
    Registration,
    StoredArtifact,
)
from flowyml.storage.files import FileSink, StoreRequest
from flowyml_local.storage import LocalArtifactStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class BrokenError(Exception):
    """What a vendor's library raises."""


@define
class Outbox:
    """What a backend has, in a file of JSON lines.

    Attributes:
        path: The file.
        faults: What fails, and where.
        chance: Probability of a transient fault at each point.
        seed: Where the chances begin.
    """

    path: Path
    faults: str = ""
    chance: float = 0.0
    seed: int = 0
    _random: random.Random = field(init=False)

    @_random.default
    def _seeded(self) -> random.Random:
        return random.Random(self.seed + len(self.lines()))

    def deliver(self, hook: str, key: str, effect: dict[str, Any], attempt: int) -> dict[str, Any]:
        """Return what was delivered under a key; deliver it if it was not."""
        self.add({"called": hook, "key": key, "attempt": attempt})
        self.reach(hook, "before")
        found = self.found(key)
        if found is None:
            self.reach(hook, "during")
            self.add({"hook": hook, "key": key, **effect})
        self.reach(hook, "after")
        return found or effect

    def found(self, key: str) -> dict[str, Any] | None:
        """Return what was delivered under a key."""
        return next((line for line in self.effects() if line["key"] == key), None)

    def effects(self, hook: str | None = None) -> list[dict[str, Any]]:
        """Return all that was delivered, in order; twice what was delivered twice."""
        effects = [line for line in self.lines() if "hook" in line]
        return [line for line in effects if hook in {None, line["hook"]}]

    def calls(self, hook: str | None = None) -> list[dict[str, Any]]:
        """Return all calls, in order."""
        calls = [line for line in self.lines() if "called" in line]
        return [line for line in calls if hook in {None, line["called"]}]

    def lines(self) -> list[dict[str, Any]]:
        """Return the whole file."""
        text = self.path.read_text() if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def add(self, line: dict[str, Any]) -> None:
        """Append a line in one write, which no kill can tear."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")

    def reach(self, hook: str, point: str) -> None:
        """Fail here if that is what was asked for."""
        for fault in filter(None, (part.strip() for part in self.faults.split(","))):
            named, where, kind, times = fault.split(":")
            if (named, where) == (hook, point) and self._count(fault) < int(times):
                self.add({"fault": fault})
                _fail(kind, f"{hook} {point}")
        if self.chance and self._random.random() < self.chance:
            self.add({"fault": "chance"})
            _fail("transient", f"{hook} {point}")

    def _count(self, fault: str) -> int:
        return sum(1 for line in self.lines() if line.get("fault") == fault)


def _fail(kind: str, where: str) -> None:
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "transient":
        message = f"{where}: try again later"
        raise DeliveryError(message, transient=True)
    if kind == "permanent":
        message = f"{where}: never"
        raise DeliveryError(message)
    raise BrokenError(where)


@define(slots=False)
class FlakyStore(LocalArtifactStore):
    """A store whose calls fail when they are told to."""

    outbox: Path = Path("store.jsonl")
    faults: str = ""
    chance: float = 0.0
    seed: int = 0

    @hookimpl
    def store_artifact(self, request: StoreRequest, context: DeliveryContext) -> StoredArtifact:
        """Store like the local store, with faults around."""
        box = Outbox(self.outbox, self.faults, self.chance, self.seed)
        box.add({"called": "store_artifact", "key": context.key, "attempt": context.attempt})
        box.reach("store_artifact", "before")
        write = _failing(request.write, lambda: box.reach("store_artifact", "during"))
        stored = self.folders().store(attrs.evolve(request, write=write), key=context.key)
        box.add({"hook": "store_artifact", "key": context.key, "digest": stored.digest})
        box.reach("store_artifact", "after")
        return stored


def _failing(
    write: Callable[[FileSink], None], fail: Callable[[], None]
) -> Callable[[FileSink], None]:
    def failing(sink: FileSink) -> None:
        write(sink)
        fail()

    return failing


@define(slots=False)
class FlakyTracker(ExperimentTracker):
    """A tracker that keeps what it was given."""

    outbox: Path = Path("tracker.jsonl")
    faults: str = ""
    chance: float = 0.0
    seed: int = 0

    @property
    def box(self) -> Outbox:
        return Outbox(self.outbox, self.faults, self.chance, self.seed)

    @hookimpl
    def log_metrics(self, metrics: Metrics, context: DeliveryContext) -> LoggedRun:
        """Keep metrics."""
        return self._log("log_metrics", {"data": dict(metrics), "step": metrics.step}, context)

    @hookimpl
    def log_parameters(self, parameters: Parameters, context: DeliveryContext) -> LoggedRun:
        """Keep parameters."""
        return self._log("log_parameters", {"data": dict(parameters)}, context)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Know its own errors."""
        return True if isinstance(error, BrokenError) else None

    def _log(self, hook: str, effect: dict[str, Any], context: DeliveryContext) -> LoggedRun:
        self.box.deliver(hook, context.key, effect, context.attempt)
        return LoggedRun(f"tracked-{context.run.run_id}")


@define(slots=False)
class FlakyRegistry(ModelRegistry):
    """A registry that counts versions and keeps approval of its own."""

    outbox: Path = Path("registry.jsonl")
    faults: str = ""
    chance: float = 0.0
    seed: int = 0

    @property
    def box(self) -> Outbox:
        return Outbox(self.outbox, self.faults, self.chance, self.seed)

    @hookimpl
    def register_model(self, registration: Registration, context: DeliveryContext) -> ModelVersion:
        """Register, once for each key."""
        box = self.box
        count = sum(1 for line in box.effects() if line["name"] == registration.name)
        effect = {
            "name": registration.name,
            "version": registration.version or str(count + 1),
            "uri": registration.stored.uri,
            "digest": registration.stored.digest,
            "metadata": registration.metadata,
        }
        kept = box.deliver("register_model", context.key, effect, context.attempt)
        return self._version({"key": context.key, **kept})

    @hookimpl
    def get_model(self, name: str, version: str | None) -> ModelVersion | None:
        """Find a version."""
        found = [line for line in self.box.effects() if line["name"] == name]
        found = [line for line in found if version in {None, line["version"]}]
        return self._version(found[-1]) if found else None

    @hookimpl
    def list_models(self, name: str | None) -> Sequence[ModelVersion]:
        """List versions, newest first."""
        found = [line for line in self.box.effects() if name in {None, line["name"]}]
        return [self._version(line) for line in reversed(found)]

    @hookimpl
    def set_approval(
        self, name: str, version: str, approval: ApprovalStatus, comment: str
    ) -> ModelVersion | None:
        """Keep the decision."""
        box = self.box
        box.reach("set_approval", "before")
        box.add({"approval": approval, "name": name, "version": version, "comment": comment})
        box.reach("set_approval", "after")
        return self.get_model(name, version)

    def _version(self, line: dict[str, Any]) -> ModelVersion:
        decisions = [
            each["approval"]
            for each in self.box.lines()
            if "approval" in each
            and (each["name"], each["version"]) == (line["name"], line["version"])
        ]
        return ModelVersion(
            name=line["name"],
            version=line["version"],
            uri=line["uri"],
            digest=line["digest"],
            registry="flaky",
            created_at=NOW,
            key=line["key"],
            approval=decisions[-1] if decisions else "none",
            metadata=line["metadata"],
        )


@define(slots=False)
class FlakyDeployer(ModelDeployer):
    """A deployer whose endpoints exist on paper."""

    outbox: Path = Path("deployer.jsonl")
    faults: str = ""
    chance: float = 0.0
    seed: int = 0

    @property
    def box(self) -> Outbox:
        return Outbox(self.outbox, self.faults, self.chance, self.seed)

    @hookimpl
    def deploy_model(
        self, model: ModelVersion, endpoint: str, context: DeliveryContext
    ) -> Deployment:
        """Deploy, once for each key."""
        effect = {
            "endpoint": endpoint,
            "model": model.name,
            "version": model.version,
            "digest": model.digest,
        }
        kept = self.box.deliver("deploy_model", context.key, effect, context.attempt)
        return _deployment({"key": context.key, **kept})

    @hookimpl
    def undeploy_model(self, endpoint: str) -> bool:
        """End an endpoint."""
        known = {deployment.endpoint for deployment in self.list_deployments()}
        self.box.add({"undeployed": endpoint})
        return endpoint in known

    @hookimpl
    def list_deployments(self) -> Sequence[Deployment]:
        """List what serves."""
        served: dict[str, Deployment] = {}
        for line in self.box.lines():
            if "hook" in line:
                served[line["endpoint"]] = _deployment(line)
            elif "undeployed" in line:
                served.pop(line["undeployed"], None)
        return list(reversed(served.values()))


def _deployment(line: dict[str, Any]) -> Deployment:
    return Deployment(
        endpoint=line["endpoint"],
        model=line["model"],
        version=line["version"],
        digest=line["digest"],
        deployer="flaky",
        created_at=NOW,
        url=f"http://127.0.0.1/{line['endpoint']}",
        key=line["key"],
    )
