"""The three trackers do what every tracker has to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.servers.processes import ServerProcess

from flowyml.records import RunInfo
from flowyml.testing.trackers import Backend, TrackerContract
from flowyml_tracking.mlflow_client import connect
from flowyml_tracking.mlflow_tracker import MLflowTracker
from flowyml_tracking.tensorboard_tracker import TensorBoardTracker
from flowyml_tracking.wandb_records import history, records, run_files
from flowyml_tracking.wandb_tracker import WandbTracker


@frozen
class MLflowBackend:
    """Asks the server with MLflow's own client."""

    client: Any

    def runs(self, run: RunInfo) -> int:
        return len(self._found(run))

    def points(self, run: RunInfo, name: str) -> list[tuple[int, float, int]]:
        (found,) = self._found(run)
        points = self.client.get_metric_history(found.info.run_id, name)
        return sorted((point.step, point.value, point.timestamp) for point in points)

    def parameters(self, run: RunInfo) -> dict[str, str]:
        (found,) = self._found(run)
        return dict(found.data.params)

    def links(self, run: RunInfo) -> str:
        (found,) = self._found(run)
        return " ".join(value for tag, value in found.data.tags.items() if ".artifact." in tag)

    def _found(self, run: RunInfo) -> list[Any]:
        experiment = self.client.get_experiment_by_name(run.pipeline)
        if experiment is None:
            return []
        wanted = f"tags.`flowyml.run_id` = '{run.run_id}'"
        return list(self.client.search_runs([experiment.experiment_id], wanted))


@frozen
class TensorBoardBackend:
    """Reads the event files with TensorBoard's own accumulator."""

    folder: Path

    def runs(self, run: RunInfo) -> int:
        return int((self.folder / run.run_id).is_dir())

    def points(self, run: RunInfo, name: str) -> list[tuple[int, float, int]]:
        points = self._events(run).Scalars(name)
        return sorted((p.step, p.value, round(p.wall_time * 1000)) for p in points)

    def parameters(self, run: RunInfo) -> dict[str, str]:
        rows = (row.split(" | ") for row in self._texts(run, "parameters/").splitlines())
        return {row[0].strip("| "): row[1].strip("| ") for row in rows if len(row) > 1}

    def links(self, run: RunInfo) -> str:
        return self._texts(run, "artifacts/")

    def _texts(self, run: RunInfo, prefix: str) -> str:
        events = self._events(run)
        tags = [tag for tag in events.Tags()["tensors"] if tag.startswith(prefix)]
        found = [event for tag in tags for event in events.Tensors(tag)]
        return "\n".join(event.tensor_proto.string_val[0].decode() for event in found)

    def _events(self, run: RunInfo) -> Any:
        guidance = {"scalars": 0, "tensors": 0}
        return EventAccumulator(str(self.folder / run.run_id), size_guidance=guidance).Reload()


@frozen
class WandbBackend:
    """Reads the files that W&B left, of all processes together."""

    folder: Path

    def runs(self, run: RunInfo) -> int:
        return len({record.run.run_id for record in self._records(run, "run")})

    def points(self, run: RunInfo, name: str) -> list[tuple[int, float, int]]:
        rows = [row for file in run_files(self.folder, run.run_id) for row in history(file)]
        return sorted(
            (row["step"], row[name], round(row["_timestamp"] * 1000)) for row in rows if name in row
        )

    def parameters(self, run: RunInfo) -> dict[str, str]:
        updates = [u for record in self._records(run, "config") for u in record.config.update]
        return {(u.key or ".".join(u.nested_key)): _text(u.value_json) for u in updates}

    def links(self, run: RunInfo) -> str:
        updates = [u for record in self._records(run, "summary") for u in record.summary.update]
        return " ".join(update.value_json for update in updates)

    def _records(self, run: RunInfo, kind: str) -> list[Any]:
        found = [record for file in run_files(self.folder, run.run_id) for record in records(file)]
        return [record for record in found if record.WhichOneof("record_type") == kind]


def _text(value: str) -> str:
    return str(json.loads(value))


class TestMLflow(TrackerContract):
    @pytest.fixture
    def new_tracker(self, mlflow_server: ServerProcess) -> Callable[[], MLflowTracker]:
        return lambda: MLflowTracker(tracking_uri=mlflow_server.url)

    @pytest.fixture
    def backend(self, mlflow_server: ServerProcess) -> Backend:
        return MLflowBackend(connect(mlflow_server.url))


class TestTensorBoard(TrackerContract):
    @pytest.fixture
    def new_tracker(self, tmp_path: Path) -> Callable[[], TensorBoardTracker]:
        return lambda: TensorBoardTracker(log_dir=tmp_path / "runs")

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return TensorBoardBackend(tmp_path / "runs")


class TestWandb(TrackerContract):
    @pytest.fixture
    def new_tracker(self, tmp_path: Path) -> Callable[[], WandbTracker]:
        return lambda: WandbTracker(mode="offline", dir=tmp_path)

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return WandbBackend(tmp_path)
