import json
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.servers.processes import ServerProcess
from tests.tracking.deliveries import Deliveries

from flowyml.artifacts import Dataset, Metrics, Model, Parameters
from flowyml.errors import DeliveryError
from flowyml.records import LoggedRun, RunStatus
from flowyml_local.storage import LocalArtifactStore
from flowyml_tracking.mlflow_client import connect
from flowyml_tracking.mlflow_tracker import MLflowTracker


@pytest.fixture
def tracker(mlflow_server: ServerProcess) -> MLflowTracker:
    """Return a tracker that has seen no run."""
    return MLflowTracker(tracking_uri=mlflow_server.url)


@pytest.fixture
def client(mlflow_server: ServerProcess) -> Any:
    """Return MLflow's own client."""
    return connect(mlflow_server.url)


def history(client: Any, logged: LoggedRun, name: str) -> list[tuple[float, int, int]]:
    """Return value, step and time of each point."""
    points = client.get_metric_history(logged.run_id, name)
    return sorted((point.value, point.step, point.timestamp) for point in points)


def test_a_second_delivery_under_the_same_key_adds_nothing(
    tracker: MLflowTracker, mlflow_server: ServerProcess, client: Any, deliveries: Deliveries
) -> None:
    """Neither from the same process nor from another one that knows nothing of the first."""
    context = deliveries.context()
    metrics = Metrics({"loss": 0.5, "accuracy": math.nan}).at_step(3)
    logged = tracker.log_metrics(metrics, context)
    tracker.log_metrics(metrics, context)
    again = MLflowTracker(tracking_uri=mlflow_server.url).log_metrics(metrics, context)
    assert again == logged
    assert len(history(client, logged, "loss")) == 1
    assert len(client.get_metric_history(logged.run_id, "accuracy")) == 1


