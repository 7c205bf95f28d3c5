import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from tests.servers.processes import ServerProcess
from tests.tracking.deliveries import Deliveries

from flowyml.artifacts import Metrics, Model
from flowyml.errors import DeliveryError, IntegrityError, NotFoundError
from flowyml.pipelines.notices import plain_warnings
from flowyml.records import DeliveryContext, ModelVersion, Registration, StoredArtifact
from flowyml_tracking.mlflow_client import connect
from flowyml_tracking.mlflow_registry import MLflowModelRegistry
from flowyml_tracking.mlflow_tracker import MLflowTracker


@pytest.fixture
def registry(mlflow_server: ServerProcess) -> MLflowModelRegistry:
    """Return the registry of the server."""
    return MLflowModelRegistry(tracking_uri=mlflow_server.url)


@pytest.fixture
def client(mlflow_server: ServerProcess) -> Any:
    """Return MLflow's own client."""
    return connect(mlflow_server.url)


@pytest.fixture
def name(deliveries: Deliveries) -> str:
    """Return a name that no model has yet."""
    return f"fraud-{deliveries.run.run_id}"


def registration(stored: StoredArtifact, name: str, version: str | None = None) -> Registration:
    """Ask for a version of a stored model."""
    return Registration(
        name=name,
        version=version,
        stored=stored,
        framework=stored.manifest.properties.get("framework"),
        metadata={"metrics": {"accuracy": 0.9}},
        input_schema={"x": "float"},
    )


@pytest.fixture
def register(
    registry: MLflowModelRegistry, deliveries: Deliveries, name: str
) -> Callable[..., tuple[ModelVersion, DeliveryContext]]:
    """Return a function that stores a model and registers it."""

    def work(data: Any, version: str | None = None) -> tuple[ModelVersion, DeliveryContext]:
        context = deliveries.context("train", "model")
        stored = deliveries.stored(Model(data), "Model", "train", f"model-{context.key[:8]}")
        return registry.register_model(registration(stored, name, version), context), context

    return work


# MLflow defines classes of its own that it then warns of.
quiet = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")

Register = Callable[..., tuple[ModelVersion, DeliveryContext]]


ROWS = np.array([[0.0], [1.0], [2.0], [3.0]])
LABELS = [0, 0, 1, 1]


def fitted() -> LogisticRegression:
    """Return a model that tells small numbers from large ones."""
    return LogisticRegression().fit(ROWS, LABELS)


def test_a_version_says_where_the_model_lies(
    register: Register, client: Any, name: str, deliveries: Deliveries
) -> None:
    """URI, digest and the user's version are tags, and come back with everything else."""
    model, context = register({"w": 1}, "1.2.0")
    assert (model.name, model.version, model.registry) == (name, "1.2.0", "mlflow")
    assert model.registry_id == f"models:/{name}/1"
    assert model.metadata == {"metrics": {"accuracy": 0.9}}
    assert model.input_schema == {"x": "float"}
    tags = client.get_model_version(name, "1").tags
    assert tags["flowyml.uri"] == model.uri
    assert tags["flowyml.digest"] == model.digest
    assert tags["flowyml.version"] == "1.2.0"
    assert tags["flowyml.key"] == model.key == context.key
    assert tags["flowyml.run_id"] == deliveries.run.run_id


def test_without_a_version_mlflow_counts(register: Register) -> None:
    """Each registration is the next one."""
    assert [register({"w": number})[0].version for number in range(2)] == ["1", "2"]


def test_counting_passes_over_what_a_user_took(register: Register) -> None:
    """No two models share one version, whoever chose it."""
    register({"w": 1}, "3")
    assert [register({"w": number})[0].version for number in (2, 3)] == ["2", "4"]


