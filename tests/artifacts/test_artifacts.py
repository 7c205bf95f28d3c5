"""What an artifact type refuses to carry, in the words of whoever wrote the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flowyml import Dataset, Metrics, Model, Parameters
from flowyml.artifacts import Artifact


@pytest.mark.parametrize(
    ("cls", "fields", "says"),
    [
        (Model, {"version": 1.1}, r"Model\(version=1.1\): the version is text; .*='1.1'"),
        (Model, {"name": 5}, r"Model\(name=5\): the name is text; write name='5'"),
        (Model, {"framework": 1}, r"Model\(framework=1\): the framework is text"),
        (Dataset, {"name": b"a"}, r"Dataset\(name=b'a'\): the name is text"),
        (Dataset, {"format": 1}, r"Dataset\(format=1\): the format is text"),
        (Parameters, {"data": {}, "version": 2}, r"Parameters\(version=2\): the version is text"),
        (Metrics, {"data": {"a": "b"}}, "a metric is a number"),
        (Metrics, {"data": {"a": True}}, "the metric 'a' is the bool True; write 1 if"),
        (Metrics, {"data": {1: 2}}, "the key 1 is a int; every key is a string"),
        (Metrics, {"data": {}, "step": 1.5}, "the step of metrics is a whole number, not 1.5"),
        (Metrics, {"data": {}, "step": "x"}, "the step of metrics is a whole number, not 'x'"),
    ],
)
def test_what_no_backend_could_take_is_refused_where_it_is_written(
    cls: type[Artifact], fields: dict[str, Any], says: str
) -> None:
    """Not when it is registered, after hours of training."""
    with pytest.raises(TypeError, match=says):
        cls(**{"data": [1], **fields})


def test_nothing_is_no_artifact() -> None:
    """A step that may have nothing says so by its annotation."""
    with pytest.raises(ValueError, match=r"annotate the step `-> Model \| None`"):
        Model(None)


def test_numbers_of_other_libraries_are_plain() -> None:
    """A tracker and JSON know Python's own."""
    metrics = Metrics({"loss": np.float32(0.5), "rows": np.int64(3)}, step=np.int64(7))
    assert [type(value) for value in (*metrics.values(), metrics.step)] == [float, int, int]
