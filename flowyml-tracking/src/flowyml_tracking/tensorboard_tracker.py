"""TensorBoard as an experiment tracker."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

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
from flowyml_tracking.origin import origin_of, time_of
from flowyml_tracking.parameters import conflict, flatten, shortened, text_of
from flowyml_tracking.tensorboard_events import EventLog, Picture, Point, Text, sdk
from flowyml_tracking.tensorboard_facts import Facts, changing
from flowyml_tracking.trackers import Tracker, link_to

__all__ = ["TensorBoardTracker"]


@define(slots=False)
class TensorBoardTracker(Tracker):
    """Writes event files into one folder for each pipeline run.

    A point is one tag, step, time and value, and is written once: what a delivery finds in the
    folder it does not add again.

    Attributes:
        log_dir: The folder that ``tensorboard --logdir`` is given; a run is the folder of its id.
    """

    libraries: ClassVar[Mapping[str, str]] = {"tensorboard": "flowyml[tensorboard]"}

    log_dir: Path = Path("runs")
    _logs: dict[str, EventLog] = field(init=False, repr=False, eq=False, factory=dict)
    _turn: threading.Lock = field(init=False, repr=False, eq=False, factory=threading.Lock)

    @hookimpl
    def log_metrics_batch(self, batch: Sequence[tuple[Metrics, DeliveryContext]]) -> LoggedRun:
        """Write many numbers, and wait once for the file."""
        run = batch[0][1].run
        log = self._open(run)
        log.add(_points(batch))
        facts = {
            name: text_of(fact) for metrics, _ in batch for name, fact in metrics.metadata.items()
        }
        self._add_metadata(log, run, facts)
        return self._logged(run)

    @hookimpl
    def log_parameters(self, parameters: Parameters, context: DeliveryContext) -> LoggedRun:
        """Write settings as hyperparameters, and as a table among the texts.

        Raises:
            DeliveryError: One of them was logged before with another value.
        """
        log = self._open(context.run)
        values, step = flatten(parameters), context.producer.step
        with changing(log.folder) as facts:
            for name, value in values.items():
                _refuse_changed(facts, name, value, step)
            for name, value in values.items():
                facts.add_parameter(name, value, step)
            table = _table({name: text_of(value) for name, value in values.items()})
            tag = f"parameters/{step}.{context.producer.output}"
            log.add([Text(tag, time_of(context), table)])
        metadata = {name: text_of(fact) for name, fact in parameters.metadata.items()}
        self._add_metadata(log, context.run, metadata)
        return self._logged(context.run)

    def _add_metadata(self, log: EventLog, run: RunInfo, metadata: dict[str, str]) -> None:
        """Keep facts about values, as far as they are new, and show all of them as a table."""
        if not metadata:
            return
        with changing(log.folder) as facts:
            if facts.metadata | metadata == facts.metadata:
                return
            facts.metadata |= metadata
            step = len(facts.metadata)
            log.add([Text("metadata", _started(run), _table(facts.metadata), step)])

    def link(self, run: RunInfo, stored: StoredArtifact, name: str) -> None:
        """Write URI and digest of an artifact as a text, and a figure as an image."""
        log = self._open(run)
        time = _milliseconds(stored)
        log.add([Text(f"artifacts/{name}", time, _table(link_to(stored)))])
        picture = self._stores.picture(stored)
        if picture is not None:
            log.add([Picture(f"figures/{name}", time, picture)])

    @hookimpl
    def run_finished(self, run: RunInfo, status: RunStatus) -> None:
        """Write how the run ended; a pipeline run that logged nothing has no folder."""
        folder = self.log_dir / run.run_id
        if not folder.is_dir():
            return
        with changing(folder) as facts:
            facts.end(status)
        with self._turn:
            log = self._logs.pop(run.run_id, None)
        if log is not None:
            log.close()

    def diagnose(self) -> Sequence[Check]:
        """Tell whether TensorBoard is installed and the folder can be made."""
        try:
            sdk()
            self.log_dir.mkdir(parents=True, exist_ok=True)
        except (FlowyMLError, OSError) as error:
            fix = (
                "install `flowyml[tensorboard]`, and set `log_dir` to a folder that may be written"
            )
            return (Check("tensorboard", ok=False, message=str(error), fix=fix),)
        return (Check("tensorboard", ok=True, message=f"{self.log_dir} can be written"),)

    def _open(self, run: RunInfo) -> EventLog:
        sdk()
        with self._turn:
            if run.run_id not in self._logs:
                log = EventLog(self.log_dir / run.run_id)
                with changing(log.folder) as facts:
                    facts.origin = facts.origin or origin_of(run)
                    facts.started = run.started_at.timestamp()
                log.add([Text("flowyml", _started(run), _table(facts.origin))])
                self._logs[run.run_id] = log
            return self._logs[run.run_id]

    def _logged(self, run: RunInfo) -> LoggedRun:
        return LoggedRun(run.run_id, (self.log_dir / run.run_id).absolute().as_uri())


def _points(batch: Iterable[tuple[Metrics, DeliveryContext]]) -> Iterator[Point]:
    for metrics, context in batch:
        time = time_of(context)
        for name, value in metrics.items():
            yield Point(name, metrics.step or 0, time, value)


def _refuse_changed(facts: Facts, name: str, value: object, step: str) -> None:
    known = facts.parameters.get(name)
    if known is not None and known["text"] != text_of(value):
        raise conflict(name, new=text_of(value), step=step, old=known["text"], other=known["step"])


def _table(facts: dict[str, str]) -> str:
    rows = [f"| {_cell(name)} | {_cell(fact)} |" for name, fact in facts.items()]
    return "\n".join(["| name | value |", "| --- | --- |", *rows])


def _cell(text: str) -> str:
    return shortened(text, 1000).replace("|", "\\|").replace("\n", " ")


def _started(run: RunInfo) -> int:
    return int(run.started_at.timestamp() * 1000)


def _milliseconds(stored: StoredArtifact) -> int:
    return int(stored.manifest.created_at.timestamp() * 1000)