def test_the_run_says_where_it_comes_from(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """Pipeline, run, stack and user are tags, and the run is named after the pipeline's."""
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    run = client.get_run(logged.run_id)
    assert run.info.run_name == deliveries.run.run_id
    assert run.data.tags["flowyml.run_id"] == deliveries.run.run_id
    assert run.data.tags["flowyml.pipeline"] == "fraud"
    assert run.data.tags["flowyml.stack"] == "local"
    assert run.data.tags["mlflow.user"]
    assert client.get_experiment(run.info.experiment_id).name == "fraud"


def test_the_address_of_the_run_comes_back(
    tracker: MLflowTracker, mlflow_server: ServerProcess, deliveries: Deliveries
) -> None:
    """It is the page of MLflow's that shows the run."""
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    assert logged.reference.startswith(f"{mlflow_server.url}/#/experiments/")
    assert logged.reference.endswith(f"/runs/{logged.run_id}")


def test_threads_and_components_share_one_run(
    mlflow_server: ServerProcess, client: Any, deliveries: Deliveries
) -> None:
    """However many begin at once, one run is made."""
    trackers = [MLflowTracker(tracking_uri=mlflow_server.url) for _ in range(3)]
    found: list[LoggedRun] = []

    def work(tracker: MLflowTracker, number: int) -> None:
        found.append(tracker.log_metrics(Metrics({f"m{number}": 1}), deliveries.context()))

    threads = [
        threading.Thread(target=work, args=(trackers[number % 3], number)) for number in range(9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({logged.run_id for logged in found}) == 1
    assert len(client.get_run(found[0].run_id).data.metrics) == 9
    experiment = client.get_run(found[0].run_id).info.experiment_id
    wanted = f"tags.`flowyml.run_id` = '{deliveries.run.run_id}'"
    assert len(client.search_runs([experiment], wanted)) == 1


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (RunStatus.DONE, "FINISHED"),
        (RunStatus.FAILED, "FAILED"),
        (RunStatus.INCOMPLETE, "FINISHED"),
        (RunStatus.INTERRUPTED, "KILLED"),
    ],
)
def test_the_run_ends_as_the_pipeline_did(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries, status: RunStatus, shown: str
) -> None:
    """What MLflow has no word for stands in a tag."""
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    tracker.run_finished(deliveries.run, status)
    run = client.get_run(logged.run_id)
    assert (run.info.status, run.data.tags["flowyml.status"]) == (shown, status.value)


def test_a_resumed_run_goes_on_in_the_same_place(
    tracker: MLflowTracker, mlflow_server: ServerProcess, client: Any, deliveries: Deliveries
) -> None:
    """It is found again by its tag, and runs until it ends again."""
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    tracker.run_finished(deliveries.run, RunStatus.INCOMPLETE)
    later = MLflowTracker(tracking_uri=mlflow_server.url)
    assert later.log_metrics(Metrics({"loss": 0.4}), deliveries.context(at=5)) == logged
    assert client.get_run(logged.run_id).info.status == "RUNNING"
    later.run_finished(deliveries.run, RunStatus.DONE)
    assert client.get_run(logged.run_id).info.status == "FINISHED"


def test_infinity_is_told_where_mlflow_cannot_show_it(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """MLflow writes the largest number it has; the tag tells the truth."""
    metrics = Metrics({"loss": math.inf, "gain": math.nan}).at_step(7)
    logged = tracker.log_metrics(metrics, deliveries.context())
    run = client.get_run(logged.run_id)
    assert math.isnan(run.data.metrics["gain"])
    assert run.data.tags["flowyml.infinite.loss"].startswith("inf at step 7")


def test_metadata_becomes_tags(tracker: MLflowTracker, client: Any, deliveries: Deliveries) -> None:
    """What ``with_metadata`` said about the metrics stands beside them."""
    metrics = Metrics({"loss": 0.5}).with_metadata(model_version="1.0", classes=["a", "b"])
    logged = tracker.log_metrics(metrics, deliveries.context())
    tags = client.get_run(logged.run_id).data.tags
    assert (tags["model_version"], tags["classes"]) == ("1.0", '["a", "b"]')


def test_metadata_never_meets_what_the_run_is_found_by(
    tracker: MLflowTracker, mlflow_server: ServerProcess, client: Any, deliveries: Deliveries
) -> None:
    """FlowyML's and MLflow's own tags stay, and another process finds the same run."""
    facts = {"flowyml.run_id": "other", "flowyml.opened": "then", "mlflow.user": "eve"}
    strange = {"..flowyml.status": "x", "mlflow.runName": "evil"}
    metrics = Metrics({"loss": 0.5}, metadata=facts)
    logged = tracker.log_metrics(metrics, deliveries.context())
    parameters = Parameters({"lr": 0.1}, metadata=strange)
    tracker.log_parameters(parameters, deliveries.context("train", "settings"))

    later = MLflowTracker(tracking_uri=mlflow_server.url)
    assert later.log_metrics(Metrics({"gain": 1}), deliveries.context()) == logged

    run = client.get_run(logged.run_id)
    assert run.info.run_name == run.data.tags["flowyml.run_id"] == deliveries.run.run_id
    assert run.data.tags["mlflow.user"] != "eve"
    assert "flowyml.status" not in run.data.tags
    for name, value in {**facts, "flowyml.status": "x", "mlflow.runName": "evil"}.items():
        assert run.data.tags[f"metadata.{name}"] == value


def test_a_run_that_was_deleted_is_not_begun_anew_without_what_it_had(
    tracker: MLflowTracker, mlflow_server: ServerProcess, client: Any, deliveries: Deliveries
) -> None:
    """The error says how to bring it back; then it goes on."""
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    client.delete_run(logged.run_id)
    later = MLflowTracker(tracking_uri=mlflow_server.url)

    with pytest.raises(DeliveryError, match=f"`mlflow runs restore --run-id {logged.run_id}`"):
        later.log_metrics(Metrics({"loss": 0.4}), deliveries.context(at=5))

    client.restore_run(logged.run_id)
    assert later.log_metrics(Metrics({"loss": 0.4}), deliveries.context(at=5)) == logged
    assert len(history(client, logged, "loss")) == 2


def test_a_name_that_mlflow_refuses_is_written_differently(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """A character that MLflow does not take becomes an underscore."""
    logged = tracker.log_metrics(Metrics({"f1@k": 0.5, "../up": 1}), deliveries.context())
    assert set(client.get_run(logged.run_id).data.metrics) == {"f1_k", "_up"}


def test_two_names_that_would_become_one_are_refused(
    tracker: MLflowTracker, deliveries: Deliveries
) -> None:
    """Two curves are never drawn as one without a word."""
    with pytest.raises(DeliveryError, match=r"'f1@k' and 'f1#k' under one name, 'f1_k'"):
        tracker.log_metrics(Metrics({"f1@k": 0.5, "f1#k": 0.6}), deliveries.context())


def test_a_curve_of_many_points_goes_in_batches(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """More than MLflow takes in one request arrives whole, and a second time adds nothing."""
    batch = [
        (Metrics({"loss": 1 / (step + 1)}).at_step(step), deliveries.context(at=step))
        for step in range(2500)
    ]
    logged = tracker.log_metrics_batch(batch)
    tracker.log_metrics_batch(batch[:100])
    points = client.get_metric_history(logged.run_id, "loss")
    assert sorted(point.step for point in points) == list(range(2500))


def test_parameters_are_flat_and_cut_with_a_mark(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """Nested names are joined by dots; what is too long says how long it was."""
    parameters = Parameters(
        {"optimizer": {"lr": 0.1, "name": "adam"}, "layers": [1, 2], "prompt": "x" * 9000}
    )
    logged = tracker.log_parameters(parameters, deliveries.context())
    known = client.get_run(logged.run_id).data.params
    assert known["optimizer.lr"] == "0.1"
    assert known["layers"] == "[1, 2]"
    assert len(known["prompt"]) == 6000
    assert "[cut: 9000 characters, sha256 " in known["prompt"]


def test_more_parameters_than_a_request_holds(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """Several requests carry them, and logging them again changes nothing."""
    parameters = Parameters({f"p{number}": number for number in range(250)})
    context = deliveries.context()
    logged = tracker.log_parameters(parameters, context)
    tracker.log_parameters(parameters, context)
    assert len(client.get_run(logged.run_id).data.params) == 250


def test_a_parameter_with_another_value_is_refused_by_both_names(
    tracker: MLflowTracker, mlflow_server: ServerProcess, client: Any, deliveries: Deliveries
) -> None:
    """The message names the step that logged it and the one that wants to change it."""
    first = Parameters({"lr": 0.1, "depth": 3})
    logged = tracker.log_parameters(first, deliveries.context("prepare"))
    later = MLflowTracker(tracking_uri=mlflow_server.url)
    with pytest.raises(DeliveryError, match="'prepare'") as raised:
        later.log_parameters(Parameters({"lr": 0.2, "width": 1}), deliveries.context("train"))
    assert "'lr' is '0.2' in the step 'train'" in str(raised.value)
    assert not raised.value.transient
    assert client.get_run(logged.run_id).data.params == {"lr": "0.1", "depth": "3"}


def test_stored_artifacts_are_linked(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """A tag tells where an artifact lies and its digest."""
    stored = deliveries.stored({"a": 1}, "dict", "prepare", "counts")
    tracker.artifact_stored(deliveries.run, stored)
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    link = json.loads(client.get_run(logged.run_id).data.tags["flowyml.artifact.prepare.counts"])
    assert link == {"uri": stored.uri, "digest": stored.digest, "type": "dict"}


def test_a_point_of_a_curve_is_no_link(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """The number itself is in the run, so that a long curve costs no request for each point."""
    stored = deliveries.stored(Metrics({"loss": 0.5}).at_step(1), "Metrics")
    tracker.artifact_stored(deliveries.run, stored)
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    tags = client.get_run(logged.run_id).data.tags
    assert not [tag for tag in tags if tag.startswith("flowyml.artifact.")]


def test_a_dataset_is_an_input_with_its_digest(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """It is one input, however often it is told of; MLflow knows a dataset by name and digest."""
    stored = deliveries.stored(Dataset([deliveries.run.run_id]), "Dataset", "load", "rows")
    tracker.artifact_stored(deliveries.run, stored)
    tracker.artifact_stored(deliveries.run, stored)
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    (found,) = client.get_run(logged.run_id).inputs.dataset_inputs
    assert found.dataset.name == "rows"
    assert json.loads(found.dataset.source) == {"uri": stored.uri}
    assert stored.digest.removeprefix("sha256:").startswith(found.dataset.digest)
    assert {tag.key: tag.value for tag in found.tags}["flowyml.digest"] == stored.digest


def test_a_model_is_a_logged_model_of_the_run(
    tracker: MLflowTracker, client: Any, deliveries: Deliveries
) -> None:
    """It is one output, however often it is told of."""
    stored = deliveries.stored(Model({"weights": [1.0]}), "Model", "train", "model")
    tracker.artifact_stored(deliveries.run, stored)
    tracker.artifact_stored(deliveries.run, stored)
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    (output,) = client.get_run(logged.run_id).outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.name, str(model.status)) == ("model", "READY")
    assert model.tags["flowyml.digest"] == stored.digest
    assert model.source_run_id == logged.run_id


def test_a_figure_is_shown(tracker: MLflowTracker, client: Any, deliveries: Deliveries) -> None:
    """The picture that lies in the store is among the run's artifacts."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    figure.subplots().plot([1, 2])
    stored = deliveries.stored(figure, "Figure", "train", "curve")
    shown = tracker.beside([LocalArtifactStore(path=deliveries.folder)])
    shown.artifact_stored(deliveries.run, stored)
    logged = shown.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    files = [found.path for found in client.list_artifacts(logged.run_id, "figures")]
    assert files == ["figures/train.curve.png"]


def test_an_experiment_that_was_deleted_is_told(
    mlflow_server: ServerProcess, client: Any, another_run: Callable[[], Deliveries]
) -> None:
    """The message says how to bring it back."""
    tracker = MLflowTracker(tracking_uri=mlflow_server.url, experiment_name="gone")
    deliveries = another_run()
    tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    client.delete_experiment(client.get_experiment_by_name("gone").experiment_id)
    deliveries = another_run()
    with pytest.raises(DeliveryError, match="'gone' was deleted in MLflow; restore it"):
        tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())


def test_the_server_is_diagnosed(tracker: MLflowTracker) -> None:
    """One that answers is well, one that does not is named with what to do."""
    assert [check.ok for check in tracker.diagnose()] == [True]
    (check,) = MLflowTracker(tracking_uri="http://user:secret@127.0.0.1:1").diagnose()
    assert not check.ok
    assert "http://127.0.0.1:1" in check.message
    assert "secret" not in check.message
    assert check.fix


def test_a_password_in_the_address_is_never_shown(deliveries: Deliveries) -> None:
    """Neither by the component nor by an error or what it chains."""
    tracker = MLflowTracker(tracking_uri="http://user:secret@127.0.0.1:1")
    assert "secret" not in repr(tracker)
    with pytest.raises(DeliveryError, match=r"http://127\.0\.0\.1:1") as raised:
        tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
