"""Trackers and the registry behind a whole pipeline."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.servers.processes import ServerProcess
from tests.servers.proxy import Fault, Proxy, refusal

from flowyml import load
from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.result import RunResult
from flowyml.pipelines.resume import resume
from flowyml.records import DeliveryStatus, RunStatus
from flowyml.stacks.active import current_project
from flowyml_tracking.mlflow_client import connect
from flowyml_tracking.wandb_records import history, run_files

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::flowyml.stacks.hooks.LifecycleWarning", "ignore:.*type hint:UserWarning"
    ),
    # MLflow and its server are imported.
    pytest.mark.timeout(300),
]

linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="/proc is Linux's")

FLOW = """
from collections.abc import Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression

from flowyml import Pipeline, step
from flowyml.core import Dataset, Metrics, Model, Parameters


@step(outputs=["settings"])
def choose() -> Parameters:
    return Parameters({"optimizer": {"lr": 0.1}})


@step(outputs=["rows"])
def load() -> Dataset:
    return Dataset(np.array([[0.0], [1.0], [2.0], [3.0]]))


@step(outputs=["fraud_detector"])
def train(rows: Dataset, settings: Parameters) -> Iterator[Metrics | Model]:
    for epoch in range(3):
        yield Metrics({"loss": 1 / (epoch + 1)}).at_step(epoch)
    return Model(LogisticRegression().fit(rows.data, [0, 0, 1, 1]), name="fraud_detector")


@step(outputs=["scores"])
def evaluate(fraud_detector: Model, rows: Dataset) -> Metrics:
    accuracy = fraud_detector.data.score(rows.data, [0, 0, 1, 1])
    return Metrics({"accuracy": accuracy}).with_metadata(model_version="1.0")


pipeline = Pipeline("fraud")
for each in (choose, load, train, evaluate):
    pipeline.add_step(each)
"""

STACK = """
plugins:
  experiment_tracker:
    - {{ type: mlflow, tracking_uri: {uri} }}
    - {{ type: tensorboard, log_dir: runs }}
    - {{ type: wandb, mode: offline }}
  model_registry: {{ type: mlflow }}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a project with a pipeline in the working directory."""
    for name in ("FLOWYML_STACK", "FLOWYML_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.py").write_text(FLOW)
    before, search = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = search
    for name in sys.modules.keys() - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once what failed; the pauses themselves are random seconds."""
    monkeypatch.setattr("tenacity.wait_random_exponential.__call__", lambda *_: 0.01)


def run(folder: Path, uri: str) -> RunResult:
    """Run the pipeline against an MLflow server."""
    (folder / "flowyml.yaml").write_text(STACK.format(uri=uri))
    return find_pipeline("flow.py", current_project()).run()


def mlflow_run(client: Any, run_id: str) -> Any:
    """Return the only MLflow run of a pipeline run."""
    experiment = client.get_experiment_by_name("fraud")
    wanted = f"tags.`flowyml.run_id` = '{run_id}'"
    (found,) = client.search_runs([experiment.experiment_id], wanted)
    return found


def points(client: Any, run_id: str, name: str) -> list[tuple[int, float]]:
    """Return step and value of each point of an MLflow curve."""
    history = client.get_metric_history(run_id, name)
    return sorted((point.step, point.value) for point in history)


CURVE = [(0, 1.0), (1, 0.5), (2, 1 / 3)]


def test_one_returned_value_reaches_every_tracker(
    mlflow_server: ServerProcess, folder: Path
) -> None:
    """Metrics, parameters, links and the model are where each tracker shows them."""
    result = run(folder, mlflow_server.url)
    assert result.status == RunStatus.DONE, str(result)
    client = connect(mlflow_server.url)
    shown = mlflow_run(client, result.run_id)
    assert shown.info.status == "FINISHED"
    assert shown.data.params == {"optimizer.lr": "0.1"}
    assert shown.data.metrics["accuracy"] == 1.0
    assert shown.data.tags["model_version"] == "1.0"
    assert points(client, shown.info.run_id, "loss") == CURVE
    link = json.loads(shown.data.tags["flowyml.artifact.load.rows"])
    (rows,) = [artifact for artifact in result.artifacts if artifact.output == "rows"]
    assert (link["uri"], link["digest"]) == (rows.uri, rows.digest)
    assert [found.dataset.name for found in shown.inputs.dataset_inputs] == ["rows"]
    events = EventAccumulator(str(folder / "runs" / result.run_id)).Reload()
    assert [point.step for point in events.Scalars("loss")] == [0, 1, 2]
    logged = [row for file in run_files(folder, result.run_id) for row in history(file)]
    assert sorted((row["step"], row["loss"]) for row in logged if "loss" in row) == CURVE


