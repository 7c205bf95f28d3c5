import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.servers.processes import ServerProcess, free_ports
from tests.servers.proxy import Fault, Proxy
from tests.tracking.deliveries import Deliveries, new_run

from flowyml.artifacts import Metrics, Model, Parameters
from flowyml.errors import DeliveryError
from flowyml.records import Registration, RunInfo
from flowyml_tracking.mlflow_client import connect
from flowyml_tracking.mlflow_registry import MLflowModelRegistry
from flowyml_tracking.mlflow_tracker import MLflowTracker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def proxy(mlflow_server: ServerProcess) -> Iterator[Proxy]:
    """Stand between a tracker and the server."""
    with Proxy(mlflow_server.url).serving() as proxy:
        yield proxy


def mlflow_runs(client: Any, run: RunInfo) -> list[Any]:
    """Return every MLflow run of a pipeline run, whichever experiment it is in."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`flowyml.run_id` = '{run.run_id}'"))


def test_a_server_that_is_down_may_be_back_later(deliveries: Deliveries) -> None:
    """The message names it, and the error says that another attempt may go through."""
    (port,) = free_ports(1)
    tracker = MLflowTracker(tracking_uri=f"http://127.0.0.1:{port}")
    with pytest.raises(
        DeliveryError, match=rf"MLflow at http://127\.0\.0\.1:{port} could"
    ) as raised:
        tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    assert raised.value.transient


def test_a_server_that_is_busy_may_be_free_later(proxy: Proxy, deliveries: Deliveries) -> None:
    """A 503 is transient, and the next attempt goes through."""
    tracker = MLflowTracker(tracking_uri=proxy.url)
    context = deliveries.context()
    proxy.faults.append(Fault("slow_down"))
    with pytest.raises(DeliveryError) as raised:
        tracker.log_metrics(Metrics({"loss": 0.5}), context)
    assert raised.value.transient
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), attrs.evolve(context, attempt=2))
    assert logged.run_id


def test_mlflows_own_errors_are_told_apart(mlflow_server: ServerProcess) -> None:
    """What the server refuses stays refused; any other error is not this component's to judge."""
    tracker = MLflowTracker(tracking_uri=mlflow_server.url)
    with pytest.raises(Exception, match="not found") as raised:
        connect(mlflow_server.url).get_run("0" * 32)
    assert isinstance(raised.value, Exception)
    assert tracker.is_transient(raised.value) is False
    assert tracker.is_transient(ValueError("no")) is None


@pytest.mark.parametrize("call", [b"runs/create", b"runs/log-batch", b"experiments/get-by-name"])
def test_an_answer_that_is_lost_leaves_one_of_everything(
    proxy: Proxy, mlflow_server: ServerProcess, deliveries: Deliveries, call: bytes
) -> None:
    """Where the server did the work and nobody heard of it, the next attempt finds it."""
    client = connect(mlflow_server.url)
    context = deliveries.context()
    proxy.faults.append(Fault("lose", matching=call))
    with pytest.raises(DeliveryError) as raised:
        MLflowTracker(tracking_uri=proxy.url).log_metrics(Metrics({"loss": 0.5}), context)
    assert raised.value.transient
    MLflowTracker(tracking_uri=proxy.url).log_metrics(Metrics({"loss": 0.5}), context)
    (run,) = mlflow_runs(client, deliveries.run)
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 1


def test_an_attempt_that_is_repeated_sends_what_mlflow_lacks(
    proxy: Proxy, mlflow_server: ServerProcess, deliveries: Deliveries
) -> None:
    """To look for what it has would cost the server far more than to tell it."""
    curve = [
        (Metrics({"loss": math.nan if step % 7 else step, "depth": step}).at_step(step), context)
        for step in range(900)
        for context in [deliveries.context(at=step)]
    ]
    again = [(metrics, attrs.evolve(context, attempt=2)) for metrics, context in curve]
    logged = MLflowTracker(tracking_uri=mlflow_server.url).log_metrics_batch(curve[:500])
    for attempt in range(2):
        MLflowTracker(tracking_uri=proxy.url).log_metrics_batch(again)
        sent = [line for line in proxy.requests if line.endswith("runs/log-batch")]
        assert len(sent) == 1, f"attempt {attempt}: 800 of 1,800 numbers are missing, then none"
    client = connect(mlflow_server.url)
    for name in ("loss", "depth"):
        found = client.get_metric_history(logged.run_id, name)
        assert sorted(point.step for point in found) == list(range(900))


