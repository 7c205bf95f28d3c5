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
    "losses.yielded-5",
    "train.checkpoint",
}
"""Every artifact that a whole run has stored, by output, besides the curves.

Where a curve ends and the next begins depends on the time, and on when the run was killed.
"""

POINTS = {
    "losses": [f"yielded{number}" for number in ("", "-2", "-3", "-4", "-6", "-7")],
    "train": [f"metrics-at-{number}" for number in range(5)],
}
"""Every point of a curve by its name, by step."""


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
    for number in range(5):
        flowyml.log_metrics({"loss": 0.5}, step=number)
    flowyml.store_artifact([1, 2, 3], name="checkpoint")
    return Model({"w": len(rows.data) * settings["lr"]}, name="fraud")


@step
def losses(settings: Parameters) -> Iterator[Metrics]:
    """Yield two parts of a curve, and a figure between them."""
    for number in range(4):
        yield Metrics({"loss": settings["lr"] / (number + 1)}).at_step(number)
    yield Metrics({"best": settings["lr"]})
    for number in range(4, 6):
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