def test_the_ledger_has_the_address_of_each_trackers_run(
    mlflow_server: ServerProcess, folder: Path
) -> None:
    """So ``flowyml runs show`` leads to it."""
    result = run(folder, mlflow_server.url)
    shown = mlflow_run(connect(mlflow_server.url), result.run_id)
    metrics = [d for d in result.deliveries if d.hook == "log_metrics"]
    logged = {d.component: d.reference or "" for d in metrics}
    assert logged["experiment_tracker.mlflow"].endswith(f"/runs/{shown.info.run_id}")
    assert logged["experiment_tracker.tensorboard"].endswith(f"/runs/{result.run_id}")
    assert logged["experiment_tracker.wandb"] == result.run_id


def test_mlflow_loads_the_registered_model_by_its_name(
    mlflow_server: ServerProcess, folder: Path
) -> None:
    """The registry takes the server from the tracker beside it."""
    result = run(folder, mlflow_server.url)
    (registered,) = [d for d in result.deliveries if d.hook == "register_model"]
    assert registered.status == DeliveryStatus.DONE
    mlflow.set_tracking_uri(mlflow_server.url)
    version = (registered.result or {})["version"]
    loaded = mlflow.pyfunc.load_model(f"models:/fraud_detector/{version}")
    assert loaded.predict([[0.0], [3.0]]).tolist() == [0, 1]


