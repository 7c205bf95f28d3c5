"""Pipeline files that tests write into their projects."""

from __future__ import annotations

from typing import Final

MAIN: Final = """\
import json

from flowyml import Pipeline, context, step
from flowyml.core import Dataset, Metrics, Model


@step(outputs=["data"])
def load_data(rows: int) -> Dataset:
    return Dataset([{"x": x} for x in range(rows)], name="numbers")


@step(inputs=["data"], outputs=["model"])
def train(data: Dataset) -> Model:
    return Model({"mean": sum(row["x"] for row in data.data) / len(data.data)}, name="mean",
                 version="1.0.0")


@step(inputs=["model"], outputs=["metrics"])
def evaluate(model: Model) -> Metrics:
    print("the mean is", model.data["mean"])
    return Metrics({"mean": model.data["mean"]})


@step(inputs=["metrics"], outputs=["report"])
def report(metrics: Metrics) -> dict:
    return {"metrics": dict(metrics)}


pipeline = Pipeline("numbers", context=context(rows=3))
pipeline.add_step(load_data).add_step(train).add_step(evaluate).add_step(report)
"""

IN_PLACE: Final = MAIN + "pipeline.run()\n"

FAILS: Final = """\
from flowyml import Pipeline, step


@step
def first() -> int:
    return 1


@step
def second(first: int) -> int:
    return {}["missing"]


pipeline = Pipeline("fails")
pipeline.add_step(first).add_step(second)
"""

INTERRUPTED: Final = """\
import os
import signal
from pathlib import Path

from flowyml import Pipeline, step


@step
def first() -> int:
    return 1


@step
def second(first: int) -> int:
    if not Path("calm").exists():
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    return first + 1


pipeline = Pipeline("interrupted")
pipeline.add_step(first).add_step(second)
"""

TWO: Final = """\
from flowyml import Pipeline

one = Pipeline("one")
other = Pipeline("other")
"""

STACKS: Final = """\
stacks:
  first:   # kept by `stack set`
    artifact_store: { type: local, path: first }
  second:
    artifact_store: { type: local, path: second }
    model_registry: { type: local }
    artifact_routing:
      Model: { register: true }
active_stack: first
pipelines:
  daily: pipeline.py:pipeline
"""

SERVED: Final = """\
from sklearn.dummy import DummyClassifier

from flowyml import Pipeline, context, step
from flowyml.core import Model


@step
def train(answer: int, version: str) -> Model:
    return Model(DummyClassifier(strategy="constant", constant=answer).fit([[0]], [answer]),
                 name="oracle", version=version)


pipeline = Pipeline("oracle", context=context(answer=42, version="1.0.0"))
pipeline.add_step(train)
"""


def with_condition(condition: str) -> str:
    """Return a configuration that deploys models under a condition."""
    return (
        "stacks:\n  one:\n    artifact_store: { type: local }\n"
        "    model_registry: { type: local }\n    model_deployer: { type: local }\n"
        f"    artifact_routing:\n      Model: {{ deploy: true, deploy_condition: {condition} }}\n"
    )
