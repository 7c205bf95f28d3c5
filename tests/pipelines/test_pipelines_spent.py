"""What can be read only once reaches every step that takes it."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowyml import Dataset, Pipeline, step

pytestmark = pytest.mark.usefixtures("project")


def table(*values: int) -> Any:
    return pa.table({"a": list(values)})


MAKERS: dict[str, Callable[[], Any]] = {
    "reader": lambda: table(1, 2).to_reader(),
    "generator": lambda: (batch for batch in table(1, 2).to_batches()),
    "dataset": lambda: Dataset(table(1, 2).to_reader()),
    "element": lambda: [Dataset(table(1, 2).to_reader())],
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_taker_reads_all_that_was_stored(kind: str) -> None:
    """Storing it has read it to its end, so each of them has a reader of its own."""

    @step
    def rows() -> Any:
        return MAKERS[kind]()

    @step
    def count(rows: Any) -> int:
        (found,) = rows if isinstance(rows, list) else (rows,)
        batches = found.data if isinstance(found, Dataset) else found
        return sum(batch.num_rows for batch in batches)

    @step
    def count_again(rows: Any) -> int:
        return count(rows)

    pipeline = Pipeline("test").add_step(rows).add_step(count).add_step(count_again)
    result = pipeline.run()

    result.raise_for_status()
    assert (result.outputs["count"], result.outputs["count_again"]) == (2, 2)


def test_what_can_be_read_again_is_handed_on_itself() -> None:
    """Nobody asks a foreign object for its data: an array of dates would raise."""
    days = np.array(["2026-11-28"], dtype="datetime64[D]")

    @step
    def make() -> Any:
        return days

    @step
    def is_same(make: Any) -> bool:
        return make is days

    result = Pipeline("test").add_step(make).add_step(is_same).run()

    result.raise_for_status()
    assert result.outputs["is_same"] is True
