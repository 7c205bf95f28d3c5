"""Every block of Python and of YAML in the documentation works."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from attrs import frozen

from flowyml.errors import ConfigurationError
from flowyml.metadata.store import MetadataStore
from flowyml.records import RunStatus
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project
from flowyml_local.deployer import LocalModelDeployer

ROOT = Path(__file__).parents[2]

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>python|yaml)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL
)

NOT_RUN = re.compile(r"# not run: \S+")

CONFIGURATION = "# flowyml.yaml\n"
"""First line of a YAML block that is the project's file for the Python blocks after it."""

NOT_INSTALLED = re.compile(r"unknown \w+ type '(\w+)': install it with")
"""What is said of a type that another package brings."""


@frozen
class Block:
    """A block of code on a page.

    Attributes:
        line: Where its code begins, counted from 1.
    """

    page: Path
    language: str
    line: int
    text: str

    def __str__(self) -> str:
        """Name the place, for the test's id."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether it works; one that does not says why in its first line."""
        return not NOT_RUN.match(self.text)


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, found["language"], line, textwrap.dedent(found["text"]))


YAML_BLOCKS = [
    block for page in PAGES for block in _blocks(page) if block.language == "yaml" and block.is_run
]

PYTHON_PAGES = [
    page
    for page in PAGES
    if any(block.language == "python" and block.is_run for block in _blocks(page))
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder; what is deployed there ends with the test."""
    for variable in ("FLOWYML_STACK", "FLOWYML_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    deployer = LocalModelDeployer(path=tmp_path / ".flowyml" / "endpoints")
    for deployment in deployer.list_deployments():
        deployer.undeploy_model(deployment.endpoint)


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(
    page: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks run one after the other, each with the names of those before it."""
    name = f"page_{page.stem.replace('-', '_')}"
    module = ModuleType(name)
    module.__file__ = str(page)
    monkeypatch.setitem(sys.modules, name, module)
    for block in filter(lambda block: block.is_run, _blocks(page)):
        if block.language == "python":
            # The empty lines make a traceback name the line of the page.
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            exec(code, vars(module))
        elif block.text.startswith(CONFIGURATION):
            (project / "flowyml.yaml").write_text(block.text, encoding="utf-8")
    assert _failures(project) == []


def _failures(project: Path) -> list[str | None]:
    """Return why runs failed: a run that fails raises nothing by itself."""
    path = project / ".flowyml" / "metadata.db"
    if not path.exists():
        return []
    with MetadataStore.open(path) as metadata:
        return [run.error for run in metadata.runs(status=RunStatus.FAILED)]


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=str)
def test_a_block_of_yaml_loads(
    block: Block, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stack in it is built; of a type that is not installed, only that is said."""
    path = project / "flowyml.yaml"
    path.write_text(_whole(block.text), encoding="utf-8")
    configuration = Configuration.read(Project(project, path))

    assert configuration.stack_names
    _ = configuration.active_stack, configuration.pipelines
    for name in configuration.stack_names:
        for variable in configuration.variables(configuration.node(name)):
            monkeypatch.setenv(variable, os.environ.get(variable, "value"))
        _build(configuration, name)


def _whole(text: str) -> str:
    """Return a file; of rules or components alone, the one that they would stand in."""
    first = next(line for line in text.splitlines() if line and line[0] not in "# ")
    if first.partition(":")[0] in {"stacks", "plugins", "active_stack", "pipelines"}:
        return text
    if first.startswith("path:"):
        text = "artifact_routing:\n  Dataset:\n" + textwrap.indent(text, "    ")
    return "plugins:\n" + textwrap.indent(text, "  ")


def _build(configuration: Configuration, name: str) -> None:
    try:
        configuration.build(name)
    except ConfigurationError as error:
        missing = NOT_INSTALLED.findall(str(error))
        # A rule may name such a store by its type.
        excused = [NOT_INSTALLED, *(re.compile(f"has no store '{type_}'") for type_ in missing)]
        wrong = [
            str(problem)
            for problem in error.problems
            if not any(excuse.search(str(problem)) for excuse in excused)
        ]
        assert not wrong, "\n".join(wrong)


def test_there_is_something_to_test() -> None:
    """The pages are found, and their blocks."""
    assert {"README.md", "quick-start.md"} <= {page.name for page in PYTHON_PAGES}
    assert len(YAML_BLOCKS) > 5
