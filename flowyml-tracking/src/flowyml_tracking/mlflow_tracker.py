"""MLflow as an experiment tracker."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from attrs import define, field

from flowyml.artifacts import Metrics, Parameters
from flowyml.errors import FlowyMLError
from flowyml.plugins import hookimpl
from flowyml.records import (
    Check,
    DeliveryContext,
    LoggedRun,
    RunInfo,
    RunStatus,
    StoredArtifact,
)
from flowyml_tracking.addresses import without_password
from flowyml_tracking.mlflow_client import answers, is_passing
from flowyml_tracking.mlflow_links import MLflowLinks
from flowyml_tracking.mlflow_names import (
    LONGEST_PARAMETER,
    LONGEST_TAG,
    entity_name,
    entity_names,
    fact_name,
)
from flowyml_tracking.mlflow_points import points_of
from flowyml_tracking.mlflow_runs import MLflowRuns, OpenRun
from flowyml_tracking.parameters import conflict, flatten, shortened, text_of
from flowyml_tracking.trackers import Tracker

__all__ = ["MLflowTracker"]

PARAMETERS_BATCH: Final = 100
"""Parameters, and also tags, in one request."""


@define(slots=False)
class MLflowTracker(Tracker):
    """Logs to one MLflow run for each pipeline run.

    MLflow keeps one metric of a name, step, time and value, and one value of a parameter: the same
    delivery once more changes nothing, so no key has to lie beside it.

    Attributes:
        tracking_uri: The server, or a database; None for MLflow's own default, which is the
            environment variable ``MLFLOW_TRACKING_URI``.
        experiment_name: None for ``MLFLOW_EXPERIMENT_NAME``, else the name of the pipeline.
    """

    libraries: ClassVar[Mapping[str, str]] = {"mlflow": "flowyml[mlflow]"}

    tracking_uri: str | None = field(
        default=None, repr=lambda uri: repr(uri and without_password(uri))
    )
    experiment_name: str | None = None
    _runs: MLflowRuns = field(init=False, repr=False, eq=False)

    @_runs.default
    def _make_runs(self) -> MLflowRuns:
        return MLflowRuns(self.tracking_uri, self.experiment_name)

    @hookimpl
    def log_metrics_batch(self, batch: Sequence[tuple[Metrics, DeliveryContext]]) -> LoggedRun:
        """Log many numbers, with a request for each thousand; what is said of them becomes tags."""
        opened = self._runs.open(batch[0][1].run)
        points, tags = points_of(batch), _tags(batch)
        with answers(self._runs.address, f"log {_names(batch)}"):
            if any(context.attempt > 1 for _, context in batch):
                points = opened.histories.missing(points)
            self._runs.client.log_batch(opened.run_id, metrics=points)
            self._set_tags(opened, tags)
        return opened.logged

    @hookimpl
    def log_parameters(self, parameters: Parameters, context: DeliveryContext) -> LoggedRun:
        """Log settings under dotted names.

        Raises:
            DeliveryError: One of them was logged before with another value.
        """
        opened = self._runs.open(context.run)
        values = _parameter_texts(parameters)
        with answers(self._runs.address, f"log the parameters of {context.producer.step!r}"):
            self._refuse_changed(opened, values, context)
            try:
                self._log_parameters(opened, values)
            except Exception:
                self._refuse_changed(opened, values, context)  # another thread was quicker
                raise
            facts = {fact_name(name): text_of(f) for name, f in parameters.metadata.items()}
            self._set_tags(opened, {**_owners(values, context), **facts})
        return opened.logged

    def _log_parameters(self, opened: OpenRun, values: dict[str, str]) -> None:
        from mlflow.entities import Param

        entities = [Param(name, value) for name, value in values.items()]
        for start in range(0, len(entities), PARAMETERS_BATCH):
            part = entities[start : start + PARAMETERS_BATCH]
            self._runs.client.log_batch(opened.run_id, params=part)

    def _refuse_changed(
        self, opened: OpenRun, values: dict[str, str], context: DeliveryContext
    ) -> None:
        data = self._runs.client.get_run(opened.run_id).data
        for name, value in values.items():
            old = data.params.get(name, value)
            if old != value:
                other = _owner(data.tags, name)
                raise conflict(name, new=value, step=context.producer.step, old=old, other=other)

    def _set_tags(self, opened: OpenRun, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        entities = [RunTag(name, shortened(value, LONGEST_TAG)) for name, value in tags.items()]
        for start in range(0, len(entities), PARAMETERS_BATCH):
            part = entities[start : start + PARAMETERS_BATCH]
            self._runs.client.log_batch(opened.run_id, tags=part)

    def link(self, run: RunInfo, stored: StoredArtifact, name: str) -> None:
        """Link an artifact: a tag, and what MLflow has for datasets, models and figures."""
        opened = self._runs.open(run)
        with answers(self._runs.address, f"link {stored.uri}"):
            MLflowLinks(self._runs.client, opened, self._stores).add(stored, name)

    @hookimpl
    def run_finished(self, run: RunInfo, status: RunStatus) -> None:
        """End the MLflow run; a pipeline run that logged nothing has none."""
        self._runs.end(run, status)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Take MLflow's own word for it, where it is one of its errors."""
        return is_passing(error)

    def diagnose(self) -> Sequence[Check]:
        """Tell whether the server answers."""
        try:
            with answers(self._runs.address, "list its experiments"):
                self._runs.client.search_experiments(max_results=1)
        except FlowyMLError as error:
            fix = "start the server, or set `tracking_uri` of the experiment tracker"
            return (Check("mlflow", ok=False, message=str(error), fix=fix),)
        address = without_password(self._runs.address)
        return (Check("mlflow", ok=True, message=f"MLflow at {address} answers"),)


