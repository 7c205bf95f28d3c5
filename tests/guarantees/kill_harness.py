"""Kills runs at random instants, resumes them, and looks at what each backend has.

``python -m tests.guarantees.kill_harness FOLDER KILLS SEED`` runs in a project of its own, forks a
child for every run and every resumption, and kills it with SIGKILL after a random time. A run that
was killed often enough is resumed to its end and held against the guarantees; then the next begins.
What it prints is JSON: how many kills, runs, losses.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.guarantees.killed_flow import POINTS, STORED, pipeline
from tests.servers.flaky import Outbox

from flowyml.errors import FlowyMLError
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.resume import resume
from flowyml.records import RunStatus
from flowyml.routing.ledger import delivery_key
from flowyml.stacks.active import current_stack

CONFIG = """
stacks:
  killed:
    artifact_store: { type: flaky, path: store, outbox: store.jsonl }
    experiment_tracker: { type: flaky, outbox: tracker.jsonl }
    model_registry: { type: flaky, outbox: registry.jsonl }
    model_deployer: { type: flaky, outbox: deployer.jsonl }
    artifact_routing:
      Model:
        deploy: true
        deploy_condition: auto
        deploy_min_metrics: { auc: 0.9 }
"""

ENTRY_POINTS = """
[flowyml.artifact_store]
flaky = tests.servers.flaky:FlakyStore
[flowyml.experiment_tracker]
flaky = tests.servers.flaky:FlakyTracker
[flowyml.model_registry]
flaky = tests.servers.flaky:FlakyRegistry
[flowyml.model_deployer]
flaky = tests.servers.flaky:FlakyDeployer
"""

MOST_KILLS_OF_A_RUN = 6


def main(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill as often as that, and return what was found."""
    (folder / "flowyml.yaml").write_text(CONFIG)
    os.chdir(folder)
    chance = random.Random(seed)
    _start()  # here, so that every fork has imported what it needs
    losses = _check(folder, newest_run(folder))
    longest = 1.5 * max(timed(lambda: in_child(_start, None)) for _ in range(3))
    killed, runs, instants = 0, 4, Counter[str]()
    with _reader(folder):
        while killed < kills:
            runs += 1
            before = newest_run(folder)
            killed += in_child(_start, chance.uniform(0, longest))
            run_id = newest_run(folder)
            if run_id == before:
                instants["before the run was written down"] += 1
                continue
            for _ in range(chance.randrange(MOST_KILLS_OF_A_RUN)):
                killed += in_child(partial(_go_on, run_id), chance.uniform(0, longest))
                instants[_standing(folder, run_id)] += 1
            in_child(partial(_go_on, run_id), None)
            losses += _check(folder, run_id)
    losses += (folder / "reader.txt").read_text().splitlines()
    return {"kills": killed, "runs": runs, "losses": losses, "instants": dict(instants)}


def _start() -> None:
    pipeline.run()


def _go_on(run_id: str) -> None:
    resume(run_id, pipeline=pipeline)


