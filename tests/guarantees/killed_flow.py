"""A pipeline with all four hooks, a container, a generator and calls inside of a step."""

from __future__ import annotations

from collections.abc import Iterator

import flowyml
from flowyml import Dataset, Metrics, Model, Parameters, Pipeline, context, step

STORED = {
    "rows",
    "settings",
    "model",
    "scores",
    "parts",
    "parts.first",
    "parts.second",
    "losses",
    "losses.yielded",
    "losses.yielded-2",
    "losses.yielded-3",
    "train.checkpoint",
}
"""Every artifact that a whole run has stored, by output."""


@step(outputs=["rows"])
def load(count: int) -> Dataset:
    """Make rows."""
    return Dataset([{"x": number} for number in range(count)])


@step(outputs=["settings"])
def configure() -> Parameters:
    """Choose settings."""
    return Parameters({"lr": 0.1})


@step(outputs=["model"])
def train(rows: Dataset, settings: Parameters) -> Model:
    """Train, keep a checkpoint, log on the way."""
    flowyml.log_metrics({"loss": 0.5}, step=1)
    flowyml.store_artifact([1, 2, 3], name="checkpoint")
    return Model({"w": len(rows.data) * settings["lr"]}, name="fraud")


@step
def losses(settings: Parameters) -> Iterator[Metrics]:
    """Yield three figures."""
    for number in range(3):
        yield Metrics({"loss": settings["lr"] / (number + 1)}).at_step(number)


@step(outputs=["scores"])
def evaluate(model: Model) -> Metrics:
    """Evaluate; the gate waits for it."""
    return Metrics({"auc": 0.9 + model.data["w"] / 1000})


@step(outputs=["parts"])
def split(rows: Dataset) -> dict[str, Metrics]:
    """Return metrics in a container."""
    return {"first": Metrics({"n": len(rows.data)}), "second": Metrics({"n": 0})}


pipeline = Pipeline("killed", context=context(count=3))
for each in (load, configure, train, losses, evaluate, split):
    pipeline.add_step(each)
