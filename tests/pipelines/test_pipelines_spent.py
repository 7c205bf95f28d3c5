"""What can be read only once reaches every step that takes it, and is never stored as nothing."""

# ruff: noqa: D103  # a step of a test says by its name what it does

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.pipelines.conftest import WriteFile

from flowyml import Dataset, Pipeline, step
from flowyml.cli import main
from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.resume import resume
from flowyml.records import RunStatus, StepStatus
from flowyml.stacks.project import Project

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


DEFERRED = """\
plugins:
  artifact_store: { type: local, path: store }
  artifact_routing:
    RecordBatchReader: { on_error: defer, path: taken }
"""


def test_batches_that_a_failed_attempt_has_read_are_not_stored_as_an_empty_table(
    project: Project, write_file: WriteFile
) -> None:
    """The place is taken until the next step has run; the run owes them, resuming makes them."""
    write_file("flowyml.yaml", DEFERRED)
    made: list[Any] = [table(1), table(2, 3), table(2, 3)]

    @step(outputs=["rows", "count"])
    def make() -> tuple[Any, int]:
        rows = made.pop(0)
        return rows.to_reader(), rows.num_rows

    @step
    def clear(count: int) -> int:
        if count > 1:
            shutil.rmtree(project.folder / "store" / "taken")
        return count

    pipeline = Pipeline("test").add_step(make).add_step(clear)
    pipeline.run().raise_for_status()

    owing = pipeline.run()

    assert owing.status is RunStatus.INCOMPLETE
    assert not (project.folder / "store" / "taken").exists()
    (owed,) = [each for each in owing.deliveries if each.is_debt]
    assert "cannot be read again; run the step again" in str(owed.error)
    again = resume(owing.run_id, pipeline=pipeline)
    again.raise_for_status()
    assert again.outputs["rows"].read_all().equals(table(2, 3))


BLOCKED = """\
stacks:
  here:
    artifact_store: { type: local, path: store }
    artifact_routing: &rules
      RecordBatchReader: { on_error: defer, path: "blocked/{output_name}" }
      list: { on_error: defer, path: "blocked/{output_name}" }
  apart:
    artifact_store: { type: local, path: store }
    orchestrator: { type: local, executor: process }
    artifact_routing: *rules
active_stack: here
"""

FLOW = """\
    from typing import Any

    import pyarrow as pa

    from flowyml import Pipeline, step

    @step(outputs=["rows", "names", "title"])
    def make() -> tuple[Any, list, str]:
        return pa.table({"a": [1, 2]}).to_reader(), ["a"], "numbers"

    @step
    def count(rows: Any) -> int:
        return sum(batch.num_rows for batch in rows)

    @step
    def double(count: int) -> int:
        return 2 * count

    @step
    def widths(names: list) -> dict:
        return {"names": len(names)}

    @step
    def shout(title: str) -> str:
        return title.upper()

    pipeline = Pipeline("test").add_step(make).add_step(count).add_step(double)
    pipeline.add_step(widths).add_step(shout)
"""


@pytest.mark.parametrize(
    ("stack", "skipped"), [("here", {"count", "double"}), ("apart", {"count", "double", "widths"})]
)
def test_a_step_waits_for_what_is_not_at_hand_and_not_stored_yet(
    project: Project, write_file: WriteFile, stack: str, skipped: set[str]
) -> None:
    """Batches that storing has read, or anything that another process made; the run is owing."""
    write_file("flowyml.yaml", BLOCKED)
    write_file("flow.py", FLOW)
    blocked = write_file("store/blocked", "")

    owing = find_pipeline("flow.py", project).run(stack)
    blocked.unlink()
    paid = resume(owing.run_id)

    stood = {each.name: each for each in owing.steps}
    assert owing.status is RunStatus.INCOMPLETE
    assert {name for name, each in stood.items() if each.status is StepStatus.SKIPPED} == skipped
    assert stood["count"].note == "what step 'make' made for it is not stored yet"
    assert stood["shout"].status is StepStatus.DONE
    paid.raise_for_status()
    assert paid.status is RunStatus.DONE
    assert (paid.outputs["double"], paid.outputs["widths"]) == (4, {"names": 1})


UNBLOCKING = """\
    from pathlib import Path
    from typing import Any

    import pyarrow as pa

    from flowyml import Pipeline, step

    @step(outputs=["rows", "names"])
    def make() -> tuple[Any, list]:
        return pa.table({"a": [1, 2]}).to_reader(), ["a"]

    @step(outputs=[])
    def unblock(names: list) -> None:
        Path("store/.staging").unlink()

    @step
    def count(rows: Any) -> int:
        return sum(batch.num_rows for batch in rows)

    pipeline = Pipeline("test").add_step(make).add_step(unblock).add_step(count)
"""


def test_a_step_that_waited_for_what_the_end_of_the_run_stored_is_still_to_be_run(
    write_file: WriteFile, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is owed then, and yet the run is incomplete: it says what runs the step."""
    write_file("flowyml.yaml", BLOCKED)
    write_file("flow.py", UNBLOCKING)
    write_file("store/.staging", "")  # no attempt to store begins to read

    code = main(["run", "flow.py"])

    told = capsys.readouterr().out
    assert code == 3
    assert "runs the steps that were skipped: what they take is stored by now" in told
    assert main(["resume", "--all"]) == 0
    assert "done" in capsys.readouterr().out
