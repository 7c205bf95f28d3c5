"""What is packed for a machine that has nothing of the project, and what is not."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import attrs
import pytest

from flowyml.errors import ConfigurationError
from flowyml.plugins import errands
from flowyml.plugins.errands import Errand, is_settled, pack_errand, read_outcome
from flowyml.records import StepOutcome, StepStatus, StepTask


@pytest.fixture
def task(tmp_path: Path) -> StepTask:
    """A step of a small project."""
    (tmp_path / "flow.py").write_text("pipeline = 1")
    (tmp_path / "flowyml.yaml").write_text("stacks: {}")
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "load.py").write_text("")
    return StepTask(
        pipeline="flow.py:pipeline",
        step="load",
        run_id="20261125-071845-3f9a1c",
        stack="far",
        config=str(tmp_path / "flowyml.yaml"),
        project=str(tmp_path),
        records={"run": {}},
    )


def unpacked(content: bytes) -> dict[str, bytes]:
    """Return the files of an archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in members.items() if file}


def head(content: bytes) -> dict[str, Any]:
    """Return what an archive says of itself."""
    found: dict[str, Any] = json.loads(unpacked(content)["errand.json"])
    return found


def test_the_sources_and_the_configuration_are_packed(task: StepTask) -> None:
    """Each under its path in the project."""
    packed = unpacked(pack_errand(task))
    assert set(packed) == {
        "errand.json",
        "project/flow.py",
        "project/flowyml.yaml",
        "project/steps/load.py",
    }


def test_the_task_names_no_place_of_this_machine(task: StepTask) -> None:
    """The other machine puts its own in."""
    there = head(pack_errand(task))["task"]
    assert (there["project"], there["config"]) == ("", "flowyml.yaml")
    assert there["records"] == {"run": {}}


@pytest.mark.parametrize(
    "place", [".git/a.py", ".flowyml/a.py", ".env", "env/lib/a.py", "data.csv", "__pycache__/a.py"]
)
def test_nothing_else_is_packed(task: StepTask, tmp_path: Path, place: str) -> None:
    """No history, no state, no secrets, no virtual environment, no data."""
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("")
    (tmp_path / "env").mkdir(exist_ok=True)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    assert f"project/{place}" not in unpacked(pack_errand(task))


def test_a_link_out_of_the_project_is_not_followed(task: StepTask, tmp_path: Path) -> None:
    """What lies elsewhere stays there."""
    secret = tmp_path.parent / f"{tmp_path.name}-secret.py"
    secret.write_text("")
    (tmp_path / "secret.py").symlink_to(secret)
    assert "project/secret.py" not in unpacked(pack_errand(task))


def test_what_include_names_is_packed(task: StepTask, tmp_path: Path) -> None:
    """Small files that steps read."""
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "a.json").write_text("{}")
    assert "project/params/a.json" in unpacked(pack_errand(task, include=["params/*.json"]))


def test_a_pattern_that_matches_nothing_is_an_error(task: StepTask) -> None:
    """It is most likely misspelt."""
    with pytest.raises(ConfigurationError, match=r"'parms/\*' matches no file"):
        pack_errand(task, include=["parms/*"])


def test_a_pipeline_outside_of_the_project_is_an_error(task: StepTask) -> None:
    """The job would not find it."""
    outside = attrs.evolve(task, pipeline="/elsewhere/flow.py:pipeline")
    with pytest.raises(ConfigurationError, match=r"/elsewhere/flow\.py is not among"):
        pack_errand(outside)


def test_too_much_is_an_error_that_names_the_largest(
    task: StepTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step would send it."""
    monkeypatch.setattr(errands, "LARGEST", 1000)
    (tmp_path / "big.py").write_text("#" * 2000)
    with pytest.raises(ConfigurationError, match=r"the largest are big\.py \(2,000 bytes\)"):
        pack_errand(task)


def test_folders_that_modules_come_from_are_named(
    task: StepTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project with its package below ``src`` works there as it does here."""
    (tmp_path / "src").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    assert "src" in head(pack_errand(task))["paths"]


def test_steps_and_attempts_have_names_of_their_own() -> None:
    """Short enough for any service, and the same in every process."""
    first, second = Errand("run", "a"), Errand("run", "b")
    assert first.key != second.key
    assert attrs.evolve(first, attempt=2).key == first.key
    assert attrs.evolve(first, attempt=2).name == f"flowyml-{first.key}-2"
    assert len(attrs.evolve(first, attempt=9999).name) <= 63


def test_an_outcome_comes_back_as_it_left() -> None:
    """By JSON."""
    outcome = StepOutcome("a", StepStatus.FAILED, "why", {"step": {"status": "failed"}})
    assert read_outcome(json.dumps(attrs.asdict(outcome)).encode()) == outcome


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"step": "a", "status": "odd"}'])
def test_what_is_no_outcome_is_refused(content: bytes) -> None:
    """A job that was killed while it wrote leaves anything."""
    with pytest.raises(ValueError, match=r"no outcome|Expecting value|not a valid StepStatus"):
        read_outcome(content)


@pytest.mark.parametrize(
    ("status", "recorded", "settled"),
    [
        (StepStatus.DONE, "done", True),
        (StepStatus.STORED, "stored", True),
        (StepStatus.FAILED, "stored", True),
        (StepStatus.FAILED, "failed", False),
    ],
)
def test_stored_outputs_settle_a_step(status: StepStatus, recorded: str, *, settled: bool) -> None:
    """Also where a later delivery ended it."""
    outcome = StepOutcome("a", status, None, {"step": {"status": recorded}})
    assert is_settled(outcome) is settled