def _tags(batch: Sequence[tuple[Metrics, DeliveryContext]]) -> dict[str, str]:
    """Return the metadata, and the truth about numbers that MLflow cannot hold."""
    tags: dict[str, str] = {}
    for metrics, _ in batch:
        tags |= {fact_name(name): text_of(fact) for name, fact in metrics.metadata.items()}
        for name, value in metrics.items():
            if math.isinf(value):
                place = "" if metrics.step is None else f" at step {metrics.step}"
                truth = f"{value}{place}; MLflow shows the largest number it has instead"
                tags[entity_name(f"flowyml.infinite.{name}")] = truth
    return tags


def _names(batch: Sequence[tuple[Metrics, DeliveryContext]]) -> str:
    metrics, context = batch[0]
    more = f" and {len(batch) - 1} more" if len(batch) > 1 else ""
    return f"the metrics {', '.join(metrics)} of the step {context.producer.step!r}{more}"


def _parameter_texts(parameters: Parameters) -> dict[str, str]:
    flat = flatten(parameters)
    names = entity_names(flat)
    return {names[n]: shortened(text_of(value), LONGEST_PARAMETER) for n, value in flat.items()}


OWNER: Final = "flowyml.parameters."


def _owners(values: dict[str, str], context: DeliveryContext) -> dict[str, str]:
    """Return the tags that tell which step logged which parameters, cut to what a tag holds."""
    parts: list[list[str]] = [[]]
    size = 0
    for name in values:
        size += len(json.dumps(name)) + 2
        if size > LONGEST_TAG - 500:
            parts.append([])
            size = len(json.dumps(name)) + 2
        parts[-1].append(name)
    return {
        f"{OWNER}{context.key[:16]}.{number}": json.dumps(
            {"step": context.producer.step, "names": names}
        )
        for number, names in enumerate(parts)
    }


def _owner(tags: dict[str, str], parameter: str) -> str | None:
    for name, text in tags.items():
        if not name.startswith(OWNER):
            continue
        try:
            owner = json.loads(text)
        except ValueError:
            continue
        if parameter in owner["names"]:
            return str(owner["step"])
    return None
