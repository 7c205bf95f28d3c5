"""Serves a model that FlowyML stored, inside of AWS's own containers.

This file travels in ``model.tar.gz`` as ``code/inference.py``. It runs where FlowyML is not
installed, on whatever Python the container has; what it needs to know lies in ``flowyml.json``.
Requests are ``{"instances": [...]}``, answers ``{"predictions": [...]}``.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]


def model_fn(model_dir: str) -> Any:
    """Load the model; returns a function from rows to predictions."""
    folder = Path(model_dir)
    facts = json.loads((folder / "flowyml.json").read_text())
    load = LOADERS.get(facts["serializer"])
    if load is None:
        message = "a model stored as {serializer} cannot be served by this program".format(**facts)
        raise ValueError(message)
    return load(folder, facts)


def input_fn(body: Any, content_type: str) -> Any:
    """Read the rows of a request."""
    if content_type.partition(";")[0].strip() not in ("", "application/json"):
        message = f"send application/json, not {content_type}"
        raise ValueError(message)
    asked = json.loads(body)
    return asked["instances"] if isinstance(asked, dict) else asked


def predict_fn(rows: Any, model: Any) -> Any:
    """Predict for all rows."""
    return model(rows)


def output_fn(predictions: Any, accept: str) -> Any:
    """Write the answer; it is JSON whatever is accepted."""
    del accept
    plain = predictions.tolist() if hasattr(predictions, "tolist") else list(predictions)
    return json.dumps({"predictions": plain}), "application/json"


def _table(rows: Any, columns: Any = None) -> Any:
    """Give a model the shape that it was trained on: a frame where it knows its columns."""
    import numpy as np

    if rows and isinstance(rows[0], dict):
        import pandas as pd

        frame = pd.DataFrame(rows)
        return frame if columns is None else frame[list(columns)]
    if columns is None:
        return np.asarray(rows)
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))


def _estimator(model: Any) -> Any:
    columns = getattr(model, "feature_names_in_", None)
    return lambda rows: model.predict(_table(rows, columns))


def _load_pickle(folder: Path, facts: Any) -> Any:
    (name,) = [name for name in facts["files"] if name.endswith(".pkl")]
    with (folder / name).open("rb") as file:
        return _estimator(pickle.load(file))  # noqa: S301  # verified against its digest before


def _load_skops(folder: Path, facts: Any) -> Any:
    del facts
    import skops.io

    path = folder / "model.skops"
    return _estimator(skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path)))


def _load_xgboost(folder: Path, facts: Any) -> Any:
    import xgboost

    name = facts["python_type"].rpartition(":")[2]
    if name == "Booster":
        booster = xgboost.Booster(model_file=str(folder / "model.ubj"))
        return lambda rows: booster.predict(xgboost.DMatrix(_table(rows, booster.feature_names)))
    model = getattr(xgboost, name)()
    model.load_model(str(folder / "model.ubj"))
    columns = model.get_booster().feature_names
    return lambda rows: model.predict(_table(rows, columns))


def _load_lightgbm(folder: Path, facts: Any) -> Any:
    del facts
    import lightgbm

    booster = lightgbm.Booster(model_file=str(folder / "model.txt"))
    return lambda rows: booster.predict(_table(rows))


def _load_catboost(folder: Path, facts: Any) -> Any:
    import catboost

    model = getattr(catboost, facts["python_type"].rpartition(":")[2])()
    model.load_model(str(folder / "model.cbm"))
    return lambda rows: model.predict(_table(rows))


def _load_torch(folder: Path, facts: Any) -> Any:
    import torch

    path = str(folder / "model.pt")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.load(path, map_location=device, weights_only=False)
    if not callable(model):
        message = "{python_type} holds weights without their module: store the module".format(
            **facts
        )
        raise TypeError(message)
    model.eval()

    def predict(rows: Any) -> Any:
        with torch.no_grad():
            return model(torch.as_tensor(rows, device=device)).cpu().numpy()

    return predict


def _load_onnx(folder: Path, facts: Any) -> Any:
    del facts
    import numpy as np
    import onnxruntime  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415 # is only there

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    first = session.get_inputs()[0]
    kind = np.float64 if "double" in first.type else np.float32
    return lambda rows: session.run(None, {first.name: np.asarray(rows, dtype=kind)})[0]


LOADERS = {
    "catboost": _load_catboost,
    "cloudpickle": _load_pickle,
    "lightgbm": _load_lightgbm,
    "onnx": _load_onnx,
    "pickle": _load_pickle,
    "skops": _load_skops,
    "torch": _load_torch,
    "xgboost": _load_xgboost,
}
