"""The one MLflow run that stands for a pipeline run."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Final

from attrs import define, field, frozen

from flowyml.errors import DeliveryError
from flowyml.records import LoggedRun, RunInfo, RunStatus
from flowyml_tracking.addresses import without_password
from flowyml_tracking.mlflow_client import answers, connect, is_taken
from flowyml_tracking.mlflow_points import Histories
from flowyml_tracking.origin import origin_of
from flowyml_tracking.turns import alone

__all__ = ["MLflowRuns", "OpenRun"]

RUN_ID: Final = "flowyml.run_id"
OPENED: Final = "flowyml.opened"

ACTIVE_ONLY: Final = 1
"""MLflow's number for the runs that nobody deleted, which can be named before it is imported."""

STATUSES: Final = {
    RunStatus.RUNNING: "RUNNING",
    RunStatus.DONE: "FINISHED",
    RunStatus.FAILED: "FAILED",
    RunStatus.INCOMPLETE: "FINISHED",
    RunStatus.INTERRUPTED: "KILLED",
}


@frozen
class OpenRun:
    """An MLflow run.

    Attributes:
        run_id: MLflow's id for it.
        experiment_id: The experiment it is in.
        url: Where people look at it; None for a database that no server shows.
        histories: The numbers that it had before.
    """

    run_id: str
    experiment_id: str
    url: str | None
    histories: Histories = field(eq=False, repr=False)

    @property
    def logged(self) -> LoggedRun:
        """What a delivery gives back."""
        return LoggedRun(self.run_id, self.url)


@define
class MLflowRuns:
    """Finds the MLflow run of a pipeline run by a tag, or makes it: never two.

    MLflow chooses the ids of its runs. So threads and processes of one machine take turns, and
    where two machines made one at the same moment, both keep the older and delete the other.

    Attributes:
        tracking_uri: The server; None for MLflow's own default.
        experiment_name: None for ``MLFLOW_EXPERIMENT_NAME``, else the name of the pipeline.
    """

    tracking_uri: str | None = None
    experiment_name: str | None = None
    _known: dict[str, OpenRun] = field(init=False, factory=dict)
    _turn: threading.RLock = field(init=False, factory=threading.RLock)

    @property
    def client(self) -> Any:
        """MLflow's client."""
        return connect(self.tracking_uri)

    @property
    def address(self) -> str:
        """Where MLflow is."""
        return str(self.client.tracking_uri)

    def open(self, run: RunInfo) -> OpenRun:
        """Return the MLflow run that takes values now; one that had ended runs again."""
        with self._turn:
            if run.run_id not in self._known:
                with answers(self.address, f"open its run for {run.run_id!r}"):
                    self._known[run.run_id] = self._opened(run)
            return self._known[run.run_id]

    def find(self, run: RunInfo) -> OpenRun | None:
        """Return the MLflow run if some value needed it before."""
        with self._turn:
            if run.run_id in self._known:
                return self._known[run.run_id]
            with answers(self.address, f"look for its run of {run.run_id!r}"):
                experiment = self.client.get_experiment_by_name(self._experiment(run))
                if experiment is None:
                    return None
                found = _first(self._search(experiment.experiment_id, run))
                return self._record(found) if found else None

    def end(self, run: RunInfo, status: RunStatus) -> None:
        """End the MLflow run with the pipeline's status, if there is one."""
        with self._turn:
            opened = self.find(run)
            self._known.pop(run.run_id, None)
        if opened is None:
            return
        with answers(self.address, f"end its run of {run.run_id!r}"):
            self.client.set_tag(opened.run_id, "flowyml.status", status.value)
            self.client.set_terminated(opened.run_id, STATUSES[status])

    def experiment_id(self, run: RunInfo) -> str:
        """Return the experiment of a run, made where there is none."""
        name = self._experiment(run)
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self.client.create_experiment(name))
            except Exception as error:  # MLflow's class, which is not imported before it is needed
                if not is_taken(error):
                    raise
                experiment = self.client.get_experiment_by_name(name)
        if experiment.lifecycle_stage != "active":
            message = (
                f"the experiment {name!r} was deleted in MLflow; restore it with `mlflow "
                f"experiments restore -x {experiment.experiment_id}`, or set `experiment_name`"
            )
            raise DeliveryError(message)
        return str(experiment.experiment_id)

    def _experiment(self, run: RunInfo) -> str:
        return self.experiment_name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or run.pipeline

    def _opened(self, run: RunInfo) -> OpenRun:
        experiment_id = self.experiment_id(run)
        with alone(f"mlflow {self.address} {run.run_id}"):
            found = _first(self._search(experiment_id, run)) or self._create(experiment_id, run)
        if found.info.status != "RUNNING":
            self.client.update_run(found.info.run_id, status="RUNNING")
        return self._record(found)

    def _create(self, experiment_id: str, run: RunInfo) -> Any:
        self._refuse_deleted(experiment_id, run)
        made = self.client.create_run(
            experiment_id,
            start_time=int(run.started_at.timestamp() * 1000),
            tags=self._tags(run),
            run_name=run.run_id,
        )
        rivals = self._search(experiment_id, run)
        first = _first(rivals) or made
        for rival in rivals:
            # Also one that this very request made, when its first answer got lost on the way.
            if rival is not first and _opening(rival)[0] == _opening(made)[0]:
                self.client.delete_run(rival.info.run_id)
        return first

    def _refuse_deleted(self, experiment_id: str, run: RunInfo) -> None:
        """Refuse to begin anew what somebody deleted: it would lack all that was logged before."""
        from mlflow.entities import ViewType

        deleted = _first(self._search(experiment_id, run, ViewType.DELETED_ONLY))
        if deleted is not None:
            run_id = deleted.info.run_id
            message = (
                f"its run {run_id} of {run.run_id!r} was deleted in MLflow; bring it back with "
                f"`mlflow runs restore --run-id {run_id}`, or let it go for good with `mlflow gc "
                f"--run-ids {run_id}`, and a new one is made"
            )
            raise DeliveryError(message)

    def _tags(self, run: RunInfo) -> dict[str, str]:
        origin = origin_of(run)
        tags = {f"flowyml.{name}": fact for name, fact in origin.items()}
        known = {
            "mlflow.user": origin.get("user"),
            "mlflow.source.git.commit": origin.get("git_commit"),
            "mlflow.source.name": run.pipeline,
            "mlflow.source.type": "JOB",
        }
        tags |= {name: fact for name, fact in known.items() if fact}
        return {**tags, OPENED: str(time.time_ns())}

    def _search(self, experiment_id: str, run: RunInfo, view: int = ACTIVE_ONLY) -> list[Any]:
        wanted = f"tags.`{RUN_ID}` = '{run.run_id}'"
        return list(self.client.search_runs([experiment_id], wanted, view))

    def _record(self, found: Any) -> OpenRun:
        run_id, experiment_id = str(found.info.run_id), str(found.info.experiment_id)
        base = without_password(self.address).rstrip("/")
        shown = base.startswith(("http://", "https://"))
        url = f"{base}/#/experiments/{experiment_id}/runs/{run_id}" if shown else None
        return OpenRun(run_id, experiment_id, url, Histories(self.client, run_id))


def _first(found: list[Any]) -> Any:
    """Return the run that was made first; None of none."""
    return min(found, key=_opening, default=None)


def _opening(run: Any) -> tuple[int, str]:
    opened = run.data.tags.get(OPENED, "")  # a tag, so that anybody may have changed it
    return int(opened) if opened.isdecimal() else 0, run.info.run_id