def test_a_second_delivery_under_the_same_key_registers_nothing(
    registry: MLflowModelRegistry, deliveries: Deliveries, client: Any, name: str
) -> None:
    """It is given the version of the first, also one that no user named."""
    context = deliveries.context("train", "model")
    stored = deliveries.stored(Model({"w": 1}), "Model", "train", "model")
    first = registry.register_model(registration(stored, name), context)
    again = registry.register_model(registration(stored, name), context)
    assert again == first
    assert len(client.search_model_versions(f"name = '{name}'")) == 1


def test_the_same_model_as_the_same_version_is_one(
    registry: MLflowModelRegistry, deliveries: Deliveries, name: str
) -> None:
    """A run that registers what is registered already changes nothing."""
    stored = deliveries.stored(Model({"w": 1}), "Model", "train", "model")
    first, second = (
        registry.register_model(registration(stored, name, "1"), deliveries.context())
        for _ in range(2)
    )
    assert first == second


def test_another_model_under_a_taken_version_is_refused(register: Register) -> None:
    """The message has both digests."""
    first, _ = register({"w": 1}, "1.0")
    with pytest.raises(DeliveryError, match=f"is another model already.*{first.digest}"):
        register({"w": 2}, "1.0")


def test_versions_are_found_again(
    registry: MLflowModelRegistry, register: Register, name: str
) -> None:
    """By the user's version, by an alias, and the newest by nothing."""
    first, second = register({"w": 1}, "1.0")[0], register({"w": 2}, "2.0")[0]
    pointed = registry.set_alias(name, "1.0", "champion")
    assert pointed.aliases == ("champion",)
    assert registry.get_model(name, "2.0") == second
    assert registry.get_model(name, None) == second
    found = registry.get_model(name, "champion")
    assert found is not None
    assert (found.version, found.digest) == ("1.0", first.digest)
    assert registry.get_model(name, "3.0") is None
    assert registry.get_model("no such model", None) is None
    assert [model.version for model in registry.list_models(name)] == ["2.0", "1.0"]
    assert {model.name for model in registry.list_models(None)} >= {name}


def test_an_alias_moves(registry: MLflowModelRegistry, register: Register, name: str) -> None:
    """It points at one version at a time."""
    for version in ("1.0", "2.0"):
        register({"w": version}, version)
        registry.set_alias(name, version, "champion")
    aliases = {model.version: model.aliases for model in registry.list_models(name)}
    assert aliases == {"1.0": (), "2.0": ("champion",)}


def test_a_decision_stands_with_the_version(
    registry: MLflowModelRegistry, register: Register, client: Any, name: str
) -> None:
    """Approval and reason are tags."""
    register({"w": 1}, "1.0")
    assert registry.set_approval(name, "1.0", "approved", "looks good").approval == "approved"
    tags = client.get_model_version(name, "1").tags
    assert tags["flowyml.approval_comment"] == "looks good"
    with pytest.raises(NotFoundError, match=r"no model .* version '9'; its versions: 1\.0"):
        registry.set_approval(name, "9", "approved", "")


@quiet
def test_mlflow_loads_the_model_that_was_stored(
    registry: MLflowModelRegistry, register: Register, name: str, mlflow_server: ServerProcess
) -> None:
    """``models:/name/1`` and the alias lead to the stored model, and it predicts."""
    model = fitted()
    register(model, "1.0")
    registry.set_alias(name, "1.0", "champion")
    mlflow.set_tracking_uri(mlflow_server.url)
    for uri in (f"models:/{name}/1", f"models:/{name}@champion"):
        loaded = mlflow.pyfunc.load_model(uri)
        assert loaded.predict(pd.DataFrame(ROWS)).tolist() == [0, 0, 1, 1]
    assert type(loaded.get_raw_model()) is type(model)
    again = mlflow.sklearn.load_model(f"models:/{name}/1")
    assert type(again) is type(model)
    assert again.coef_.tolist() == model.coef_.tolist()


def boosted() -> Any:
    """Return an XGBoost model with scikit-learn's interface, and what it predicts."""
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBClassifier(n_estimators=3).fit(ROWS, LABELS)
    return model, model.predict(ROWS)


