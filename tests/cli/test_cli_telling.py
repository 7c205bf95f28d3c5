"""A run is done when every component knows what lies in a store and that the run ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Ask, Install

REGISTER = """\
import os
from pathlib import Path

from attrs import define

from flowyml.errors import DeliveryError
from flowyml.plugins import ExperimentTracker, hookimpl


@define(slots=False)
class Register(ExperimentTracker):
    \"\"\"Refuses, or dies, in the hooks that the project has files for.\"\"\"

    @hookimpl
    def artifact_stored(self, run, stored):
        self.note("artifact_stored", stored.manifest.name)

    @hookimpl
    def run_finished(self, run, status):
        self.note("run_finished", str(status))

    def note(self, hook, what):
        if Path(f"refuse {hook}").exists():
            raise DeliveryError("the register is closed")
        if Path(f"die in {hook}").exists():
            Path(f"die in {hook}").unlink()
            os._exit(137)
        with Path("register.txt").open("a") as lines:
            lines.write(f"{what}\\n")
"""

PIPELINE = """\
from flowyml import Pipeline, step


@step
def work() -> int:
    return 1


pipeline = Pipeline("flow").add_step(work)
"""


@pytest.fixture
def site(install: Install, project: Path) -> str:
    """Give a project whose tracker can refuse; return where the tracker is."""
    (project / "pipeline.py").write_text(PIPELINE)
    (project / "flowyml.yaml").write_text("plugins: { experiment_tracker: { type: register } }\n")
    entry_points = "[flowyml.experiment_tracker]\nregister = register:Register\n"
    return str(install("register", {"register": REGISTER}, entry_points))


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("hook", "place", "word"),
    [("artifact_stored", "work.work", "linked"), ("run_finished", "context", "ended")],
)
def test_what_a_tracker_was_not_told_is_owed(
    flowyml: Ask, project: Path, hook: str, place: str, word: str
) -> None:
    """The exit code says so, ``runs show`` names it, and to resume the run tells it."""
    refusal = project / f"refuse {hook}"
    refusal.touch()

    ran = flowyml("run", "pipeline.py")
    (run,) = flowyml("runs", "list", "--status", "incomplete", "-o", "json").objects
    shown = flowyml("runs", "show", run["run_id"])
    still = flowyml("resume", run["run_id"])
    refusal.unlink()
    paid = flowyml("resume", "--all")

    assert (ran.code, still.code, paid.code) == (3, 3, 0)
    assert f"{place}: {hook} failed (attempt 1): the register is closed\n" in ran.out
    assert f"owed        {hook} (experiment_tracker): the register is closed\n" in ran.out
    assert f"{place} owes {hook}" in " ".join(shown.out.split())
    assert f"  {word:10}  yes (experiment_tracker)\n" in paid.out
    told = (project / "register.txt").read_text().split()
    assert (told.count("work"), told[-1]) == (1, "done")
    again = flowyml("resume", run["run_id"])
    assert again.code == 0
    assert (project / "register.txt").read_text().split() == told


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("place", ["work.work", "context"])
def test_what_a_tracker_was_not_told_can_be_forgiven(
    flowyml: Ask, project: Path, place: str
) -> None:
    """Each by the place that the ledger names."""
    hook = {"work.work": "artifact_stored", "context": "run_finished"}[place]
    (project / f"refuse {hook}").touch()
    flowyml("run", "pipeline.py")
    (run,) = flowyml("runs", "list", "-o", "json").objects

    forgiven = flowyml(
        "runs", "forgive", run["run_id"], "--delivery", place, "--comment", "it is gone"
    )

    assert forgiven.out == (
        f"forgiven: {place} {hook} (experiment_tracker)\nrun {run['run_id']}: done\n"
    )
    assert flowyml("resume", run["run_id"]).code == 0


def test_a_run_that_is_killed_while_it_tells_of_its_end_tells_it_again(
    command: Ask, project: Path, site: str
) -> None:
    """It is not done before everybody has been told."""
    (project / "die in run_finished").touch()

    killed = command("run", "pipeline.py", PYTHONPATH=site)
    resumed = command("resume", "--all", PYTHONPATH=site)

    assert (killed.code, resumed.code) == (137, 0)
    assert (project / "register.txt").read_text().split() == ["work", "done"]
