"""Models come back from their libraries' own formats, with class, parameters and predictions."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any

import pytest

from flowyml.artifacts import Model
from flowyml.errors import SerializationError, TrustError

np = pytest.importorskip("numpy")


def _data() -> Any:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3))
    return features, (features.sum(axis=1) > 0).astype(int)


def test_sklearn_models_are_pickled_as_documented(store: Any) -> None:
    """``model.pkl``, without a warning, and never read from strangers."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = _data()
    model = Model(linear_model.LogisticRegression().fit(features, labels), name="m", version="1")
    source = store.save(model)
    assert source.manifest.serializer == "pickle"
    assert [file.name for file in source.folder.iterdir()] == ["model.pkl"]
    again = store.again(model, trusted=True)
    assert type(again) is Model
    assert (again.name, again.version, again.framework) == ("m", "1", "sklearn")
    assert (again.data.predict(features) == model.data.predict(features)).all()
    with pytest.raises(TrustError, match="trust: pickle"):
        store.again(model)


def test_an_estimator_of_the_users_takes_its_class_along(store: Any) -> None:
    """A class that no other process could import is pickled with its code."""
    base = pytest.importorskip("sklearn.base")

    class Constant(base.BaseEstimator):  # type: ignore[misc,name-defined]
        def predict(self, rows: Any) -> list[int]:
            return [7 for _ in rows]

    source = store.save(Constant())
    assert source.manifest.serializer == "pickle"
    assert store.again(Constant(), trusted=True).predict([1]) == [7]


def test_skops_reads_what_it_knows_without_trust(store: Any) -> None:
    """On request, and without running anything."""
    pytest.importorskip("skops")
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = _data()
    model = linear_model.LogisticRegression().fit(features, labels)
    again = store.again(model, "skops")
    assert (again.predict(features) == model.predict(features)).all()
    assert again.get_params() == model.get_params()


def test_xgboost_models_keep_parameters_and_trees(store: Any) -> None:
    """Both interfaces, as ``model.ubj``."""
    xgboost = pytest.importorskip("xgboost")
    features, labels = _data()
    model = xgboost.XGBClassifier(
        n_estimators=4, max_depth=2, missing=-1.0, early_stopping_rounds=2
    )
    model.fit(features, labels, eval_set=[(features, labels)], verbose=False)
    source = store.save(model)
    assert source.manifest.serializer == "xgboost"
    assert (source.folder / "model.ubj").exists()
    again = store.again(model)
    assert type(again) is xgboost.XGBClassifier
    assert again.get_params() == model.get_params()
    assert again.classes_.tolist() == [0, 1]
    assert again.best_iteration == model.best_iteration
    assert (again.predict_proba(features) == model.predict_proba(features)).all()
    booster = model.get_booster()
    booster.set_attr(note="x")
    other = store.again(booster)
    assert other.save_raw() == booster.save_raw()
    assert other.attributes() == booster.attributes()
    assert other.save_config() == booster.save_config()


def test_an_unfitted_xgboost_model_is_pickled(store: Any) -> None:
    """Its own format could not say that it is not fitted."""
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBRegressor(n_estimators=3)
    assert store.save(model).manifest.serializer == "pickle"
    assert store.same(store.again(model, trusted=True).get_params(), model.get_params())


def test_lightgbm_boosters_keep_every_iteration(store: Any) -> None:
    """Also those after the best one, which LightGBM itself would drop."""
    lightgbm = pytest.importorskip("lightgbm")
    features, labels = _data()
    data = lightgbm.Dataset(features, labels)
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 1, "num_leaves": 3}, data, 6)
    booster.best_iteration = 2
    source = store.save(booster)
    assert source.manifest.serializer == "lightgbm"
    again = store.again(booster)
    assert again.num_trees() == 6
    assert again.best_iteration == 2
    assert again.params == booster.params
    assert (again.predict(features) == booster.predict(features)).all()
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(features, labels)
    assert store.save(model).manifest.serializer == "pickle"


def test_catboost_models_keep_their_class(store: Any, tmp_path: Any) -> None:
    """As ``model.cbm``."""
    catboost = pytest.importorskip("catboost")
    features, labels = _data()
    model = catboost.CatBoostClassifier(
        iterations=3, verbose=False, allow_writing_files=False, train_dir=str(tmp_path / "t")
    ).fit(features, labels)
    assert store.save(model).manifest.serializer == "catboost"
    again = store.again(model)
    assert type(again) is catboost.CatBoostClassifier
    assert (again.predict_proba(features) == model.predict_proba(features)).all()


def test_onnx_models_come_back_equal(store: Any) -> None:
    """As ``model.onnx``."""
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["x"], ["y"])],
        "g",
        [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    model = onnx.helper.make_model(graph)
    assert store.save(model).manifest.serializer == "onnx"
    assert store.again(model) == model


def test_state_dicts_are_read_without_trust(store: Any) -> None:
    """A dict of tensors is ``model.pt``, read with weights_only, in order and in its class."""
    torch = pytest.importorskip("torch")
    state = torch.nn.Linear(3, 2).state_dict()
    source = store.save(state)
    assert source.manifest.serializer == "torch"
    assert (source.folder / "model.pt").exists()
    again = store.again(state)
    assert type(again) is OrderedDict
    assert list(again) == list(state)
    assert all(torch.equal(again[key], state[key]) for key in state)
    nested = {"model": dict(state), "epoch": 3, "lr": 0.1}
    again = store.again(nested)
    assert again["epoch"] == 3
    assert type(again["model"]) is dict


def test_tensors_come_back_in_every_dtype(store: Any) -> None:
    """Also those that NumPy does not have."""
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16, torch.int8, torch.bool, torch.complex64):
        tensor = torch.arange(6).reshape(2, 3).to(dtype)
        again = store.again(tensor)
        assert again.dtype == dtype
        assert torch.equal(again, tensor)