@pytest.mark.parametrize(
    "call",
    [
        b"registered-models/create",
        b"mlflow/logged-models",
        b"mlflow-artifacts/artifacts",
        b"model-versions/create",
    ],
)
def test_a_registration_that_was_cut_off_is_found_again(
    proxy: Proxy, mlflow_server: ServerProcess, deliveries: Deliveries, call: bytes
) -> None:
    """One registered model, one version and one logged model, whichever answer got lost."""
    client = connect(mlflow_server.url)
    name = f"cut-{deliveries.run.run_id}"
    context = deliveries.context("train", "model")
    stored = deliveries.stored(Model({"w": 1}), "Model", "train", "model")
    asked = Registration(name=name, version=None, stored=stored)
    proxy.faults.append(Fault("lose", matching=call))
    with pytest.raises(DeliveryError):
        MLflowModelRegistry(tracking_uri=proxy.url).register_model(asked, context)
    assert proxy.hits == ["lose"]
    MLflowModelRegistry(tracking_uri=proxy.url).register_model(asked, context)
    (version,) = client.search_model_versions(f"name = '{name}'")
    experiments = [found.experiment_id for found in client.search_experiments()]
    wanted = f"tags.`flowyml.uri` = '{stored.uri}'"
    (model,) = client.search_logged_models(experiments, filter_string=wanted)
    assert (version.source, str(model.status)) == (f"models:/{model.model_id}", "READY")


def test_what_mlflow_sends_again_makes_one_version(
    proxy: Proxy, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user may have MLflow try again itself: what it made twice is one run and one version."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    client = connect(proxy.url)
    tracker = MLflowTracker(tracking_uri=proxy.url)
    stored = deliveries.stored(Model({"w": 1}), "Model", "train", "model")
    asked = Registration(name=deliveries.run.run_id, version=None, stored=stored)
    proxy.faults.append(Fault("lose", matching=b"runs/create"))
    proxy.faults.append(Fault("lose", matching=b"model-versions/create"))
    tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    registry = MLflowModelRegistry().beside([tracker])
    registered = registry.register_model(asked, deliveries.context("train", "model"))
    assert proxy.hits == ["lose", "lose"]
    assert len(mlflow_runs(client, deliveries.run)) == 1
    (version,) = client.search_model_versions(f"name = '{asked.name}'")
    assert registered.version == version.version


DELIVER = """
import os, signal, sys
from pathlib import Path

import attrs

from flowyml.artifacts import Metrics, Parameters
from flowyml_tracking.mlflow_tracker import MLflowTracker
from tests.tracking.deliveries import new_run

url, folder, run_id, point = sys.argv[1:]
deliveries = new_run(Path(folder))
deliveries.run = attrs.evolve(deliveries.run, run_id=run_id)
tracker = MLflowTracker(tracking_uri=url)
if point == "run":
    tracker._runs.open(deliveries.run)
else:
    tracker.log_parameters(Parameters({"lr": 0.1}), deliveries.context("prepare"))
    tracker.log_metrics(Metrics({"loss": 0.5}).at_step(1), deliveries.context())
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("point", ["run", "values"])
def test_a_process_that_is_killed_leaves_one_of_everything(
    mlflow_server: ServerProcess, tmp_path: Path, point: str
) -> None:
    """Killed after the run was made or the values were taken: the next attempt adds nothing."""
    deliveries = new_run(tmp_path)
    command = [sys.executable, "-c", DELIVER, mlflow_server.url, str(tmp_path)]
    command += [deliveries.run.run_id, point]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    tracker = MLflowTracker(tracking_uri=mlflow_server.url)
    tracker.log_parameters(Parameters({"lr": 0.1}), deliveries.context("prepare"))
    tracker.log_metrics(Metrics({"loss": 0.5}).at_step(1), deliveries.context())
    client = connect(mlflow_server.url)
    (run,) = mlflow_runs(client, deliveries.run)
    assert run.data.params == {"lr": "0.1"}
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 1


@pytest.mark.timeout(300)  # each process imports MLflow
def test_processes_that_begin_at_once_make_one_run(
    mlflow_server: ServerProcess, tmp_path: Path
) -> None:
    """Several processes need the run at the same moment; one makes it and the others find it."""
    deliveries = new_run(tmp_path)
    command = [sys.executable, "-c", DELIVER, mlflow_server.url, str(tmp_path)]
    command += [deliveries.run.run_id, "values"]
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == -9, errors.decode()
    assert len(mlflow_runs(connect(mlflow_server.url), deliveries.run)) == 1


def test_a_run_that_another_machine_made_first_is_kept(
    mlflow_server: ServerProcess, deliveries: Deliveries
) -> None:
    """No lock reaches another machine: whoever sees an older run deletes its own."""
    client = connect(mlflow_server.url)
    tracker = MLflowTracker(tracking_uri=mlflow_server.url)
    experiment = tracker._runs.experiment_id(deliveries.run)
    tags = {"flowyml.run_id": deliveries.run.run_id, "flowyml.opened": "1"}
    older = client.create_run(experiment, tags=tags)
    made = tracker._runs._create(experiment, deliveries.run)
    assert made.info.run_id == older.info.run_id
    assert len(mlflow_runs(client, deliveries.run)) == 1


class Silent(BaseHTTPRequestHandler):
    """Answers whatever comes with a 403."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_a_server_that_refuses_goes_on_refusing(deliveries: Deliveries) -> None:
    """Without permission no second attempt is worth it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        tracker = MLflowTracker(tracking_uri=f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(DeliveryError) as raised:
            tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
        assert not raised.value.transient
    finally:
        server.shutdown()
        server.server_close()
