"""A run that is interrupted while it is told that it begins is an interrupted run."""

from __future__ import annotations

import pytest
from tests.pipelines.conftest import WriteFile
from tests.plugins.fake_distributions import Site

from flowyml import Pipeline, step
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.resume import resume
from flowyml.plugins import discovery
from flowyml.records import RunStatus
from flowyml.stacks.project import Project

IMPATIENT = """
from pathlib import Path

from attrs import define

from flowyml.plugins import Extension, hookimpl


@define(slots=False)
class Impatient(Extension):
    @hookimpl
    def run_started(self, run):
        if not Path("patient").exists():
            raise KeyboardInterrupt
"""


def test_an_interrupt_while_a_tracker_opens_its_run_is_written_down(
    project: Project,
    write_file: WriteFile,
    metadata: MetadataStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run is not left as one that is running, and a resume goes on with it."""
    site = Site(project.folder / "site-packages")
    points = "[flowyml.extension]\nimpatient = impatient:Impatient\n"
    site.install("impatient", points, {"impatient": IMPATIENT})
    monkeypatch.syspath_prepend(str(site.folder))
    discovery.installed.cache_clear()
    write_file("flowyml.yaml", "plugins: { extensions: [impatient] }\n")

    @step
    def work() -> int:
        return 1

    pipeline = Pipeline("flow").add_step(work)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    (run,) = metadata.runs()
    write_file("patient", "")

    assert run.status is RunStatus.INTERRUPTED
    assert resume(run.run_id, pipeline=pipeline).status is RunStatus.DONE
    discovery.installed.cache_clear()
