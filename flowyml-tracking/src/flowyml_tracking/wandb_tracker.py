"""Weights & Biases as an experiment tracker."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from attrs import define, field

from flowyml.artifacts import Metrics, Parameters
from flowyml.errors import DeliveryError, FlowyMLError
from flowyml.plugins import hookimpl
from flowyml.records import (
    Check,
    DeliveryContext,
    LoggedRun,
    RunInfo,
    RunStatus,
    StoredArtifact,
)
from flowyml_tracking.origin import time_of
from flowyml_tracking.parameters import conflict, flatten, text_of
from flowyml_tracking.trackers import Tracker, link_to
from flowyml_tracking.wandb_client import is_passing, sdk
from flowyml_tracking.wandb_journal import Entry
from flowyml_tracking.wandb_runs import KEY, STEP, WandbRun, WandbRuns

__all__ = ["WandbTracker"]


@define(slots=False)
class WandbTracker(Tracker):
    """Logs to one W&B run for each pipeline run; its id is the pipeline run's.

    W&B only takes rows whose own step grows. So each row carries FlowyML's step as a column, which
    W&B is told to draw the metrics over, and may come in any order.

    Attributes:
        project: None for ``WANDB_PROJECT``, else the name of the pipeline.
        entity: User or team; None for W&B's own default.
        mode: ``online``, ``offline`` or ``disabled``; None for ``WANDB_MODE``, else online.
        dir: Folder in which W&B makes its folder ``wandb``.
        base_url: Address of a W&B server of one's own.
        api_key: None for ``WANDB_API_KEY``, or what ``wandb login`` wrote.
    """

    libraries: ClassVar[Mapping[str, str]] = {"wandb": "flowyml[wandb]"}

    project: str | None = None
    entity: str | None = None
    mode: Literal["online", "offline", "disabled"] | None = None
    dir: Path = Path()
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    _runs: WandbRuns = field(init=False, repr=False, eq=False)
    _turn: threading.RLock = field(init=False, repr=False, eq=False, factory=threading.RLock)

    @_runs.default
    def _make_runs(self) -> WandbRuns:
        return WandbRuns(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            folder=self.dir,
            base_url=self.base_url,
            api_key=self.api_key,
        )

    @hookimpl
    def log_metrics_batch(self, batch: Sequence[tuple[Metrics, DeliveryContext]]) -> LoggedRun:
        """Log many rows, written down together."""
        entries = [
            Entry(
                key=context.key,
                rows=[_row(metrics, context)],
                config={
                    f"metadata.{name}": fact for name, fact in _plain(metrics.metadata).items()
                },
            )
            for metrics, context in batch
        ]
        return self._deliver(batch[0][1].run, entries)

    @hookimpl
    def log_parameters(self, parameters: Parameters, context: DeliveryContext) -> LoggedRun:
        """Log settings as the run's configuration, under dotted names.

        Raises:
            DeliveryError: One of them was logged before with another value.
        """
        values, step = _plain(flatten(parameters)), context.producer.step
        facts = {f"metadata.{name}": fact for name, fact in _plain(parameters.metadata).items()}
        with self._turn:
            _refuse_changed(self._runs.open(context.run), values, step)
            entry = Entry(key=context.key, config=values, owner=step)
            about = Entry(key=f"{context.key}.metadata", config=facts)
            return self._deliver(context.run, [entry, about] if facts else [entry])

    def link(self, run: RunInfo, stored: StoredArtifact, name: str) -> None:
        """Keep URI and digest of an artifact in the summary, and show a figure."""
        entry = Entry(key=f"{name} {stored.digest}", summary={f"artifacts/{name}": link_to(stored)})
        with self._turn:
            is_new = entry.key not in self._runs.open(run).journal.keys
            picture = self._stores.picture(stored) if is_new else None
            if picture is not None:
                with self._runs.handing_over(run, f"show the picture {name!r}") as opened:
                    opened.show(f"figures/{name}", _image(picture))
            self._deliver(run, [entry])

    def _deliver(self, run: RunInfo, entries: Sequence[Entry]) -> LoggedRun:
        with self._turn:
            journal = self._runs.open(run).journal
            new = [entry for entry in entries if entry.key not in journal.keys]
            journal.add(new)
            task = f"take what was logged to its run of {run.run_id!r}"
            with self._runs.handing_over(run, task) as opened:
                opened.take(new)
            return opened.logged

    @hookimpl
    def run_started(self, run: RunInfo) -> None:
        """Hand over what a process that died left behind; a new run has nothing yet."""
        with self._turn:
            if self._runs.has_unsettled(run):
                self._runs.open(run)

    @hookimpl
    def run_finished(self, run: RunInfo, status: RunStatus) -> None:
        """Finish the W&B run; a pipeline run that logged nothing has none."""
        with self._turn:
            self._runs.finish(run, status)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Take it that W&B's server may answer later, and that a refusal stays one."""
        return is_passing(error)

    def diagnose(self) -> Sequence[Check]:
        """Tell whether W&B is installed and knows who logs."""
        try:
            wandb = sdk()
        except FlowyMLError as error:
            fix = "install it with `pip install 'flowyml[wandb]'`"
            return (Check("wandb", ok=False, message=str(error), fix=fix),)
        mode = self.mode or wandb.Settings().mode or "online"
        if mode == "online" and not (self.api_key or wandb.Api().api_key):
            fix = "run `wandb login`, or set WANDB_API_KEY, or `mode: offline`"
            return (Check("wandb", ok=False, message="W&B has no API key", fix=fix),)
        return (Check("wandb", ok=True, message=f"W&B {wandb.__version__} logs {mode}"),)


def _row(metrics: Metrics, context: DeliveryContext) -> dict[str, Any]:
    row: dict[str, Any] = {"_timestamp": time_of(context) / 1000, KEY: context.key}
    if metrics.step is not None:
        row[STEP] = metrics.step
    columns = {name: _column(name) for name in metrics}
    for name, column in columns.items():
        if column != name and column in columns:
            message = (
                f"W&B would show {name!r} and {column!r} under one name, because {name!r} is a "
                "column of its own or of FlowyML's; rename one of them"
            )
            raise DeliveryError(message)
        row[column] = metrics[name]
    return row


def _column(name: str) -> str:
    """Return the column of a metric: W&B keeps names with ``_`` to itself, and ours is the step."""
    return f"metric.{name}" if name == STEP or name.startswith("_") else name


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Keep what JSON knows as it is; the rest becomes text, as the other trackers show it."""
    kinds = (bool, int, float, str, type(None))
    return {n: value if isinstance(value, kinds) else text_of(value) for n, value in values.items()}


def _refuse_changed(opened: WandbRun, values: dict[str, Any], step: str) -> None:
    for name, value in values.items():
        old, other = opened.journal.owners.get(name, (value, None))
        if text_of(old) != text_of(value):
            raise conflict(name, new=text_of(value), step=step, old=text_of(old), other=other)


def _image(picture: bytes) -> Any:
    import PIL.Image

    return PIL.Image.open(io.BytesIO(picture))
