"""Kills runs over the built-in registry and deployer, whose endpoints are real HTTP servers.

``python -m tests.guarantees.local_harness FOLDER KILLS SEED`` works like `kill_harness`. After
every resumption the registry has one version for the run, the endpoint is served by one process,
which answers with the model of the newest run, and no other server is left of those that were
started meanwhile.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.guarantees.kill_harness import in_child, newest_run, timed
from tests.guarantees.local_flow import pipeline

from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.resume import resume
from flowyml.records import RunStatus
from flowyml.stacks.active import current_stack
from flowyml_local.processes import Process

CONFIG = """
stacks:
  served:
    artifact_store: {{ type: local, path: store }}
    model_registry: {{ type: local }}
    model_deployer: {{ type: local }}
    artifact_routing:
      Model:
        deploy: true
        deploy_condition: auto
        deploy_min_metrics: {{ auc: 0.9 }}
        endpoint_name: {endpoint}
"""

MOST_KILLS_OF_A_RUN = 3

PATIENCE = 60.0
"""Seconds for a server that lost its starter while it was loading to notice that."""


def main(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill as often as that, and return what was found."""
    endpoint = f"scale-{uuid.uuid4().hex}"  # no process of another project has it in its command
    (folder / "flowyml.yaml").write_text(CONFIG.format(endpoint=endpoint))
    os.chdir(folder)
    chance, factor = random.Random(seed), 1
    longest = 1.2 * timed(lambda: in_child(partial(_start, factor), None))
    losses = _check(folder, newest_run(folder), endpoint, factor)
    killed, runs = 0, 1
    try:
        while killed < kills:
            runs, factor = runs + 1, factor + 1
            before = newest_run(folder)
            killed += in_child(partial(_start, factor), chance.uniform(0, longest))
            run_id = newest_run(folder)
            if run_id == before:
                continue
            for _ in range(chance.randrange(MOST_KILLS_OF_A_RUN)):
                killed += in_child(partial(_go_on, run_id), chance.uniform(0, longest))
            in_child(partial(_go_on, run_id), None)
            losses += _check(folder, run_id, endpoint, factor)
    finally:
        current_stack().hooks.undeploy_model("model_deployer", endpoint)
    if left := _servers(endpoint):
        losses.append(f"the processes {left} serve what was undeployed")
    return {"kills": killed, "runs": runs, "losses": losses}


def _start(factor: int) -> None:
    pipeline.run(parameters={"factor": factor})


def _go_on(run_id: str) -> None:
    resume(run_id, pipeline=pipeline)


def _check(folder: Path, run_id: str, endpoint: str, factor: int) -> list[str]:
    """Return what a finished run has lost, has twice, or has wrong."""
    with MetadataStore.open(folder / ".flowyml" / "metadata.db") as metadata:
        wrong = list(_wrong(run_id, metadata, endpoint, factor))
    return [f"{run_id}: {what}" for what in wrong]


def _wrong(run_id: str, metadata: MetadataStore, endpoint: str, factor: int) -> Iterator[str]:
    run = metadata.run(run_id)
    if run.status is not RunStatus.DONE:
        yield f"the run is {run.status}: {run.error}"
    for delivery in metadata.deliveries(run_id):
        if delivery.status != "done" and delivery.hook != "log_metrics":  # there is no tracker
            yield f"{delivery.hook} of {delivery.output} is {delivery.status}: {delivery.error}"
    hooks = current_stack().hooks
    versions = hooks.list_models("model_registry", "scale")
    mine = [version for version in versions if version.run_id == run_id]
    if len(mine) != 1 or len({version.key for version in versions}) != len(versions):
        yield f"the registry has {len(mine)} versions of the run, {len(versions)} in all"
    if metadata.verify_history("scale") is not None:
        yield "the history is broken"
    kinds = [e.kind for e in metadata.events("scale") if e.details.get("run_id") == run_id]
    if kinds != ["registered", "deployed"]:
        yield f"the history tells of {kinds}"
    served = hooks.list_deployments("model_deployer")
    if [(each.endpoint, each.digest) for each in served] != [(endpoint, mine[0].digest)]:
        yield f"there serves {served}"
    if hooks.predict("model_deployer", endpoint, [2]) != [2 * factor]:
        yield "the endpoint answers with another model"
    if len(alive := _servers(endpoint)) != 1:
        yield f"the processes {alive} serve one endpoint"


def _servers(endpoint: str) -> list[int]:
    """Return the servers of an endpoint, once those have ended that are about to."""
    deadline = time.monotonic() + PATIENCE
    while len(found := list(_processes(endpoint))) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _processes(endpoint: str) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if endpoint.encode() in command and Process.of(int(folder.name)):
            yield int(folder.name)


if __name__ == "__main__":
    found = main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(found) + "\n")
