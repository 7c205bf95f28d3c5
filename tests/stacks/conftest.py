"""A project on disk whose stacks are built from the sample components."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
from tests.stacks.stack_samples import CATALOG

from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project
from flowyml.stacks.stack import Stack


class Build(Protocol):
    """Builds a stack from the text of a file."""

    def __call__(self, text: str, name: str = "default") -> Stack: ...


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The working directory is an empty project."""
    monkeypatch.chdir(tmp_path)
    for variable in ("FLOWYML_CONFIG", "FLOWYML_STACK"):
        monkeypatch.delenv(variable, raising=False)
    return Project(tmp_path, tmp_path / "flowyml.yaml")


@pytest.fixture
def build(project: Project) -> Build:
    """Write the file, read it, and build one of its stacks."""

    def built(text: str, name: str = "default") -> Stack:
        assert project.config
        project.config.write_text(text, encoding="utf-8")
        return Configuration.read(project).build(name, CATALOG)

    return built
