"""What stands in a class is looked at while other steps work with it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowyml.pipelines.members import all_held, held_besides


class Estimator:
    def fit(self) -> int:
        return 1

    def score(self) -> int:
        return 2


@pytest.mark.parametrize("held", [all_held, held_besides])
def test_a_class_may_change_while_it_is_looked_at(
    held: Callable[[type], Iterator[tuple[str, Any]]],
) -> None:
    """What was put into it since is seen the next time."""
    looking = held(Estimator)
    first = next(looking)
    Estimator.added = Estimator.fit  # type: ignore[attr-defined]

    assert "added" not in dict([first, *looking])
    assert "added" in dict(held(Estimator))

    del Estimator.added  # type: ignore[attr-defined]


def test_what_pickle_notes_in_a_class_is_nothing_of_it() -> None:
    """It is there from the first time on that one of its objects is pickled."""
    before = dict(all_held(Estimator))

    pickle.dumps(Estimator())

    assert "__slotnames__" in vars(Estimator)
    assert dict(all_held(Estimator)) == before
