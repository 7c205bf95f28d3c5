import json
import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tests.tracking.deliveries import Deliveries

from flowyml.artifacts import Metrics, Parameters
from flowyml.errors import DeliveryError
from flowyml.records import RunStatus
from flowyml_local.storage import LocalArtifactStore
from flowyml_tracking.tensorboard_tracker import TensorBoardTracker


@pytest.fixture
def tracker(tmp_path: Path) -> TensorBoardTracker:
    """Return a tracker that has seen no run."""
    return TensorBoardTracker(log_dir=tmp_path / "runs")


def read(tracker: TensorBoardTracker, deliveries: Deliveries) -> Any:
    """Read a run with TensorBoard's own accumulator, all of it."""
    folder = tracker.log_dir / deliveries.run.run_id
    guidance = {"scalars": 0, "tensors": 0, "images": 0}
    return EventAccumulator(str(folder), size_guidance=guidance).Reload()


def text(events: Any, tag: str) -> str:
    """Return the newest text under a tag."""
    return str(events.Tensors(f"{tag}")[-1].tensor_proto.string_val[0].decode())


def hyperparameters(events: Any) -> dict[str, Any]:
    """Return the values that TensorBoard's hparams plugin shows."""
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {n: v.number_value or v.string_value or v.bool_value for n, v in start.hparams.items()}


def test_what_a_delivery_left_is_in_the_file_at_once(
    tracker: TensorBoardTracker, deliveries: Deliveries
) -> None:
    """Nothing waits for the end of the run, and infinity and NaN are what they are."""
    metrics = Metrics({"loss": math.inf, "gain": math.nan, "least": -math.inf})
    tracker.log_metrics(metrics, deliveries.context())
    events = read(tracker, deliveries)
    assert events.Scalars("loss")[0].value == math.inf
    assert events.Scalars("least")[0].value == -math.inf
    assert math.isnan(events.Scalars("gain")[0].value)


def test_a_second_delivery_under_the_same_key_adds_nothing(
    tracker: TensorBoardTracker, deliveries: Deliveries
) -> None:
    """Neither from the same process nor from another one that knows nothing of the first."""
    context = deliveries.context()
    metrics = Metrics({"loss": 0.1, "huge": 1e300, "bad": math.nan}).at_step(3)
    tracker.log_metrics(metrics, context)
    tracker.log_metrics(metrics, context)
    logged = TensorBoardTracker(log_dir=tracker.log_dir).log_metrics(metrics, context)
    events = read(tracker, deliveries)
    assert [len(events.Scalars(name)) for name in metrics] == [1, 1, 1]
    assert logged.run_id == deliveries.run.run_id


def test_threads_and_components_share_one_run(
    tracker: TensorBoardTracker, deliveries: Deliveries
) -> None:
    """Whatever is written at once is all there."""
    trackers = [TensorBoardTracker(log_dir=tracker.log_dir) for _ in range(3)]

    def work(number: int) -> None:
        for step in range(20):
            point = Metrics({f"m{number}": step}).at_step(step)
            trackers[number % 3].log_metrics(point, deliveries.context(at=step))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = read(tracker, deliveries)
    assert [len(events.Scalars(f"m{number}")) for number in range(6)] == [20] * 6
    assert [folder.name for folder in tracker.log_dir.iterdir()] == [deliveries.run.run_id]


def test_a_long_curve_takes_seconds(tracker: TensorBoardTracker, deliveries: Deliveries) -> None:
    """A hundred thousand points are written in batches and all read back."""
    context = deliveries.context()
    batch = [(Metrics({"loss": 1 / (step + 1)}).at_step(step), context) for step in range(100_000)]
    tracker.log_metrics_batch(batch)
    assert len(read(tracker, deliveries).Scalars("loss")) == 100_000


def test_parameters_are_hyperparameters(
    tracker: TensorBoardTracker, deliveries: Deliveries
) -> None:
    """Those of all steps together, flat, and whole among the texts."""
    tracker.log_parameters(
        Parameters({"optimizer": {"lr": 0.1}, "layers": [1, 2]}), deliveries.context("prepare")
    )
    tracker.log_parameters(Parameters({"deep": True}), deliveries.context("train"))
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    events = read(tracker, deliveries)
    assert hyperparameters(events) == {"optimizer.lr": 0.1, "layers": "[1, 2]", "deep": True}
    assert "| optimizer.lr | 0.1 |" in text(events, "parameters/prepare.metrics")