def bare_booster() -> Any:
    """Return an XGBoost model of its own kind."""
    xgboost = pytest.importorskip("xgboost")
    matrix = xgboost.DMatrix(ROWS, LABELS)
    model = xgboost.train({"max_depth": 2}, matrix, num_boost_round=3)
    return model, model.predict(matrix)


def light_booster() -> Any:
    """Return a LightGBM model of its own kind."""
    lightgbm = pytest.importorskip("lightgbm")
    data = lightgbm.Dataset(ROWS, LABELS)
    settings = {"min_data_in_leaf": 1, "min_data_in_bin": 1, "verbose": -1, "num_threads": 1}
    model = lightgbm.train(settings, data, num_boost_round=3)
    return model, model.predict(ROWS)


def graph() -> Any:
    """Return an ONNX model that doubles a number."""
    helper = pytest.importorskip("onnx").helper
    shape = [None, 1]
    ends = [helper.make_tensor_value_info(end, 1, shape) for end in ("x", "y")]
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    made = helper.make_graph(nodes, "double", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(made, ir_version=9, opset_imports=opsets), ROWS * 2


def network() -> Any:
    """Return a PyTorch module that halves a number, in training, where it would forget some."""
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(1, 1)
    layer.load_state_dict({"weight": torch.tensor([[0.5]]), "bias": torch.zeros(1)})
    return torch.nn.Sequential(layer, torch.nn.Dropout()).train(), ROWS / 2


def exact_network() -> Any:
    """Return a PyTorch module that computes with 64 bits."""
    module, expected = network()
    return module.double(), expected


@quiet
@pytest.mark.parametrize(
    "make", [boosted, bare_booster, light_booster, graph, network, exact_network]
)
def test_mlflow_loads_the_models_of_other_libraries(
    register: Register, name: str, mlflow_server: ServerProcess, make: Callable[[], Any]
) -> None:
    """They are asked in the way of their library, and answer what they answered before."""
    model, expected = make()
    register(model)
    mlflow.set_tracking_uri(mlflow_server.url)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
    assert np.allclose(loaded.predict(pd.DataFrame(ROWS)), expected)


@quiet
def test_whole_numbers_reach_a_pytorch_module_as_they_are(
    register: Register, name: str, mlflow_server: ServerProcess
) -> None:
    """An embedding is asked for places, which are no fractions."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Embedding.from_pretrained(torch.tensor([[1.0], [2.0]]))
    register(module)
    mlflow.set_tracking_uri(mlflow_server.url)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
    assert loaded.predict(np.array([1, 0])).tolist() == [[2.0], [1.0]]


@quiet
def test_mlflow_loads_nothing_that_was_changed(
    register: Register, name: str, mlflow_server: ServerProcess
) -> None:
    """What lies in the store has to be what was registered, before any of it is read."""
    model, _ = register(fitted(), "1.0")
    folder = Path(model.uri.removeprefix("file://"))
    file = next(path for path in folder.iterdir() if path.name != "artifact.json")
    file.write_bytes(file.read_bytes() + b"!")
    mlflow.set_tracking_uri(mlflow_server.url)
    with pytest.raises(IntegrityError):
        mlflow.pyfunc.load_model(f"models:/{name}/1")


def test_the_registry_shares_the_trackers_run_and_logged_model(
    mlflow_server: ServerProcess, deliveries: Deliveries, client: Any, name: str
) -> None:
    """Beside an MLflow tracker it needs no address, and the version belongs to the run."""
    tracker = MLflowTracker(tracking_uri=mlflow_server.url, experiment_name="shared")
    registry = MLflowModelRegistry().beside([tracker])
    context = deliveries.context("train", "model")
    stored = deliveries.stored(Model({"w": 1}), "Model", "train", "model")
    tracker.artifact_stored(deliveries.run, stored)
    logged = tracker.log_metrics(Metrics({"loss": 0.5}), deliveries.context())
    registry.register_model(registration(stored, name), context)
    version = client.get_model_version(name, "1")
    assert version.run_id == logged.run_id
    (output,) = client.get_run(logged.run_id).outputs.model_outputs
    assert version.source == f"models:/{output.model_id}"


def test_models_of_others_are_left_alone(
    registry: MLflowModelRegistry, register: Register, client: Any, name: str
) -> None:
    """A version that FlowyML did not register is not listed, for nobody vouches for its digest."""
    register({"w": 1}, "1.0")
    client.create_model_version(name, source="s3://elsewhere/model")
    assert [model.version for model in registry.list_models(name)] == ["1.0"]


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("flowyml.facts", "oops"),
        ("flowyml.facts", "[1]"),
        ("flowyml.facts", None),
        ("flowyml.uri", None),
        ("flowyml.approval", "certainly"),
    ],
)
def test_a_version_with_a_spoilt_tag_stops_no_list(
    registry: MLflowModelRegistry,
    register: Register,
    client: Any,
    name: str,
    tag: str,
    value: str | None,
) -> None:
    """It is listed with its digest and a warning; by itself it is an error that says what to do."""
    spoilt, _ = register({"w": 1}, "1.0")
    register({"w": 2}, "2.0")
    if value is None:
        client.delete_model_version_tag(name, "1", tag)
    else:
        client.set_model_version_tag(name, "1", tag, value)

    said = f"the tag '{tag}' of version 1 of the model '{name}' was changed in MLflow"
    told: list[str] = []
    with warnings.catch_warnings(), plain_warnings(told.append):
        warnings.simplefilter("always")
        second, first = registry.list_models(name)

    assert [line.partition(":")[0] for line in told] == ["Warning"]
    assert said in told[0]
    assert (first.version, first.digest) == ("1.0", spoilt.digest)
    assert second.metadata == {"metrics": {"accuracy": 0.9}}
    with pytest.raises(DeliveryError, match=f"{said}.*put back there what it was"):
        registry.get_model(name, "1.0")


@pytest.mark.parametrize("wrong", ["a/b", "a:b", "a'b\"c", " ", "..", "../up", "x" * 257], ids=repr)
def test_a_name_that_mlflow_cannot_take_is_refused_before_anything_is_made(
    registry: MLflowModelRegistry, deliveries: Deliveries, client: Any, wrong: str
) -> None:
    """The error says what to do, and there is no model without versions afterwards."""
    context = deliveries.context("train", "model")
    stored = deliveries.stored(Model({"w": 1}), "Model", "train", "model")
    before = {model.name for model in client.search_registered_models()}

    with pytest.raises(DeliveryError, match=r"no model named .* give the Model another `name`"):
        registry.register_model(registration(stored, wrong), context)

    assert {model.name for model in client.search_registered_models()} == before
    assert registry.get_model(wrong, None) is None
    assert registry.list_models(wrong) == []


@pytest.mark.parametrize("odd", ["it's", 'a "b"', "a%_b", "back\\slash\\", "é ü;--", ".a", "`"])
def test_odd_names_are_taken_and_found(
    registry: MLflowModelRegistry, deliveries: Deliveries, name: str, odd: str
) -> None:
    """All that MLflow itself can look for."""
    context = deliveries.context("train", "model")
    stored = deliveries.stored(Model({"w": 1}), "Model", "train", "model")

    made = registry.register_model(registration(stored, f"{odd}{name}"), context)

    assert registry.get_model(f"{odd}{name}", None) == made


def test_the_registry_is_diagnosed(registry: MLflowModelRegistry) -> None:
    """One that answers is well, one that does not is named with what to do."""
    assert [check.ok for check in registry.diagnose()] == [True]
    (check,) = MLflowModelRegistry(tracking_uri="http://127.0.0.1:1").diagnose()
    assert not check.ok
    assert check.fix