@pytest.mark.usefixtures("_short_pauses")
def test_a_tracker_that_is_down_is_paid_on_resume(
    mlflow_server: ServerProcess, folder: Path
) -> None:
    """The others have everything; what is owed comes with its steps and times, once."""
    with Proxy(mlflow_server.url).serving() as proxy:
        proxy.faults.append(Fault("slow_down", times=1_000_000))
        result = run(folder, proxy.url)
        assert result.status == RunStatus.INCOMPLETE, str(result)
        owed = {delivery.component for delivery in result.deliveries if delivery.is_debt}
        assert owed == {"experiment_tracker.mlflow", "model_registry"}
        events = EventAccumulator(str(folder / "runs" / result.run_id)).Reload()
        assert [point.step for point in events.Scalars("loss")] == [0, 1, 2]
        proxy.faults.clear()
        resumed = resume(result.run_id)
    assert resumed.status == RunStatus.DONE, str(resumed)
    client = connect(mlflow_server.url)
    shown = mlflow_run(client, result.run_id)
    assert shown.info.status == "FINISHED"
    assert points(client, shown.info.run_id, "loss") == CURVE
    assert shown.data.params == {"optimizer.lr": "0.1"}
    assert "flowyml.artifact.load.rows" in shown.data.tags
    curves = [load(a.uri) for a in result.artifacts if a.output.startswith("train.yielded")]
    made = sorted(moment // 1000 for curve in curves for moment in curve.data["times"])
    times = [point.timestamp for point in client.get_metric_history(shown.info.run_id, "loss")]
    assert sorted(times) == made


SMALL = """
from flowyml import Pipeline, step
from flowyml.core import Dataset


@step
def rows() -> Dataset:
    return Dataset([1, 2, 3])


pipeline = Pipeline("small").add_step(rows)
"""

BUSY = refusal("503 Service Unavailable", "busy")


def run_small(folder: Path, uri: str) -> RunResult:
    """Run a pipeline that stores one artifact and logs nothing."""
    (folder / "flow.py").write_text(SMALL)
    tracker = f"{{ type: mlflow, tracking_uri: {uri}, experiment_name: fraud }}"
    (folder / "flowyml.yaml").write_text(f"plugins: {{ experiment_tracker: {tracker} }}")
    return find_pipeline("flow.py", current_project()).run()


@pytest.mark.parametrize("request_", [b"set-tag", b"runs/update"], ids=["link", "end"])
def test_one_refusal_loses_no_link_and_no_end(
    mlflow_server: ServerProcess, folder: Path, request_: bytes
) -> None:
    """The server was busy once: it is asked again, and the run is done."""
    with Proxy(mlflow_server.url).serving() as proxy:
        proxy.faults.append(Fault("refuse", matching=request_, answer=BUSY))
        result = run_small(folder, proxy.url)
    assert proxy.hits == ["refuse"]
    assert result.status == RunStatus.DONE, str(result)
    shown = mlflow_run(connect(mlflow_server.url), result.run_id)
    assert shown.info.status == "FINISHED"
    assert shown.data.tags["flowyml.status"] == "done"
    assert "flowyml.artifact.rows.rows" in shown.data.tags


@pytest.mark.parametrize(
    ("request_", "owed"),
    [(b"set-tag", {"artifact_stored", "run_finished"}), (b"runs/update", {"run_finished"})],
    ids=["link", "end"],
)
def test_a_link_and_an_end_that_are_refused_are_paid_on_resume(
    mlflow_server: ServerProcess, folder: Path, request_: bytes, owed: set[str]
) -> None:
    """The run is incomplete until MLflow has both."""
    forbidden = refusal("403 Forbidden", "not today")
    with Proxy(mlflow_server.url).serving() as proxy:
        proxy.faults.append(Fault("refuse", 1000, matching=request_, answer=forbidden))
        result = run_small(folder, proxy.url)
        assert result.status == RunStatus.INCOMPLETE, str(result)
        assert {delivery.hook for delivery in result.deliveries if delivery.is_debt} == owed
        client = connect(mlflow_server.url)
        assert mlflow_run(client, result.run_id).info.status == "RUNNING"
        proxy.faults.clear()
        resumed = resume(result.run_id)
    assert resumed.status == RunStatus.DONE, str(resumed)
    shown = mlflow_run(client, result.run_id)
    assert shown.info.status == "FINISHED"
    assert shown.data.tags["flowyml.status"] == "done"
    assert "flowyml.artifact.rows.rows" in shown.data.tags
    assert [found.dataset.name for found in shown.inputs.dataset_inputs] == ["rows"]


LOSING = """
from flowyml import Pipeline, step
from flowyml.core import Metrics
from tests.tracking.wandb_helper import kill_helper


@step
def one() -> Metrics:
    return Metrics({"loss": 1})


@step
def two(one: Metrics) -> Metrics:
    kill_helper()
    DAMAGE
    return Metrics({"loss": 2})


pipeline = Pipeline("losing").add_step(one).add_step(two)
"""

DAMAGED = """[file] = __import__("pathlib").Path("wandb/flowyml").glob("*/*/entries.jsonl")
    file.write_text("half" + chr(10) + file.read_text())"""


def run_losing(folder: Path, damage: str) -> RunResult:
    """Run a pipeline whose second step ends W&B's helper process."""
    (folder / "flow.py").write_text(LOSING.replace("DAMAGE", damage))
    tracker = "{ type: wandb, mode: offline }"
    (folder / "flowyml.yaml").write_text(f"plugins: {{ experiment_tracker: {tracker} }}")
    return find_pipeline("flow.py", current_project()).run()


def losses(folder: Path, result: RunResult) -> list[Any]:
    """Return what W&B's files have of all that had the run open."""
    files = run_files(folder, result.run_id)
    return sorted(row["loss"] for file in files for row in history(file))


@pytest.mark.usefixtures("_short_pauses")
@linux
def test_a_run_that_lost_w_and_bs_helper_is_done_once_w_and_b_has_all(folder: Path) -> None:
    """What the helper took along is handed over to the next one."""
    result = run_losing(folder, damage="")
    assert result.status == RunStatus.DONE, str(result)
    assert losses(folder, result) == [1, 2]


@pytest.mark.usefixtures("_short_pauses")
@linux
def test_what_w_and_b_never_got_is_owed_until_it_has_it(folder: Path) -> None:
    """The run is incomplete for as long as the journal cannot be read, and is paid then."""
    result = run_losing(folder, DAMAGED)
    assert result.status == RunStatus.INCOMPLETE, str(result)
    (file,) = folder.glob("wandb/flowyml/*/*/entries.jsonl")
    owed = [delivery for delivery in result.deliveries if delivery.is_debt]
    assert {"log_metrics", "run_finished"} <= {delivery.hook for delivery in owed}
    for delivery in owed:
        assert f"line 1 of the journal {file} is damaged" in str(delivery.error)
    file.write_text(file.read_text().removeprefix("half\n"))
    assert resume(result.run_id).status == RunStatus.DONE
    assert losses(folder, result) == [1, 2]


def test_a_tracker_that_no_stack_names_is_not_imported(folder: Path) -> None:
    """A run on a stack without trackers imports none of their libraries."""
    program = (
        "import sys; from flowyml import Pipeline, step\n"
        "@step\ndef one() -> dict[str, int]:\n    return {'a': 1}\n"
        "pipeline = Pipeline('plain'); pipeline.add_step(one)\n"
        "result = pipeline.run()\n"
        "print(result.status, {'mlflow', 'wandb', 'tensorboard'} & sys.modules.keys())\n"
    )
    (folder / "plain.py").write_text(program)
    command = [sys.executable, "plain.py"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer.splitlines()[-1] == "done set()"