def in_child(work: Callable[[], None], seconds: float | None) -> bool:
    """Do something in a fork; kill it after a time, and return whether it was still at it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # the parent looks at what is left
            with Path("errors.txt").open("a") as file:
                file.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


@contextmanager
def _reader(folder: Path) -> Iterator[None]:
    """Read every artifact that is to be seen, over and over, as long as the block lasts."""
    (folder / "reader.txt").write_text("")
    parent, child = os.getpid(), os.fork()
    if child == 0:
        while os.getppid() == parent:
            for complaint in _unreadable():
                with (folder / "reader.txt").open("a") as file:
                    file.write(f"a reader saw {complaint}\n")
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _unreadable(prefix: str = "") -> Iterator[str]:
    hooks = current_stack().hooks
    try:
        for stored in hooks.list_artifacts("artifact_store", prefix):
            source = hooks.load_artifact("artifact_store", stored.uri)
            if source.manifest.digest != stored.digest:
                continue  # it was replaced between the two looks, as a whole
            for file in source.manifest.files:
                with source.open(file.name) as stream:
                    stream.read()
    except FlowyMLError as error:
        yield f"{type(error).__name__}: {error}"


def newest_run(folder: Path) -> str:
    """Return the id of the newest run, or nothing."""
    path = folder / ".flowyml" / "metadata.db"
    if not path.exists():
        return ""
    with MetadataStore.open(path) as metadata:
        runs = metadata.runs(limit=1)
    return runs[0].run_id if runs else ""


def _standing(folder: Path, run_id: str) -> str:
    with MetadataStore.open(folder / ".flowyml" / "metadata.db") as metadata:
        standing = Counter(delivery.status.value for delivery in metadata.deliveries(run_id))
    return ", ".join(f"{count} {status}" for status, count in sorted(standing.items())) or "none"


def _check(folder: Path, run_id: str) -> list[str]:
    """Return what a finished run has lost, has twice, or has wrong."""
    with MetadataStore.open(folder / ".flowyml" / "metadata.db") as metadata:
        wrong = list(_wrong(folder, run_id, metadata))
    return [f"{run_id}: {what}" for what in (*wrong, *_unreadable(run_id))]


def _wrong(folder: Path, run_id: str, metadata: MetadataStore) -> Iterator[str]:
    run = metadata.run(run_id)
    if run.status is not RunStatus.DONE:
        yield f"the run is {run.status}: {run.error}"
    artifacts = {artifact.output: artifact for artifact in metadata.artifacts(run_id=run_id)}
    curves = {
        output
        for output, artifact in artifacts.items()
        if artifact.manifest["artifact_class"] == "flowyml.artifacts:Curve"
    }
    if artifacts.keys() - curves != STORED:
        yield f"artifacts {sorted(artifacts.keys() - curves ^ STORED)} are missing or too many"
    stored = {
        stored.uri: stored.digest
        for stored in current_stack().hooks.list_artifacts("artifact_store", run_id)
    }
    if stored != {artifact.uri: artifact.digest for artifact in artifacts.values()}:
        yield "the store does not have just what the metadata says"
    for delivery in metadata.deliveries(run_id):
        if delivery.status != "done":
            yield f"{delivery.hook} of {delivery.output} is {delivery.status}: {delivery.error}"
    yield from _effects(folder, run_id, metadata)
    yield from _curves(run_id, metadata)
    yield from _history(run_id, metadata)


def _effects(folder: Path, run_id: str, metadata: MetadataStore) -> Iterator[str]:
    """Look whether each backend has just what was delivered to it."""
    trained = metadata.artifacts(run_id=run_id, step="train")
    models = {artifact.digest for artifact in trained if artifact.output == "model"}
    for hook, box in (
        ("log_metrics", "tracker"),
        ("log_parameters", "tracker"),
        ("register_model", "registry"),
        ("deploy_model", "deployer"),
    ):
        keys = [d.key for d in metadata.deliveries(run_id) if d.hook == hook]
        if hook == "log_metrics":
            keys = list(_metrics_keys(run_id, metadata))
        effects = Outbox(folder / f"{box}.jsonl").effects(hook)
        had = [effect for effect in effects if effect["key"] in keys]
        if sorted(effect["key"] for effect in had) != sorted(keys):
            yield f"{box} has {len(had)} effects of {hook} for {len(keys)} deliveries"
        digests = {effect["digest"] for effect in had if "digest" in effect}
        if digests - models:
            yield f"{box} has another digest: {digests}"


def _curves(run_id: str, metadata: MetadataStore) -> Iterator[str]:
    """Look whether each point is in just one curve, stored or kept in the ledger."""
    deliveries = metadata.deliveries(run_id)
    for step, names in POINTS.items():
        payloads = [each.payload or {} for each in deliveries if each.step == step]
        kept = [payload.get("kept", {}).get("curve", {}) for payload in payloads]
        found = [name for payload in payloads for name in payload.get("points", ())]
        found += [name for columns in kept for name in columns.get("names", ())]
        if sorted(found) != sorted(names):
            yield f"the curves of {step} have the points {found}"


def _metrics_keys(run_id: str, metadata: MetadataStore) -> Iterator[str]:
    """Yield the keys of all metrics, each point of a curve with its own."""
    for delivery in metadata.deliveries(run_id):
        points = {f"{delivery.step}.{name}" for name in POINTS.get(delivery.step, ())}
        if delivery.hook == "log_metrics" and delivery.output not in points:
            yield delivery.key
    for step, names in POINTS.items():
        for name in names:
            place = (run_id, step, f"{step}.{name}")
            yield delivery_key(*place, "log_metrics", "experiment_tracker")


def _history(run_id: str, metadata: MetadataStore) -> Iterator[str]:
    if (first := metadata.verify_history("fraud")) is not None:
        yield f"the history is broken at {first}"
    kinds = [e.kind for e in metadata.events("fraud") if e.details.get("run_id") == run_id]
    if kinds != ["registered", "deployed"]:
        yield f"the history tells of {kinds}"


if __name__ == "__main__":
    found = main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(found) + "\n")
