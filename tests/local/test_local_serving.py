"""From a model of any library to predictions, and from predictions to JSON."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flowyml import Model
from flowyml.errors import SerializationError
from flowyml_local.serving import plain, predictor


class Estimator:
    """Remembers what it was asked."""

    def predict(self, features: Any) -> Any:
        self.asked = features
        return features


class NamedEstimator(Estimator):
    feature_names_in_ = np.array(["amount", "hour"], dtype=object)


def test_an_estimator_is_asked_with_an_array() -> None:
    """Whether it comes in a Model or bare, it gets what its library takes."""
    for wrapped in (True, False):
        estimator = Estimator()
        predictor(Model(estimator) if wrapped else estimator)([[1, 2], [3, 4]])
        assert isinstance(estimator.asked, np.ndarray)
        assert estimator.asked.tolist() == [[1, 2], [3, 4]]


def test_an_estimator_with_names_is_asked_with_a_frame() -> None:
    """The columns are in the order in which it knows them."""
    estimator = NamedEstimator()

    predictor(estimator)([{"hour": 9, "amount": 1.5}])

    assert isinstance(estimator.asked, pd.DataFrame)
    assert estimator.asked.to_dict("list") == {"amount": [1.5], "hour": [9]}


@pytest.mark.parametrize(
    "instances",
    [
        [{"amount": 1}],
        [{"amount": 1, "hour": 2, "more": 3}],
        [{"amount": 1, "hour": 2}, [1, 2]],
        [{"amount": 1, "hour": 2}, 3],
        [[1, 2, 3]],
    ],
)
def test_other_features_than_the_known_ones_are_refused(instances: list[Any]) -> None:
    """Nothing is filled up, and nothing is left out."""
    with pytest.raises(ValueError, match=r"features|columns"):
        predictor(NamedEstimator())(instances)


def test_a_function_is_called() -> None:
    """It gets the instances as they were asked."""
    assert predictor(Model(sum))([1, 2, 3]) == 6


def test_a_torch_module_is_called_without_gradients() -> None:
    """It is in evaluation mode, and takes a tensor."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Dropout(0.9))

    predict = predictor(module)

    assert plain(predict([[1.0, 2.0]])) == plain(predict([[1.0, 2.0]]))
    assert not predict([[1.0, 2.0]]).requires_grad


def test_a_bare_booster_predicts() -> None:
    """The native model of xgboost takes arrays by another method."""
    xgboost = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(np.array([[0.0], [1.0]] * 10), label=[0, 1] * 10)
    booster = xgboost.train({"objective": "binary:logistic"}, data, num_boost_round=3)

    low, high = plain(predictor(booster)([[0.0], [1.0]]))

    assert low < 0.5 < high


def test_what_does_not_predict_is_named() -> None:
    """The error says what it is and what would be a model."""
    with pytest.raises(SerializationError, match=r"builtins\.dict has no `predict`"):
        predictor(Model({"weights": [1]}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(["fraud", "fine"]), ["fraud", "fine"]),
        ([np.float32(0.5), np.int64(3), np.bool_(True)], [0.5, 3, True]),
        (pd.Series([1.5, 2.5]), [1.5, 2.5]),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}), [[1, 3], [2, 4]]),
        (({"label": "fraud", "score": np.float64(0.9)},), [{"label": "fraud", "score": 0.9}]),
        ([None, "text", 2**70], [None, "text", 2**70]),
    ],
)
def test_answers_become_plain(value: Any, expected: Any) -> None:
    """Arrays, frames and their numbers are lists and numbers of JSON."""
    found = plain(value)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [[math.nan], np.array([1.0, math.inf]), {"a": [-math.inf]}])
def test_numbers_that_json_has_not_are_refused(value: Any) -> None:
    """They are an error, not a gap."""
    with pytest.raises(ValueError, match="JSON cannot say"):
        plain(value)


def test_other_things_are_refused() -> None:
    """The error names the class."""
    with pytest.raises(TypeError, match=r"fractions\.Fraction has no form in JSON"):
        plain([Fraction(1, 3)])
