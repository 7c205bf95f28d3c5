"""One step that yields the points of a curve, or the tracker's own client that logs them.

``curve.py WAY TRACKER COUNT [ADDRESS]`` prints the seconds that it takes, without imports. WAY is
``flowyml`` or ``client``; TRACKER may be ``none``; ADDRESS is that of an MLflow server.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flowyml import Metrics, Pipeline, step

way, tracker, count, *rest = sys.argv[1:]
points, address = int(count), rest[0] if rest else ""

STACKS = {
    "none": "",
    "mlflow": f"  experiment_tracker: {{ type: mlflow, tracking_uri: '{address}' }}\n",
    "tensorboard": "  experiment_tracker: { type: tensorboard, log_dir: logs }\n",
    "wandb": "  experiment_tracker: { type: wandb, mode: offline }\n",
}


@step
def train() -> Iterator[Metrics]:
    """Yield the points, as a training loop does."""
    for number in range(points):
        yield Metrics({"loss": 1 / (number + 1)}).at_step(number)


def run_flowyml() -> None:
    """Run the step on a stack with the tracker."""
    store = "  artifact_store: { type: local }\n"
    Path("flowyml.yaml").write_text(f"plugins:\n{store}{STACKS[tracker]}")
    result = Pipeline("bench").add_step(train).run()
    assert result.success, result


def make_floor() -> Callable[[], None]:
    """Return what writes the points down as lines of JSON."""

    def log() -> None:
        rows = ({"loss": 1 / (number + 1), "step": number} for number in range(points))
        with Path("points.jsonl").open("w") as stream:
            stream.writelines(f"{json.dumps(row)}\n" for row in rows)

    return log


def make_mlflow() -> Callable[[], None]:
    """Return what logs all at once; the client sends a thousand in a request."""
    import mlflow
    from mlflow.entities import Metric

    client = mlflow.MlflowClient(address)
    experiment = client.create_experiment(f"client-{time.time_ns()}")

    def log() -> None:
        run = client.create_run(experiment)
        moment = int(time.time() * 1000)
        metrics = [Metric("loss", 1 / (step + 1), moment, step) for step in range(points)]
        client.log_batch(run.info.run_id, metrics=metrics)
        client.set_terminated(run.info.run_id)

    return log


def make_tensorboard() -> Callable[[], None]:
    """Return what writes an event for each point."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def log() -> None:
        writer = EventFileWriter("client")
        for number in range(points):
            value = Summary.Value(tag="loss", simple_value=1 / (number + 1))
            summary = Summary(value=[value])
            writer.add_event(Event(wall_time=time.time(), step=number, summary=summary))
        writer.close()

    return log


def make_wandb() -> Callable[[], None]:
    """Return what logs a row for each point, drawn over a column of its own."""
    import wandb

    quiet = wandb.Settings(console="off", silent=True, x_disable_stats=True, x_disable_meta=True)

    def log() -> None:
        run = wandb.init(project="bench", mode="offline", settings=quiet)
        run.define_metric("loss", step_metric="step")
        for number in range(points):
            run.log({"loss": 1 / (number + 1), "step": number})
        run.finish()

    return log


CLIENTS = {
    "none": make_floor,
    "mlflow": make_mlflow,
    "tensorboard": make_tensorboard,
    "wandb": make_wandb,
}

# Both ways find the tracker imported.
log = CLIENTS[tracker]()
started = time.perf_counter()
if way == "client":
    log()
else:
    run_flowyml()
print(json.dumps({"seconds": time.perf_counter() - started}))
