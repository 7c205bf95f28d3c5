"""An errand is done by a process that is given two paths, and nothing else of the project."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from tests.pipelines.conftest import WriteFile

from flowyml.metadata.rows import RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.luggage import for_the_way_there, unpack_back
from flowyml.plugins import errands
from flowyml.plugins.errands import pack_errand, read_outcome
from flowyml.records import RunStatus, StepOutcome, StepStatus, StepTask
from flowyml.stacks.project import Project

FLOW = """
    from flowyml import Model, Pipeline, step
    from inner import answer

    @step
    def train() -> Model:
        return Model(answer(), name="sum", version="1")

    pipeline = Pipeline("far").add_step(train)
"""

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)

Do = Callable[[StepTask], StepOutcome]


@pytest.fixture
def task(project: Project, write_file: WriteFile, metadata: MetadataStore) -> StepTask:
    """A step whose store and registry are reached from everywhere."""
    outside = project.folder.parent / f"{project.folder.name}-outside"
    write_file("flow.py", FLOW)
    write_file("src/inner.py", "def answer(): return 42")
    write_file(
        "flowyml.yaml",
        f"""
        stacks:
          far:
            artifact_store: {{ type: local, path: {outside / "bucket"} }}
            model_registry: {{ type: local, path: {outside / "models"} }}
        """,
    )
    record = RunRecord("run-1", "far", "far", RunStatus.RUNNING, MOMENT, "flow.py:pipeline")
    with metadata.transaction():
        metadata.add_run(record)
        metadata.add_steps("run-1", ["train"])
    return StepTask(
        pipeline="flow.py:pipeline",
        step="train",
        run_id="run-1",
        stack="far",
        config=str(project.folder / "flowyml.yaml"),
        project=str(project.folder),
        records=for_the_way_there(metadata, "run-1", ()),
    )


@pytest.fixture
def do(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Do:
    """Carry an errand to a folder where nothing else is, and do it there."""
    place = tmp_path_factory.mktemp("elsewhere")

    def carry(task: StepTask) -> StepOutcome:
        (place / "in.tar.gz").write_bytes(pack_errand(task))
        done = subprocess.run(
            [sys.executable, "-m", "flowyml.pipelines.errand", "in.tar.gz", "out/outcome.json"],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return read_outcome((place / "out" / "outcome.json").read_bytes())

    return carry


def test_a_step_is_run_and_what_it_wrote_down_is_merged_once(
    task: StepTask,
    do: Do,
    project: Project,
    metadata: MetadataStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Artifacts, deliveries, the model's history: merged again, there is still one of each."""
    monkeypatch.syspath_prepend(str(project.folder / "src"))
    outcome = do(task)
    assert outcome.status is StepStatus.DONE
    assert outcome.records is not None
    for _ in range(2):
        unpack_back(metadata, outcome.records)

    assert [artifact.name for artifact in metadata.artifacts(run_id="run-1")] == ["sum"]
    assert {delivery.hook for delivery in metadata.deliveries("run-1")} >= {"register_model"}
    assert [event.kind for event in metadata.events("sum")] == ["registered"]
    assert metadata.verify_history("sum") is None
    assert metadata.knows_digest(metadata.artifacts(run_id="run-1")[0].digest)


def test_a_pipeline_that_cannot_be_loaded_is_the_outcome(task: StepTask, do: Do) -> None:
    """With the records that write the failure down."""
    outcome = do(task)
    assert outcome.status is StepStatus.FAILED
    assert "No module named 'inner'" in str(outcome.error)
    assert outcome.records is not None
    assert outcome.records["step"]["status"] == "failed"


PACKAGED = """
    from dataclasses import dataclass

    from flowyml import Pipeline, step
    from .inner import answer

    @dataclass
    class Sum:
        number: int

    @step
    def train() -> Sum:
        return Sum(answer())

    pipeline = Pipeline("far").add_step(train)
"""


@pytest.mark.parametrize("reference", ["flow.py:pipeline", "{package}.flow:pipeline"])
def test_a_folder_that_is_a_package_keeps_its_name(
    task: StepTask, do: Do, project: Project, write_file: WriteFile, reference: str
) -> None:
    """Its name is part of what its classes are called, and by that they are found here again."""
    package = project.folder.name
    for name, text in (("__init__", ""), ("inner", "def answer(): return 42"), ("flow", PACKAGED)):
        write_file(f"{name}.py", text)

    outcome = do(attrs.evolve(task, pipeline=reference.format(package=package)))

    assert (outcome.status, outcome.error) == (StepStatus.DONE, None)
    assert outcome.records is not None
    (stored,) = outcome.records["artifacts"]
    assert stored["manifest"]["python_type"] == f"{package}.flow:Sum"


def test_another_format_is_refused(task: StepTask, do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image has another FlowyML than this machine."""
    monkeypatch.setattr(errands, "FORMAT", 99)
    assert "this errand is of format 99" in str(do(task).error)


def test_an_archive_that_is_none_is_the_outcome(tmp_path: Path) -> None:
    """Somebody has to tell the run."""
    (tmp_path / "in").write_text("no archive")
    subprocess.run(
        [sys.executable, "-m", "flowyml.pipelines.errand", "in", "out"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    said = json.loads((tmp_path / "out").read_text())
    assert said["status"] == "failed"
    assert "ReadError" in said["error"]
    assert attrs.asdict(read_outcome((tmp_path / "out").read_bytes())) == said
