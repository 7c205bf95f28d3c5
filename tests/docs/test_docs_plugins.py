"""The pages for authors of plugins say what the contract says, and their commands work."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.testing.environments import ROOT, Environment, build_wheel

from flowyml.plugins import hookspecs
from flowyml.plugins.api import API_VERSION

pytestmark = pytest.mark.once

PLUGINS = ROOT / "docs" / "plugins"

SECTIONS = ["Arguments", "Returns", "Raises", "When it is called again"]

BLOCK = re.compile(r"^```(?P<language>console|yaml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def _hooks() -> Iterator[tuple[str, type, str]]:
    for name in hookspecs.__all__:
        spec = getattr(hookspecs, name)
        yield from ((name, spec, hook) for hook in vars(spec) if not hook.startswith("_"))


HOOKS = list(_hooks())

each_hook = pytest.mark.parametrize(
    ("spec", "hook"), [(spec, hook) for _, spec, hook in HOOKS], ids=[hook for *_, hook in HOOKS]
)


def _page(hook: str) -> str:
    return (PLUGINS / "hooks" / f"{hook}.md").read_text(encoding="utf-8")


@each_hook
def test_a_page_has_the_hooks_signature(spec: type, hook: str) -> None:
    """The same arguments in the same order, each of them explained, and what comes back."""
    function = inspect.getattr_static(spec, hook)
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    page = _page(hook)

    assert page.startswith(f"# {hook}\n")
    signature = re.search(rf"^{hook}\((?P<arguments>.*)\) -> (?P<result>.+)$", page, re.MULTILINE)
    assert signature
    assert [word for word in signature["arguments"].split(", ") if word] == parameters
    assert re.findall(r"^- `(\w+)`: ", page, re.MULTILINE) == parameters
    answers = inspect.signature(function).return_annotation
    assert signature["result"].removesuffix(" | None") == answers.removesuffix(" | None")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS


@each_hook
def test_a_page_says_how_a_hook_is_called(spec: type, hook: str) -> None:
    """On one component, or on all."""
    options = inspect.getattr_static(spec, hook).flowyml_spec
    kind = "it picks one component" if options["firstresult"] else "it informs"
    assert f"| kind | {kind}" in _page(hook)


def test_every_page_is_of_a_hook() -> None:
    """None is left over from a hook that went, and the overview leads to each."""
    hooks = {hook for *_, hook in HOOKS}
    assert {page.stem for page in (PLUGINS / "hooks").iterdir()} == hooks
    overview = (PLUGINS / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\[\w+\]\(hooks/(\w+)\.md\)", overview)) == hooks


def test_the_api_version_is_the_one_that_is_documented() -> None:
    """It counts up in both places."""
    page = (PLUGINS / "api-version.md").read_text(encoding="utf-8")
    assert f"**{API_VERSION}**" in page


@pytest.mark.installs
@pytest.mark.timeout(400)
def test_the_ten_minutes_work(tmp_path: Path) -> None:
    """The commands of the page, one after the other; uv stands in for pip, which is slow."""
    wheel = build_wheel(ROOT, tmp_path / "wheels")
    environment = Environment.make(tmp_path / "environment")
    environment.install("flowyml", wheels=[wheel])
    environment.stand_in_for_pip(wheel)
    folder = tmp_path / "work"
    folder.mkdir()
    page = (PLUGINS / "ten-minutes.md").read_text(encoding="utf-8")
    ran = []
    for block in BLOCK.finditer(page):
        if block["language"] == "yaml":
            (folder / "lab.yaml").write_text(block["text"], encoding="utf-8")
            continue
        for command in block["text"].splitlines():
            ran.append(command)
            if command.startswith("cd "):
                folder /= command.removeprefix("cd ")
            else:
                environment.run("sh", "-c", command, folder=folder)
    assert "flowyml run pipeline.py" in ran
    assert list((folder / "kept").rglob("artifact.json"))
