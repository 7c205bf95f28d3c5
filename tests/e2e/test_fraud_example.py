"""The main job: the example goes from data to an endpoint by one command."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("river")
pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parents[2] / "examples"

START = "import sys; from flowyml.cli import main; sys.exit(main())"

Flowyml = Callable[..., str]


def _flowyml(folder: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if "FLOWYML" not in key}
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run the example once in a folder of its own; its server ends with the tests."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("fraud_detection.py", "flowyml.yaml"):
        shutil.copy(EXAMPLES / name, folder)
    try:
        (folder / "said.txt").write_text(_flowyml(folder, "run", "fraud_detection.py"))
        yield folder
    finally:
        _flowyml(folder, "model", "undeploy", "fraud_detector")


@pytest.fixture
def flowyml(project: Path) -> Flowyml:
    """Run a command in the project."""
    return lambda *arguments: _flowyml(project, *arguments)


def _objects(said: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said)
    return found


def test_the_run_tells_where_everything_went(project: Path) -> None:
    """For each output it says where it lies, as which version it is registered, what serves it."""
    said = (project / "said.txt").read_text()

    for output in ("sites", "training_data", "test_data", "model", "metrics", "importance"):
        assert f".{output}  " in said
    assert said.count("stored  ") == 6
    assert "registered  fraud_detector@1.0.0" in said
    assert "deployed    http://127.0.0.1:" in said
    assert ": done in " in said.splitlines()[-1]


def test_every_output_lies_in_the_format_of_its_type(project: Path, flowyml: Flowyml) -> None:
    """Frames are Parquet, the model is a pickle, numbers are JSON, each with its manifest."""
    files: dict[str, set[str]] = {}
    for artifact in _objects(flowyml("artifact", "list", "-o", "json")):
        folder = Path(urlsplit(artifact["uri"]).path)
        assert folder.is_relative_to(project / ".flowyml" / "artifacts")
        files[artifact["output"]] = {path.name for path in folder.iterdir()}

    assert files == {
        "sites": {"artifact.json", "data.parquet"},
        "training_data": {"artifact.json", "data.parquet"},
        "test_data": {"artifact.json", "data.parquet"},
        "model": {"artifact.json", "model.pkl"},
        "metrics": {"artifact.json", "data.json"},
        "importance": {"artifact.json", "data.json"},
    }


def test_what_was_stored_is_the_real_data(flowyml: Flowyml) -> None:
    """Any reader of Parquet sees the 1,250 sites; the scores are those of a model that learnt."""
    uris = {
        artifact["output"]: Path(urlsplit(artifact["uri"]).path)
        for artifact in _objects(flowyml("artifact", "list", "-o", "json"))
    }

    sites = pd.read_parquet(uris["sites"] / "data.parquet")
    assert sites.shape == (1250, 10)
    assert len(pd.read_parquet(uris["training_data"] / "data.parquet")) == 937
    metrics = json.loads((uris["metrics"] / "data.json").read_text())
    assert metrics.keys() == {"accuracy", "precision", "recall", "f1"}
    assert 0.85 < metrics["f1"] < 1
    importance = json.loads((uris["importance"] / "data.json").read_text())
    assert sum(importance.values()) == pytest.approx(1)


def test_the_lineage_leads_from_the_sites_to_the_scores(flowyml: Flowyml) -> None:
    """The model was made from the training data, and the scores from the model and the rest."""
    lineage = flowyml("artifact", "lineage", "fraud_detector")

    for output in ("sites", "training_data", "model", "metrics", "importance"):
        assert output in lineage


def test_the_endpoint_predicts(flowyml: Flowyml) -> None:
    """The address that the model is shown with answers over HTTP."""
    (model,) = _objects(flowyml("model", "show", "fraud_detector", "-o", "json"))
    (deployment,) = model["deployments"]
    url = urlsplit(deployment["url"])
    assert url.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    body = json.dumps({"instances": [[0, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 1, 1, 1, 1, 1, 0]]})
    connection.request("POST", "/predict", body)
    response = connection.getresponse()
    said = json.loads(response.read())
    connection.close()

    assert response.status == 200
    assert set(said["predictions"]) <= {0, 1}
    assert len(said["predictions"]) == 2


def test_the_example_names_no_infrastructure() -> None:
    """Neither a store nor a tracker, a registry, an endpoint or a path stands in its code."""
    code = (EXAMPLES / "fraud_detection.py").read_text().partition('"""\n')[2].lower()

    for word in (
        "store",
        "bucket",
        "mlflow",
        "registry",
        "deploy",
        "endpoint",
        ".flowyml",
        "upload",
    ):
        assert word not in code, word
