"""Whoever deploys may be killed at any instant: one server for each endpoint, and none unknown."""

from __future__ import annotations

import pickle
import random
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.local import served_models
from tests.local.conftest import Register, eventually, servers_of, start_module
from tests.local.local_samples import a_context

from flowyml.records import ModelVersion
from flowyml_local.deployer import LocalModelDeployer

TAKE_OVER = [
    f"{when} {call}"
    for call in ("spawn 1", "listen 1", "write 1", "end 1", "write 2")
    for when in ("before", "after")
]

FIRST = [point for point in TAKE_OVER if point.split()[1] in {"spawn", "listen"}] + [
    "before write 1",
    "after write 1",
]


@pytest.fixture
def deployer(tmp_path: Path) -> LocalModelDeployer:
    """Give a deployer whose folder does not exist yet."""
    return LocalModelDeployer(path=tmp_path / "endpoints")


@contextmanager
def _deploying(
    deployer: LocalModelDeployer, model: ModelVersion, endpoint: str, key: str, point: str
) -> Iterator[subprocess.Popen[str]]:
    """Deploy in a process of its own, which says when it begins."""
    pickled = deployer.path.parent / f"{key}.pickle"
    pickled.write_bytes(pickle.dumps(model))
    arguments = (str(deployer.path), endpoint, key, point, str(pickled))
    with start_module("tests.local.deploying", *arguments) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process


def _has_one_server(deployer: LocalModelDeployer, endpoint: str, expected: int, key: str) -> None:
    """Exactly one process serves, it is the one on record, and it is the right model."""
    assert eventually(lambda: len(servers_of(endpoint)) == 1)
    (deployment,) = deployer.list_deployments()
    assert (deployment.status, deployment.key) == ("serving", key)
    assert deployer.predict(endpoint, [1]) == [expected]


@pytest.mark.parametrize("point", FIRST)
def test_a_first_deployment_that_was_killed_is_done_again(
    deployer: LocalModelDeployer, register: Register, endpoint: str, point: str
) -> None:
    """Killed at a named point and done again, it leaves one server."""
    model = register(served_models.doubled)
    with _deploying(deployer, model, endpoint, "key-1", point) as process:
        assert process.wait() == -9

    deployer.deploy_model(model, endpoint, a_context("key-1"))

    _has_one_server(deployer, endpoint, 2, "key-1")


@pytest.mark.parametrize("point", TAKE_OVER)
def test_a_take_over_that_was_killed_is_done_again(
    deployer: LocalModelDeployer, register: Register, endpoint: str, point: str
) -> None:
    """Killed at a named point: something serves all the while; done again: one server does."""
    deployer.deploy_model(register(served_models.doubled, "1"), endpoint, a_context("key-1"))
    model = register(served_models.tripled, "2")
    with _deploying(deployer, model, endpoint, "key-2", point) as process:
        assert process.wait() == -9

    assert deployer.predict(endpoint, [1]) in ([2], [3])
    deployer.deploy_model(model, endpoint, a_context("key-2"))

    _has_one_server(deployer, endpoint, 3, "key-2")


@pytest.mark.parametrize("point", ["after spawn 1", "after listen 1", "before write 1"])
def test_a_server_that_nobody_put_on_record_ends_by_itself(
    deployer: LocalModelDeployer, register: Register, endpoint: str, point: str
) -> None:
    """Without anybody doing anything, no process is left."""
    model = register(served_models.doubled)
    with _deploying(deployer, model, endpoint, "key-1", point) as process:
        assert process.wait() == -9

    assert eventually(lambda: not servers_of(endpoint))
    assert deployer.list_deployments() == []


@pytest.mark.parametrize("seed", range(5))
def test_deployments_that_are_killed_at_random_leave_one_server(
    deployer: LocalModelDeployer, register: Register, endpoint: str, seed: int
) -> None:
    """Three versions in a row, each killed at some instant; the last, done again, serves alone."""
    chance = random.Random(seed)
    functions = [served_models.doubled, served_models.tripled] * 2
    for number, function in enumerate(functions[:3]):
        model = register(function, str(number))
        with _deploying(deployer, model, endpoint, f"key-{number}", "never") as process:
            timer = threading.Timer(chance.uniform(0, 1.5), process.kill)
            timer.start()
            process.wait()
            timer.cancel()

    deployer.deploy_model(model, endpoint, a_context("key-2"))

    _has_one_server(deployer, endpoint, 2, "key-2")


def test_several_that_deploy_to_one_endpoint_take_turns(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """Four at once, two of them with the same delivery, leave the server of the last one."""
    models = {
        "key-1": register(served_models.doubled, "1"),
        "key-2": register(served_models.tripled, "2"),
    }
    with ThreadPoolExecutor(4) as pool:
        keys = ["key-1", "key-2", "key-1", "key-2"]
        deployments = list(
            pool.map(lambda key: deployer.deploy_model(models[key], endpoint, a_context(key)), keys)
        )

    assert [deployment.key for deployment in deployments] == keys
    (last,) = deployer.list_deployments()
    assert last in deployments
    _has_one_server(deployer, endpoint, int(last.version) + 1, last.key or "")
