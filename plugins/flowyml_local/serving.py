"""From a loaded model to the function that answers predictions, and from its answer to JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from flowyml.artifacts import Artifact, detect_framework
from flowyml.errors import SerializationError

__all__ = ["Predict", "plain", "predictor"]

Predict: TypeAlias = Callable[[Sequence[Any]], Any]


def predictor(model: object) -> Predict:
    """Return the function that turns instances into predictions.

    Args:
        model: What was stored: a `Model`, or the bare model itself.

    Raises:
        SerializationError: It is nothing that predicts.
    """
    data = model.data if isinstance(model, Artifact) else model
    if detect_framework(type(data)) == "pytorch":
        return _torch(data)
    for method in ("inplace_predict", "predict"):  # a bare xgboost.Booster has both
        if callable(predict := getattr(data, method, None)):
            return lambda instances: predict(_features(data, instances))
    if callable(data):
        function: Predict = data
        return function
    message = (
        f"a {type(data).__module__}.{type(data).__qualname__} has no `predict` and cannot be "
        "called, so it cannot serve; return a Model of an estimator or of a function"
    )
    raise SerializationError(message)


def _torch(module: Any) -> Predict:
    import torch

    module.eval()

    def predict(instances: Sequence[Any]) -> Any:
        with torch.no_grad():
            return module(torch.as_tensor(instances, dtype=torch.get_default_dtype()))

    return predict


def _features(data: Any, instances: Sequence[Any]) -> Any:
    """Return the table that a model was trained on the like of: with the columns it knows."""
    names = getattr(data, "feature_names_in_", None)
    if isinstance(instances[0], dict):
        names = instances[0] if names is None else names
        _check_features(instances, names)
    if names is None:
        import numpy as np

        return np.asarray(instances)
    import pandas as pd

    return pd.DataFrame(instances, columns=list(names))


def _check_features(instances: Sequence[Any], names: Iterable[str]) -> None:
    """Refuse what pandas would fill up with missing values, or leave out."""
    known = set(names)
    for number, instance in enumerate(instances):
        given = set(instance) if isinstance(instance, dict) else set()
        if given != known:
            missing, unknown = sorted(known - given), sorted(map(str, given - known))
            message = f"instance {number} lacks the features {missing} and has {unknown} besides"
            raise ValueError(message)


def plain(value: Any) -> Any:
    """Return what JSON can say for arrays, tensors, frames and numbers of any library.

    Raises:
        ValueError: A number is not finite, which JSON cannot say.
        TypeError: It is no number, text or collection of them.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        message = f"a prediction is {value}, which JSON cannot say"
        raise ValueError(message)
    if value is None or isinstance(value, str | int | float):
        return value
    for method in ("tolist", "to_list"):  # NumPy, pandas and torch; polars
        if callable(convert := getattr(value, method, None)):
            return plain(convert())
    if callable(convert := getattr(value, "to_numpy", None)):  # a data frame
        return plain(convert())
    message = f"a {type(value).__module__}.{type(value).__qualname__} has no form in JSON"
    raise TypeError(message)
