"""Build a stack, plan a pipeline and call a hook, with so many other plugins installed."""

import json
import statistics
import sys
import time
from pathlib import Path

plugins, outputs, calls = int(sys.argv[1]), 100, 2000

installed = Path("installed").absolute()
for number in range(plugins):
    info = installed / f"plugin_{number}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plugin-{number}\nVersion: 1.0\n")
    role = ("artifact_store", "experiment_tracker", "model_registry")[number % 3]
    entry = f"[flowyml.{role}]\nother-{number} = plugin_{number}.plugin:Component\n"
    (info / "entry_points.txt").write_text(entry)
sys.path.append(str(installed))

from flowyml import Pipeline, step
from flowyml.pipelines.planning import plan_run
from flowyml.stacks.active import current_stack

begun = time.process_time()
stack = current_stack()
built = time.process_time() - begun

pipeline = Pipeline("bench")
for number in range(outputs):

    def work() -> dict:
        """Return nothing of interest."""
        return {}

    work.__name__ = f"step_{number}"
    pipeline.add_step(step(outputs=[f"out_{number}"])(work))


def planning():
    """Return the seconds that one plan takes."""
    began = time.process_time()
    plan_run(pipeline, None)
    return time.process_time() - began


def calling(call):
    """Return the seconds that one of many calls takes."""
    began = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - began) / calls


nothing = f"{stack.store_uri('artifact_store')}/nothing"
store = stack.components["artifact_store"]
plain, facade, plans = [], [], []
for _ in range(7):
    plain.append(calling(lambda: store.delete_artifact(uri=nothing)))
    facade.append(calling(lambda: stack.hooks.delete_artifact("artifact_store", nothing)))
    plans.append(planning())
print(
    json.dumps(
        {
            "built": built,
            "plan": statistics.median(plans) / outputs,
            "plain": statistics.median(plain),
            "facade": statistics.median(facade),
        }
    )
)
