"""What the tests of steps, pipelines and runs share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from flowyml.metadata.store import MetadataStore
from flowyml.stacks.project import Project

WriteFile = Callable[[str, str], Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Give an empty project in the working directory; modules loaded from it are forgotten."""
    for name in ("FLOWYML_STACK", "FLOWYML_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    before, search = dict(sys.modules), list(sys.path)
    yield Project(tmp_path, None)
    sys.path[:] = search
    for name in sys.modules.keys() - before.keys():
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def write_file(project: Project) -> WriteFile:
    """Give a function that writes a file of the project."""

    def write(name: str, text: str) -> Path:
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def metadata(project: Project) -> Iterator[MetadataStore]:
    """Give the metadata store of the project."""
    with MetadataStore.open(project.metadata_path) as opened:
        yield opened
