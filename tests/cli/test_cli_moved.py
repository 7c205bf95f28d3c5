"""A project whose folder was moved or copied is read where it lies now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import Ask

from flowyml import load
from flowyml.errors import IntegrityError, NotFoundError

Move = Callable[[], Path]

REPLACES = """\
plugins:
  artifact_store: { type: local, path: kept here }
  artifact_routing:
    default: { path: "{output_name}", overwrite: true }
"""


@pytest.fixture
def move(project: Path, monkeypatch: pytest.MonkeyPatch) -> Move:
    """Give what moves the project's folder, and goes on working in it."""

    def away() -> Path:
        moved = project.with_name("moved here")
        project.rename(moved)
        monkeypatch.chdir(moved)
        return moved

    return away


def run(flowyml: Ask, *arguments: str) -> str:
    """Run the pipeline and return the id of the run."""
    Path("pipeline.py").write_text(cli_pipelines.MAIN)
    (ran,) = flowyml("run", "pipeline.py", *arguments, "-o", "json").objects
    assert ran["status"] == "done"
    return str(ran["run_id"])


def test_a_project_that_was_moved_is_read(flowyml: Ask, move: Move) -> None:
    """Verified, fetched, loaded, with its lineage."""
    run_id = run(flowyml)
    moved = move()

    verified = flowyml("artifact", "verify", "--all", "-o", "json")
    fetched = flowyml("artifact", "get", "mean", "--to", "got", "-o", "json")
    related = flowyml("artifact", "lineage", "mean", "-o", "json")

    assert verified.code == fetched.code == related.code == 0
    assert [item["status"] for item in verified.objects] == ["ok"] * 4
    (file,) = fetched.objects
    stored = moved / ".flowyml" / "artifacts" / run_id / "model" / file["name"]
    assert (moved / file["path"]).read_bytes() == stored.read_bytes()
    assert load(f"run:{run_id}/model").data == load("mean").data == {"mean": 1.0}
    assert [item["name"] for item in related.objects] == ["report", "metrics", "mean", "numbers"]


def test_a_copy_is_read_itself(
    flowyml: Ask, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own damage is found, and not that of the project that it was copied from."""
    run_id = run(flowyml)
    copy = project.with_name("copy")
    shutil.copytree(project, copy)
    (file,) = (project / ".flowyml" / "artifacts" / run_id / "model").glob("data*")
    file.write_bytes(b"altered")
    assert flowyml("artifact", "verify", "mean").code == 1

    monkeypatch.chdir(copy)
    assert flowyml("artifact", "verify", "mean").code == 0
    (copy / file.relative_to(project)).write_bytes(b"altered")
    assert flowyml("artifact", "verify", "mean").code == 1
    with pytest.raises(IntegrityError, match="7 bytes"):
        load("mean")


def test_only_what_was_recorded_is_taken(flowyml: Ask, move: Move) -> None:
    """A manifest with another digest at the same path is not the artifact."""
    run_id = run(flowyml)
    manifest = move() / ".flowyml" / "artifacts" / run_id / "model" / "artifact.json"
    other = json.loads(manifest.read_text())
    other["files"][0]["sha256"] = 64 * "0"
    manifest.write_text(json.dumps(other))

    verified = flowyml("artifact", "verify", "mean", "-o", "json")

    assert verified.code == 1
    assert "no store of the stack 'local' holds file://" in verified.objects[0]["error"]
    assert "nor the same at another place" in verified.objects[0]["error"]
    with pytest.raises(NotFoundError):
        load("mean")


def test_what_was_replaced_before_the_move_is_told(flowyml: Ask, project: Path, move: Move) -> None:
    """As it is where nothing was moved."""
    (project / "flowyml.yaml").write_text(REPLACES)
    first, second = run(flowyml), run(flowyml, "-p", "rows=5")
    move()

    verified = flowyml("artifact", "verify", "--all", "-o", "json")

    assert verified.code == 0
    found = {(item["run_id"], item["status"]) for item in verified.objects}
    assert found == {(second, "ok"), (first, "replaced")}
    with pytest.raises(IntegrityError, match=f"{second}/model replaced it"):
        load(f"run:{first}/model")
