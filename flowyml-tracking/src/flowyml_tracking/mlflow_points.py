"""Numbers on their way to MLflow, and what it has of them already.

MLflow takes a number that it has without complaint, but to find that out costs its server many
times what a new one does. So a delivery that is made once more asks first: the curves of a name are
a few large answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from attrs import define, field

from flowyml.artifacts import Metrics
from flowyml.records import DeliveryContext
from flowyml_tracking.mlflow_names import entity_names
from flowyml_tracking.origin import time_of

__all__ = ["Histories", "points_of"]

Identity = tuple[int, int, float | None]

FEW: Final = 100
"""So many numbers of one name are sent again sooner than MLflow is asked which of them it has."""


def points_of(batch: Sequence[tuple[Metrics, DeliveryContext]]) -> list[Any]:
    """Return the numbers of many metrics as MLflow's own objects."""
    from mlflow.entities import Metric

    renamed: dict[tuple[str, ...], dict[str, str]] = {}
    points = []
    for metrics, context in batch:
        together = tuple(metrics.data)
        if together not in renamed:
            renamed[together] = entity_names(together)
        names, made_at, step = renamed[together], time_of(context), metrics.step or 0
        points += [Metric(names[n], value, made_at, step) for n, value in metrics.data.items()]
    return points


@define
class Histories:
    """Knows what one MLflow run had of each name when this process first asked.

    What was there stays there; whatever came later is taken by MLflow once more, and kept once.

    Attributes:
        client: MLflow's client.
        run_id: MLflow's id of the run.
    """

    client: Any
    run_id: str
    _had: dict[str, frozenset[Identity]] = field(init=False, factory=dict)

    def missing(self, points: Iterable[Any]) -> list[Any]:
        """Return the points that MLflow may not have."""
        points = list(points)
        count = Counter(point.key for point in points)
        return [
            point
            for point in points
            if count[point.key] < FEW or _identity(point) not in self._history(point.key)
        ]

    def _history(self, name: str) -> frozenset[Identity]:
        if name not in self._had:
            found = self.client.get_metric_history(self.run_id, name)
            self._had[name] = frozenset(map(_identity, found))
        return self._had[name]


def _identity(point: Any) -> Identity:
    """Return what makes a number this one; NaN is not even itself."""
    is_nan = point.value != point.value
    return point.timestamp, point.step, None if is_nan else point.value