def test_a_module_needs_trust(store: Any) -> None:
    """Its class is code; its weights alone are not."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    again = store.again(Model(module), trusted=True)
    assert type(again.data) is torch.nn.Sequential
    assert again.framework == "pytorch"
    assert torch.equal(again.data[0].weight, module[0].weight)
    with pytest.raises(TrustError, match=r"state_dict\(\)"):
        store.again(module)


def test_safetensors_hold_a_dict_of_tensors(store: Any) -> None:
    """On request; shared memory and other things are an error that says what to do."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    state = OrderedDict(b=torch.ones(2, 2), a=torch.zeros(3, dtype=torch.bfloat16))
    again = store.again(state, "safetensors")
    assert type(again) is OrderedDict
    assert list(again) == ["b", "a"]
    assert all(torch.equal(again[key], state[key]) for key in state)
    shared = torch.ones(4)
    with pytest.raises(SerializationError, match="format: torch"):
        store.save({"a": shared, "b": shared[:2]}, "safetensors")
    with pytest.raises(SerializationError, match="format: torch"):
        store.save({"a": 1}, "safetensors")


@pytest.mark.filterwarnings("default")  # Keras and its backend warn about each other
def test_a_keras_model_predicts_the_same(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its archive names what is called when it is read, so it needs trust."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    layers = [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    rows = np.ones((5, 3), dtype="f4")
    model.fit(rows, rows[:, :1], verbose=0)
    again = store.again(Model(model), trusted=True)
    assert again.framework == "keras"
    assert again.data.optimizer.iterations == model.optimizer.iterations
    assert np.array_equal(again.data.predict(rows, verbose=0), model.predict(rows, verbose=0))
    with pytest.raises(TrustError):
        store.again(model)
    with pytest.raises(SerializationError, match="not built"):
        store.save(keras.Sequential([keras.layers.Dense(1)]))


@pytest.mark.filterwarnings("default")  # transformers warns about what is coming in torch
def test_a_pretrained_model_reads_nothing_but_safetensors(store: Any) -> None:
    """Nobody has to vouch for it: its weights are no pickle."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 11}
    model = transformers.BertModel(transformers.BertConfig(intermediate_size=16, **size)).eval()
    source = store.save(model)
    assert source.manifest.serializer == "pretrained"
    assert "pretrained/model.safetensors" in {file.name for file in source.manifest.files}
    again = store.again(model)
    tokens = torch.tensor([[1, 2, 3]])
    assert type(again) is transformers.BertModel
    assert torch.equal(again(tokens).pooler_output, model(tokens).pooler_output)


@pytest.mark.filterwarnings("default")
def test_a_tokenizer_splits_the_same(store: Any) -> None:
    """With its vocabulary and its special tokens."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[UNK]": 0, "good": 1, "day": 2}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]")
    again = store.again(tokenizer)
    assert type(again) is type(tokenizer)
    assert again("good day sir")["input_ids"] == [1, 2, 0]


def test_sparse_matrices_and_arrays_keep_their_kind(store: Any) -> None:
    """Format, matrix or array, dtype and content."""
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 1, 0], [2, 0, 0]], dtype="i2")
    for cls in ("csr_matrix", "csc_matrix", "coo_array", "csr_array", "bsr_array", "dia_array"):
        matrix = getattr(sparse, cls)(dense)
        assert store.save(matrix).manifest.serializer == "npz"
        again = store.again(matrix)
        assert type(again) is type(matrix)
        assert again.dtype == matrix.dtype
        assert (again.toarray() == dense).all()
    lil = store.pickled(sparse.lil_matrix(dense))
    assert type(lil) is sparse.lil_matrix


def test_figures_have_pictures_for_people(store: Any) -> None:
    """PNG and SVG beside the figure itself, the same bytes each time."""
    figure_module = pytest.importorskip("matplotlib.figure")
    figure = figure_module.Figure()
    figure.add_subplot().plot([1, 2, 3])
    source = store.save(figure)
    assert {file.name for file in source.folder.iterdir()} == {
        "figure.pkl",
        "figure.png",
        "figure.svg",
    }
    assert (source.folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    again = store.again(figure, trusted=True)
    assert again.axes[0].lines[0].get_ydata().tolist() == [1, 2, 3]
    with pytest.raises(TrustError):
        store.again(figure)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_come_back_bit_for_bit(mode: str, store: Any) -> None:
    """With mode, palette, transparency and what was noted beside them."""
    image = pytest.importorskip("PIL.Image")
    picture = image.effect_noise((9, 7), 50).convert(mode)
    picture.info["note"] = (1, b"x")
    again = store.again(picture)
    assert again == picture
    assert type(again) is type(picture)


def test_a_mode_without_png_is_pickled(store: Any) -> None:
    """Floating-point pictures have no PNG, and are not turned into something else."""
    image = pytest.importorskip("PIL.Image")
    picture = image.new("F", (2, 2), 0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = store.again(picture, trusted=True)
    assert again == picture
