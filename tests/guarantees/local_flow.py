"""A pipeline whose model is registered and served by the built-in backends."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from flowyml import Metrics, Model, Pipeline, context, step


@frozen
class Scale:
    """Multiplies."""

    factor: int

    def predict(self, rows: Sequence[int]) -> list[int]:
        """Multiply each row."""
        return [self.factor * row for row in rows]


@step(outputs=["model"])
def train(factor: int) -> Model:
    """Make a model that tells which run it is from."""
    return Model(Scale(factor), name="scale")


@step(outputs=["scores"])
def evaluate(model: Model) -> Metrics:
    """Evaluate; the gate waits for it."""
    return Metrics({"auc": 0.9 + model.data.factor / 1_000_000})


pipeline = Pipeline("served", context=context(factor=1)).add_step(train).add_step(evaluate)