def test_a_debt_that_is_paid_after_the_end_is_shown(
    tracker: TensorBoardTracker, deliveries: Deliveries
) -> None:
    """Parameters that come after the run ended are among the hyperparameters."""
    tracker.log_parameters(Parameters({"lr": 0.1}), deliveries.context())
    tracker.run_finished(deliveries.run, RunStatus.INCOMPLETE)
    later = TensorBoardTracker(log_dir=tracker.log_dir)
    later.log_parameters(Parameters({"depth": 3}), deliveries.context())
    later.run_finished(deliveries.run, RunStatus.DONE)
    assert hyperparameters(read(tracker, deliveries)) == {"lr": 0.1, "depth": 3}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (RunStatus.DONE, "STATUS_SUCCESS"),
        (RunStatus.INCOMPLETE, "STATUS_SUCCESS"),
        (RunStatus.FAILED, "STATUS_FAILURE"),
        (RunStatus.INTERRUPTED, "STATUS_FAILURE"),
    ],
)
def test_the_run_ends_as_the_pipeline_did(
    tracker: TensorBoardTracker, deliveries: Deliveries, status: RunStatus, shown: str
) -> None:
    """TensorBoard knows two ends; the exact one lies beside the events."""
    tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    tracker.run_finished(deliveries.run, status)
    content = (
        read(tracker, deliveries).SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    )
    end = plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info
    assert api_pb2.Status.Name(end.status) == shown
    facts = tracker.log_dir / deliveries.run.run_id / "flowyml.json"
    assert json.loads(facts.read_text())["status"] == status.value


def test_a_parameter_with_another_value_is_refused_by_both_names(
    tracker: TensorBoardTracker, deliveries: Deliveries
) -> None:
    """The message names the step that logged it and the one that wants to change it."""
    tracker.log_parameters(Parameters({"lr": 0.1}), deliveries.context("prepare"))
    later = TensorBoardTracker(log_dir=tracker.log_dir)
    with pytest.raises(DeliveryError, match=r"'lr' is '0.2' in the step 'train'.*'prepare'"):
        later.log_parameters(Parameters({"lr": 0.2, "depth": 1}), deliveries.context("train"))
    assert hyperparameters(read(tracker, deliveries)) == {"lr": 0.1}


def test_metadata_is_a_table(tracker: TensorBoardTracker, deliveries: Deliveries) -> None:
    """What ``with_metadata`` said stands among the texts."""
    metrics = Metrics({"loss": 0.5}).with_metadata(model_version="1.0")
    tracker.log_metrics(metrics, deliveries.context())
    assert "| model_version | 1.0 |" in text(read(tracker, deliveries), "metadata")


def test_stored_artifacts_are_linked(tracker: TensorBoardTracker, deliveries: Deliveries) -> None:
    """A text tells where an artifact lies and its digest, once."""
    stored = deliveries.stored({"a": 1}, "dict", "prepare", "counts")
    tracker.artifact_stored(deliveries.run, stored)
    tracker.artifact_stored(deliveries.run, stored)
    events = read(tracker, deliveries)
    assert len(events.Tensors("artifacts/prepare.counts")) == 1
    shown = text(events, "artifacts/prepare.counts")
    assert stored.uri in shown
    assert stored.digest in shown


def test_a_figure_is_shown(tracker: TensorBoardTracker, deliveries: Deliveries) -> None:
    """The picture that lies in the store is an image of the run, in its size."""
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(3, 2), dpi=100)
    figure.subplots().plot([1, 2])
    stored = deliveries.stored(figure, "Figure", "train", "curve")
    tracker.beside([LocalArtifactStore(path=deliveries.folder)]).artifact_stored(
        deliveries.run, stored
    )
    (image,) = read(tracker, deliveries).Images("figures/train.curve")
    assert (image.width, image.height) == (300, 200)


DELIVER = """
import os, signal, sys
from pathlib import Path
from flowyml.artifacts import Metrics
from flowyml_tracking.tensorboard_tracker import TensorBoardTracker
from tests.tracking.deliveries import new_run

deliveries = new_run(Path(sys.argv[1]))
tracker = TensorBoardTracker(log_dir=Path(sys.argv[1], "runs"))
for step in range(5):
    tracker.log_metrics(Metrics({"loss": step}).at_step(step), deliveries.context(at=step))
print(deliveries.run.run_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_has_delivered_what_it_said(
    tracker: TensorBoardTracker, deliveries: Deliveries, tmp_path: Path
) -> None:
    """Whoever goes on finds its points, and adds only what is missing."""
    command = [sys.executable, "-c", DELIVER, str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    run = tmp_path / "runs" / done.stdout.strip()
    torn = next(file for file in run.glob("events.out.tfevents.[1-9]*"))
    torn.write_bytes(torn.read_bytes()[:-3])  # the last record was being written
    (tracker.log_dir / deliveries.run.run_id).parent.mkdir(parents=True, exist_ok=True)
    run.rename(tracker.log_dir / deliveries.run.run_id)
    for step in range(5):
        point = Metrics({"loss": step}).at_step(step)
        tracker.log_metrics(point, deliveries.context(at=step))
    steps = [point.step for point in read(tracker, deliveries).Scalars("loss")]
    assert sorted(steps) == [0, 1, 2, 3, 4]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, deliveries: Deliveries) -> None:
    """By the delivery and by the diagnosis."""
    (tmp_path / "runs").write_text("a file where the folder should be")
    tracker = TensorBoardTracker(log_dir=tmp_path / "runs")
    with pytest.raises(DeliveryError, match="runs"):
        tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    (check,) = tracker.diagnose()
    assert not check.ok
    assert check.fix
