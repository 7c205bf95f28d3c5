import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.servers.proxy import Fault, Proxy, refusal
from tests.servers.wandb import WandbStub
from tests.tracking.deliveries import Deliveries, new_run

from flowyml.artifacts import Metrics, Parameters
from flowyml.errors import DeliveryError
from flowyml.records import RunStatus
from flowyml_local.storage import LocalArtifactStore
from flowyml_tracking.wandb_records import history, records, run_files
from flowyml_tracking.wandb_runs import KEY
from flowyml_tracking.wandb_tracker import WandbTracker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tracker(tmp_path: Path, deliveries: Deliveries) -> Iterator[WandbTracker]:
    """Return a tracker that has seen no run, and end what the test leaves open."""
    tracker = WandbTracker(mode="offline", dir=tmp_path)
    yield tracker
    tracker.run_finished(deliveries.run, RunStatus.INTERRUPTED)


def rows(tracker: WandbTracker, deliveries: Deliveries) -> list[dict[str, Any]]:
    """Read the rows of all processes that logged to the run."""
    files = run_files(tracker.dir, deliveries.run.run_id)
    return [row for file in files for row in history(file)]


def items(tracker: WandbTracker, deliveries: Deliveries, kind: str) -> dict[str, Any]:
    """Read configuration or summary of the run."""
    found: dict[str, Any] = {}
    for file in run_files(tracker.dir, deliveries.run.run_id):
        for record in records(file):
            if record.WhichOneof("record_type") == "run" and kind == "config":
                updates = record.run.config.update
            elif record.WhichOneof("record_type") == kind:
                updates = getattr(record, kind).update
            else:
                continue
            for item in updates:
                found[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return found


def exits(tracker: WandbTracker, deliveries: Deliveries) -> list[int]:
    """Read how W&B's runs ended."""
    files = run_files(tracker.dir, deliveries.run.run_id)
    found = [record for file in files for record in records(file)]
    return [r.exit.exit_code for r in found if r.WhichOneof("record_type") == "exit"]


def test_the_run_has_the_id_of_the_pipeline_run(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """So that every process finds the same one, and it says where it comes from."""
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    assert logged.run_id == deliveries.run.run_id
    config = items(tracker, deliveries, "config")
    assert config["flowyml.pipeline"] == "fraud"
    assert config["flowyml.stack"] == "local"


def test_a_second_delivery_under_the_same_key_adds_nothing(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """Neither from the same process nor from another one that knows nothing of the first."""
    context = deliveries.context()
    metrics = Metrics({"loss": 0.5, "gain": math.nan, "worst": math.inf}).at_step(3)
    tracker.log_metrics(metrics, context)
    tracker.log_metrics(metrics, context)
    tracker.run_finished(deliveries.run, RunStatus.INCOMPLETE)
    later = WandbTracker(mode="offline", dir=tracker.dir)
    later.log_metrics(metrics, context)
    later.run_finished(deliveries.run, RunStatus.DONE)
    (row,) = rows(tracker, deliveries)
    assert row["loss"] == 0.5
    assert math.isnan(row["gain"])
    assert row["worst"] == math.inf


def test_metrics_called_like_columns_of_w_and_b_stand_beside_them(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """Nothing is lost, and the step stays the step."""
    names = ("step", "_step", "_timestamp", "_runtime", "_flowyml", "loss")
    context = deliveries.context()
    tracker.log_metrics(Metrics(dict.fromkeys(names, 7.0)).at_step(3), context)
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    (row,) = rows(tracker, deliveries)
    assert (row["step"], row[KEY], row["loss"]) == (3, context.key, 7)
    assert row["_timestamp"] > 1e9
    assert [row[f"metric.{name}"] for name in names[:-1]] == [7] * 5


def test_two_metrics_that_would_stand_in_one_column_are_refused(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """Two curves are never drawn as one without a word."""
    with pytest.raises(DeliveryError, match=r"'step' and 'metric\.step' under one name"):
        tracker.log_metrics(Metrics({"step": 1, "metric.step": 2}), deliveries.context())


def test_threads_share_one_run(tracker: WandbTracker, deliveries: Deliveries) -> None:
    """However many begin at once, one run is opened and all rows are there."""

    def work(number: int) -> None:
        for step in range(5):
            point = Metrics({f"m{number}": step}).at_step(step)
            tracker.log_metrics(point, deliveries.context(at=step))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    assert len(run_files(tracker.dir, deliveries.run.run_id)) == 1
    assert len(rows(tracker, deliveries)) == 20


@pytest.mark.parametrize(
    ("status", "code"),
    [(RunStatus.DONE, 0), (RunStatus.INCOMPLETE, 0), (RunStatus.FAILED, 1)],
)
def test_the_run_ends_as_the_pipeline_did(
    tracker: WandbTracker, deliveries: Deliveries, status: RunStatus, code: int
) -> None:
    """What W&B has no word for stands in the summary."""
    tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    tracker.run_finished(deliveries.run, status)
    assert exits(tracker, deliveries) == [code]
    assert items(tracker, deliveries, "summary")["flowyml.status"] == status.value


def test_a_run_that_logs_nothing_leaves_nothing(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """Neither its beginning nor its end opens a W&B run."""
    tracker.run_started(deliveries.run)
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    assert run_files(tracker.dir, deliveries.run.run_id) == []


def test_parameters_are_the_configuration(tracker: WandbTracker, deliveries: Deliveries) -> None:
    """Nested names are joined by dots; numbers stay numbers."""
    parameters = Parameters({"optimizer": {"lr": 0.1}, "layers": [1, 2]})
    tracker.log_parameters(parameters.with_metadata(source="grid"), deliveries.context())
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    config = items(tracker, deliveries, "config")
    assert (config["optimizer.lr"], config["layers"]) == (0.1, "[1, 2]")
    assert config["metadata.source"] == "grid"


def test_a_parameter_with_another_value_is_refused_by_both_names(
    tracker: WandbTracker, deliveries: Deliveries
) -> None:
    """The message names the step that logged it, in this process or in one before."""
    tracker.log_parameters(Parameters({"lr": 0.1}), deliveries.context("prepare"))
    with pytest.raises(DeliveryError, match=r"'lr' is '0.2' in the step 'train'.*'prepare'"):
        tracker.log_parameters(Parameters({"lr": 0.2}), deliveries.context("train"))
    tracker.run_finished(deliveries.run, RunStatus.INCOMPLETE)
    later = WandbTracker(mode="offline", dir=tracker.dir)
    with pytest.raises(DeliveryError, match=r"'lr' is '0.3' in the step 'test'.*'prepare'"):
        later.log_parameters(Parameters({"lr": 0.3}), deliveries.context("test"))
    later.run_finished(deliveries.run, RunStatus.DONE)


def test_stored_artifacts_are_linked(tracker: WandbTracker, deliveries: Deliveries) -> None:
    """The summary tells where an artifact lies and its digest."""
    stored = deliveries.stored({"a": 1}, "dict", "prepare", "counts")
    tracker.artifact_stored(deliveries.run, stored)
    tracker.artifact_stored(deliveries.run, stored)
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    summary = items(tracker, deliveries, "summary")
    assert summary["artifacts/prepare.counts"]["uri"] == stored.uri
    assert summary["artifacts/prepare.counts"]["digest"] == stored.digest


def test_a_figure_is_shown_once(tracker: WandbTracker, deliveries: Deliveries) -> None:
    """The picture that lies in the store is a W&B image."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    figure.subplots().plot([1, 2])
    stored = deliveries.stored(figure, "Figure", "train", "curve")
    shown = tracker.beside([LocalArtifactStore(path=deliveries.folder)])
    shown.artifact_stored(deliveries.run, stored)
    shown.artifact_stored(deliveries.run, stored)
    shown.run_finished(deliveries.run, RunStatus.DONE)
    images = [row for row in rows(tracker, deliveries) if any("figures/" in name for name in row)]
    assert len(images) == 1
    (file,) = run_files(tracker.dir, deliveries.run.run_id)
    assert len(list(file.parent.glob("files/media/images/figures/*.png"))) == 1


DELIVER = """
import os, signal, sys
from pathlib import Path
from flowyml.artifacts import Metrics, Parameters
from flowyml_tracking.wandb_tracker import WandbTracker
from tests.tracking.deliveries import new_run

folder, count = Path(sys.argv[1]), int(sys.argv[2])
deliveries = new_run(folder)
tracker = WandbTracker(mode="offline", dir=folder)
tracker.log_parameters(Parameters({"lr": 0.1}), deliveries.context())
for step in range(count):
    tracker.log_metrics(Metrics({"loss": step}).at_step(step), deliveries.context(at=step))
print(deliveries.run.run_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("count", [5, 500])
def test_what_a_killed_process_delivered_is_there_once(tmp_path: Path, count: int) -> None:
    """W&B forgets what it had in memory; whoever resumes the run hands it over again, once."""
    command = [sys.executable, "-c", DELIVER, str(tmp_path), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    deliveries = killed_run(tmp_path, done.stdout.strip())
    tracker = WandbTracker(mode="offline", dir=tmp_path)
    tracker.run_started(deliveries.run)
    deliveries.context()  # the parameters'
    for step in range(count + 1):
        point = Metrics({"loss": step}).at_step(step)
        tracker.log_metrics(point, deliveries.context(at=step))
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    found = rows(tracker, deliveries)
    assert sorted(row["loss"] for row in found) == list(range(count + 1))
    assert len({row[KEY] for row in found}) == count + 1
    assert items(tracker, deliveries, "config")["lr"] == 0.1


def killed_run(folder: Path, run_id: str) -> Deliveries:
    """Return the run of a process that is dead, with the same keys again."""
    deliveries = new_run(folder)
    deliveries.run = attrs.evolve(deliveries.run, run_id=run_id)
    return deliveries


def test_an_address_that_does_not_answer_is_transient(
    tmp_path: Path, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may be back for the next attempt."""
    monkeypatch.setattr("flowyml_tracking.wandb_runs.PATIENCE", 2.0)
    tracker = WandbTracker(
        project="p", mode="online", dir=tmp_path, base_url="http://127.0.0.1:1", api_key="0" * 40
    )
    assert "0000" not in repr(tracker)
    with pytest.raises(DeliveryError, match="W&B could not open its run") as raised:
        tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    assert raised.value.transient


def test_a_run_that_could_not_be_opened_is_opened_once_the_server_is_back(
    tmp_path: Path, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt says what the server said, and none that this very run is in the way."""
    busy = Fault("refuse", times=10**6, answer=refusal("503 Service Unavailable", "busy"))
    with WandbStub().serving() as server, Proxy(server.url, [busy]).serving() as proxy:
        tracker = WandbTracker(
            project="p", mode="online", dir=tmp_path, base_url=proxy.url, api_key="0" * 40
        )
        context = deliveries.context()
        with monkeypatch.context() as impatient:
            impatient.setattr("flowyml_tracking.wandb_runs.PATIENCE", 2.0)
            for _ in range(2):
                with pytest.raises(DeliveryError, match="could not open its run") as raised:
                    tracker.log_metrics(Metrics({"loss": 0.5}), context)
                assert raised.value.transient
                assert "in use" not in str(raised.value)
        proxy.faults.clear()
        tracker.log_metrics(Metrics({"loss": 0.5}), context)
        tracker.run_finished(deliveries.run, RunStatus.DONE)
        (row,) = server.history[deliveries.run.run_id]
    assert row["loss"] == 0.5


def test_a_failed_opening_leaves_other_runs_of_the_process_open(
    tracker: WandbTracker,
    deliveries: Deliveries,
    another_run: Callable[[], Deliveries],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the helper refuses from then on is told as an error of the delivery."""
    tracker.log_metrics(Metrics({"loss": 1}), deliveries.context())
    monkeypatch.setattr("flowyml_tracking.wandb_runs.PATIENCE", 2.0)
    url = "http://127.0.0.1:1"
    away = WandbTracker(project="p", mode="online", dir=tracker.dir, base_url=url, api_key="0" * 40)
    other = another_run()
    for _ in range(2):
        with pytest.raises(DeliveryError, match="could not open its run"):
            away.log_metrics(Metrics({"loss": 0.5}), other.context())
    monkeypatch.undo()
    tracker.log_metrics(Metrics({"loss": 2}), deliveries.context(at=1))
    tracker.run_finished(deliveries.run, RunStatus.DONE)
    assert len(run_files(tracker.dir, deliveries.run.run_id)) == 1
    assert [row["loss"] for row in rows(tracker, deliveries)] == [1, 2]


def test_an_online_run_reaches_the_server(tmp_path: Path, deliveries: Deliveries) -> None:
    """Its rows arrive with their keys, and its address comes back."""
    with WandbStub().serving() as server:
        tracker = WandbTracker(
            project="p", mode="online", dir=tmp_path, base_url=server.url, api_key="0" * 40
        )
        context = deliveries.context()
        logged = tracker.log_metrics(Metrics({"loss": 0.5}).at_step(1), context)
        tracker.run_finished(deliveries.run, RunStatus.DONE)
        (row,) = server.history[deliveries.run.run_id]
    assert (row["loss"], row["step"], row[KEY]) == (0.5, 1, context.key)
    assert logged.reference == f"{server.url}/team/p/runs/{deliveries.run.run_id}"
    assert set(server.opened) == {deliveries.run.run_id}


def test_what_the_server_has_of_a_killed_process_is_sent_no_second_time(tmp_path: Path) -> None:
    """Whoever resumes asks the server what arrived, again if need be, and sends only the rest."""
    command = [sys.executable, "-c", DELIVER, str(tmp_path), "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    run = killed_run(tmp_path, done.stdout.strip()).run
    (journal,) = (tmp_path / "wandb" / "flowyml" / run.run_id).glob("*/entries.jsonl")
    lines = map(json.loads, journal.read_text().splitlines())
    kept = [row for line in lines for row in line.get("rows", ())]
    with WandbStub().serving() as server:
        server.opened.append(run.run_id)
        server.history[run.run_id] = [{**row, "_step": n} for n, row in enumerate(kept[:2])]
        tracker = WandbTracker(
            project="p", mode="online", dir=tmp_path, base_url=server.url, api_key="0" * 40
        )
        server.refused.add("RunHistoryKeys")
        with pytest.raises(DeliveryError, match="RunHistoryKeys"):
            tracker.run_started(run)
        server.refused.clear()
        tracker.run_started(run)
        tracker.run_finished(run, RunStatus.DONE)
        assert [row["step"] for row in server.history[run.run_id]] == [0, 1, 2, 3, 4]


def test_an_offline_run_that_went_on_is_one_run_after_wandb_sync(
    tmp_path: Path, deliveries: Deliveries
) -> None:
    """W&B's own command appends what each process logged to what came before."""
    for step in range(3):
        tracker = WandbTracker(mode="offline", dir=tmp_path)
        tracker.log_metrics(Metrics({"loss": 1}).at_step(step), deliveries.context(at=step))
        tracker.run_finished(deliveries.run, RunStatus.INCOMPLETE)
    files = run_files(tmp_path, deliveries.run.run_id)
    assert [row["step"] for file in files for row in history(file)] == [0, 1, 2]
    with WandbStub().serving() as server:
        address = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0" * 40}
        command = [sys.executable, "-m", "wandb", "sync", *(str(file.parent) for file in files)]
        environment = {**os.environ, **address}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        synced = server.history[deliveries.run.run_id]
    assert [row["step"] for row in synced] == [0, 1, 2]
