"""What the trackers' tests share: one MLflow server, and runs that no backend has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.servers.mlflow import start_mlflow
from tests.servers.processes import ServerProcess
from tests.tracking.deliveries import Deliveries, new_run


@pytest.fixture(scope="session", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep W&B's caches away from the user's own, and give a busy machine time.

    Many tests start a process that imports MLflow. It is compiled once, not by each of them, and
    its server may take longer for an answer than a user would wait.
    """
    folder = str(tmp_path_factory.mktemp("wandb"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
            patch.setenv(name, folder)
        for name in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_MODE", "WANDB_API_KEY"):
            patch.delenv(name, raising=False)
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start MLflow once for all tests."""
    server = start_mlflow(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.kill()


@pytest.fixture
def deliveries(tmp_path: Path) -> Deliveries:
    """Return a run that no backend has seen."""
    return new_run(tmp_path)


@pytest.fixture
def another_run(tmp_path: Path) -> Callable[[], Deliveries]:
    """Return the maker of more runs."""
    return lambda: new_run(tmp_path)
