"""What the tests of steps, pipelines and runs share."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import MappingProxyType

import pytest

from flowyml.metadata.store import MetadataStore
from flowyml.pipelines import BEGUN
from flowyml.pipelines.sources import code_digest
from flowyml.plugins import discovery
from flowyml.stacks.project import Project

WriteFile = Callable[[str, str], Path]

Digest = Callable[..., str]

NOTEBOOK = """
import json
from pathlib import Path

from attrs import define

from flowyml.errors import DeliveryError
from flowyml.plugins import ExperimentTracker, hookimpl
from flowyml.records import LoggedRun


@define(slots=False)
class Notebook(ExperimentTracker):
    path: Path
    refuses: Path = Path("refuses")
    reads_schemes = frozenset({"file"})

    def note(self, kind, values, context):
        if self.refuses.exists():
            raise DeliveryError("the notebook is closed")
        with self.path.open("a") as lines:
            lines.write(json.dumps([kind, context.producer.step, dict(values)]) + "\\n")
        return LoggedRun(context.run.run_id)

    @hookimpl
    def log_metrics(self, metrics, context):
        return self.note("metrics", metrics, context)

    @hookimpl
    def log_parameters(self, parameters, context):
        return self.note("parameters", parameters, context)

    @hookimpl
    def run_started(self, run):
        with self.path.open("a") as lines:
            lines.write(json.dumps(["run started", "", {}]) + "\\n")

    @hookimpl
    def run_finished(self, run, status):
        with self.path.open("a") as lines:
            lines.write(json.dumps(["run finished", str(status), {}]) + "\\n")
"""
"""A tracker that writes a line for everything it is told, in a distribution of its own."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Give an empty project in the working directory; modules loaded from it are forgotten."""
    for name in ("FLOWYML_STACK", "FLOWYML_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    # A file that is changed within a second, and keeps its length, has the bytecode of the old one.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    search = list(sys.path)
    yield Project(tmp_path, None)
    sys.path[:] = search
    forget(tmp_path)


def forget(folder: Path) -> None:
    """Let the modules that were loaded from a folder be loaded anew."""
    for name, module in [*sys.modules.items()]:
        places = (getattr(module, "__file__", None), *getattr(module, "__path__", ()))
        if any(place and Path(place).is_relative_to(folder) for place in places):
            del sys.modules[name]


@pytest.fixture
def write_file(project: Project) -> WriteFile:
    """Give a function that writes a file of the project; each is saved before this process began.

    A test may so play several processes, each of which loads what was written by then.
    """
    saved = count(BEGUN - 3600)

    def write(name: str, text: str) -> Path:
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        at = next(saved)
        os.utime(path, (at, at))
        return path

    return write


@pytest.fixture
def digest(write_file: WriteFile, monkeypatch: pytest.MonkeyPatch) -> Digest:
    """Give a function that returns the digest of the step ``work`` of a file, and of others."""
    folder = write_file("flow.py", "").parent
    monkeypatch.syspath_prepend(folder)

    def of(flow: str, others: Mapping[str, str] = MappingProxyType({})) -> str:
        write_file("flow.py", "from flowyml import step\n" + dedent(flow))
        for name, text in others.items():
            write_file(name, text)
        forget(folder)
        tops = {Path(name).parts[0].removesuffix(".py") for name in ("flow.py", *others)}
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            monkeypatch.delitem(sys.modules, name)  # of another test, which had one of that name
        importlib.invalidate_caches()
        return code_digest(importlib.import_module("flow").work)

    return of


def digest_of_process(seed: str) -> str:
    """Return the digest that a process with this seed for its hashes finds of the same step."""
    program = (
        "import flow; from flowyml.pipelines.sources import code_digest;"
        "print(code_digest(flow.work), end='')"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


@pytest.fixture
def metadata(project: Project) -> Iterator[MetadataStore]:
    """Give the metadata store of the project."""
    with MetadataStore.open(project.metadata_path) as opened:
        yield opened


@pytest.fixture
def notebook(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a tracker and use it; give the file that it writes to."""
    site = project.folder / "site-packages"
    facts = site / "notebook-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: notebook\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[flowyml.experiment_tracker]\nnotebook = notebook_tracker:Notebook\n"
    )
    (site / "notebook_tracker.py").write_text(NOTEBOOK)
    (project.folder / "flowyml.yaml").write_text(
        "stacks: { tracked: { experiment_tracker: { type: notebook, path: notes.jsonl } } }\n"
    )
    monkeypatch.syspath_prepend(str(site))
    discovery.installed.cache_clear()
    yield project.folder / "notes.jsonl"
    discovery.installed.cache_clear()
