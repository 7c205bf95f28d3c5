"""The user's code in what a step is given: its classes and functions, wherever they lie."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.pipelines.conftest import Digest

from flowyml import Model
from flowyml.pipelines.arguments import code_in
from flowyml.pipelines.sources import code_digest

FLOW = """
    class Scaler:
        def scale(self): return 1

    class Holder:
        __slots__ = ("held",)

        def __init__(self, held): self.held = held

    def scaled(value): return value * 2

    @step
    def work(given): return given
"""


@pytest.mark.parametrize(
    ("given", "old"),
    [
        pytest.param(
            lambda flow: SimpleNamespace(steps=[("scale", flow.Scaler())]),
            "return 1",
            id="in an object of a library",
        ),
        pytest.param(
            lambda flow: SimpleNamespace(func=flow.scaled),
            "* 2",
            id="function in an object of a library",
        ),
        pytest.param(lambda flow: partial(flow.scaled, 1), "* 2", id="partial"),
        pytest.param(lambda flow: flow.scaled, "* 2", id="function"),
        pytest.param(lambda flow: deque([flow.Holder([flow.scaled])]), "* 2", id="slot"),
        pytest.param(
            lambda flow: Model({"a": flow.Holder(([[[[flow.Scaler()]]]],))}),
            "return 1",
            id="deep down",
        ),
        pytest.param(lambda flow: np.array([flow.Scaler()], dtype=object), "return 1", id="array"),
    ],
)
def test_code_in_what_is_given_counts(
    given: Callable[[ModuleType], Any], old: str, digest: Digest
) -> None:
    """A step may call it, whoever's object it lies in."""

    def of(flow: str) -> str:
        digest(flow)
        loaded = sys.modules["flow"]
        return code_digest(loaded.work, [given(loaded)])

    before = of(FLOW)
    assert of(FLOW.replace(old, f"{old}0")) != before
    assert of(FLOW) == before


def test_objects_that_hold_each_other_are_met_once() -> None:
    """Not once for each way from one to another, of which there is no end."""

    class User:
        friends: list[Any]

    users = [User() for _ in range(60)]
    for user in users:
        user.friends = users
    assert code_in(users) == [User]
