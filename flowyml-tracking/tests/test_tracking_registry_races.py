"""Of several that register one version of one name at once in MLflow, one has it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.servers.processes import ServerProcess
from tests.servers.proxy import Fault, Proxy, refusal
from tests.tracking.deliveries import Deliveries

from flowyml.artifacts import Model
from flowyml.errors import DeliveryError
from flowyml.records import DeliveryContext, ModelVersion, Registration
from flowyml_tracking.mlflow_client import connect
from flowyml_tracking.mlflow_registry import MLflowModelRegistry

CREATE = b"model-versions/create"
SEARCH = b"model-versions/search"


@pytest.fixture
def registry(mlflow_server: ServerProcess) -> MLflowModelRegistry:
    """Return the registry of the server."""
    return MLflowModelRegistry(tracking_uri=mlflow_server.url)


@pytest.fixture
def proxy(mlflow_server: ServerProcess) -> Iterator[Proxy]:
    """Stand between a registry and the server."""
    with Proxy(mlflow_server.url).serving() as proxy:
        yield proxy


@pytest.fixture
def slower(proxy: Proxy) -> MLflowModelRegistry:
    """Return the registry as it is reached through the proxy."""
    return MLflowModelRegistry(tracking_uri=proxy.url)


@pytest.fixture
def name(deliveries: Deliveries) -> str:
    """Return a name that no model has yet."""
    return f"raced-{deliveries.run.run_id}"


Asked = tuple[Registration, DeliveryContext]


@pytest.fixture
def asked(deliveries: Deliveries, name: str) -> Callable[..., Asked]:
    """Return a function that stores a model, and asks for a version of it."""

    def ask(weight: int, version: str | None = "1.0") -> Asked:
        context = deliveries.context("train", f"model-{weight}")
        stored = deliveries.stored(Model({"w": weight}), "Model", "train", f"model-{weight}")
        return Registration(name=name, version=version, stored=stored), context

    return ask


def numbers(registry: MLflowModelRegistry, name: str) -> list[int]:
    """Return MLflow's own numbers of the versions that are there."""
    found = connect(registry.tracking_uri).search_model_versions(f"name = '{name}'")
    return sorted(int(version.version) for version in found)


def test_a_version_that_is_taken_meanwhile_is_refused(
    registry: MLflowModelRegistry, slower: MLflowModelRegistry, proxy: Proxy, asked: Any, name: str
) -> None:
    """With both digests, as where it was taken long before; nothing is left of the later one."""
    first: list[ModelVersion] = []
    faster = asked(1)
    proxy.faults.append(
        Fault("trickle", matching=CREATE, then=lambda: first.append(register(registry, faster)))
    )
    with pytest.raises(DeliveryError, match="is another model already") as refused:
        register(slower, asked(2))
    assert not refused.value.transient
    assert first[0].digest in str(refused.value)
    assert registry.list_models(name) == first
    assert numbers(registry, name) == [1]


def register(registry: MLflowModelRegistry, asked: Asked) -> ModelVersion:
    """Register as a run does: once more where what failed may pass, as where SQLite is busy."""
    while True:
        try:
            return registry.register_model(*asked)
        except DeliveryError as error:
            if not error.transient:
                raise


def test_of_four_at_once_one_has_the_version(
    registry: MLflowModelRegistry, slower: MLflowModelRegistry, proxy: Proxy, asked: Any, name: str
) -> None:
    """All have seen that it is free before the first one makes it."""
    together = threading.Barrier(4)
    proxy.faults.append(Fault("trickle", times=4, matching=CREATE, then=together.wait))
    wishes = [asked(weight) for weight in range(4)]

    def work(wish: Asked) -> ModelVersion | DeliveryError:
        try:
            return register(slower, wish)
        except DeliveryError as error:
            return error

    with ThreadPoolExecutor(4) as threads:
        ended = list(threads.map(work, wishes))
    assert proxy.hits == ["trickle"] * 4
    (winner,) = [found for found in ended if isinstance(found, ModelVersion)]
    refused = [str(error) for error in ended if isinstance(error, DeliveryError)]
    assert len(refused) == 3
    assert all("is another model already" in message for message in refused)
    assert registry.list_models(name) == [winner]


def test_the_same_model_from_two_at_once_is_one_version(
    registry: MLflowModelRegistry, slower: MLflowModelRegistry, proxy: Proxy, asked: Any, name: str
) -> None:
    """Whoever is later is given what the first one made."""
    wish, context = asked(1)
    _, other = asked(2)
    proxy.faults.append(
        Fault("trickle", matching=CREATE, then=lambda: registry.register_model(wish, other))
    )
    assert slower.register_model(wish, context).key == other.key
    assert numbers(registry, name) == [1]


def test_a_number_that_is_taken_meanwhile_is_passed_over(
    registry: MLflowModelRegistry, slower: MLflowModelRegistry, proxy: Proxy, asked: Any, name: str
) -> None:
    """MLflow's next number is 2, which somebody has just called another model."""
    faster = asked(1, version="2")
    proxy.faults.append(Fault("trickle", matching=CREATE, then=lambda: register(registry, faster)))
    assert register(slower, asked(2, version=None)).version == "3"
    assert [model.version for model in registry.list_models(name)] == ["3", "2"]


def test_who_was_cut_off_before_it_looked_looks_at_the_next_attempt(
    registry: MLflowModelRegistry, slower: MLflowModelRegistry, proxy: Proxy, asked: Any, name: str
) -> None:
    """What it made is there then, under its key, and is still the later one."""
    faster, later = asked(1), asked(2)
    proxy.faults += [
        Fault("trickle", matching=CREATE, then=lambda: register(registry, faster)),
        Fault("refuse", skip=1, matching=SEARCH, answer=refusal("503 Unavailable", "busy")),
    ]
    with pytest.raises(DeliveryError) as cut:
        slower.register_model(*later)
    assert cut.value.transient
    assert numbers(registry, name) == [1, 2]
    with pytest.raises(DeliveryError, match="is another model already"):
        slower.register_model(*later)
    assert numbers(registry, name) == [1]


def test_whoever_reads_meanwhile_reads_the_first(
    registry: MLflowModelRegistry, mlflow_server: ServerProcess, asked: Any, name: str
) -> None:
    """So that all agree, before the later one is deleted and after it."""
    first = register(registry, asked(1))
    client = connect(mlflow_server.url)
    kept = client.get_model_version(name, "1")
    tags = {**kept.tags, "flowyml.digest": "sha256:other", "flowyml.key": "other"}
    model_id = kept.source.removeprefix("models:/")
    client.create_model_version(name, kept.source, tags=tags, model_id=model_id)
    assert registry.get_model(name, "1.0") == first
    assert registry.set_alias(name, "1.0", "champion").digest == first.digest
