"""Each check of each suite fails for a component that has the mistake it looks for."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.testing.environments import ROOT

from flowyml import testing
from flowyml.testing.contract import Contract

pytest.importorskip("numpy")

ROLES = [
    "stores",
    "trackers",
    "registries",
    "deployers",
    "orchestrators",
    "serializers",
    "extensions",
]


def _results(role: str, folder: Path) -> dict[tuple[str, str], set[str]]:
    """Run the sound component, and each broken one against its check; say how each ended."""
    module = importlib.import_module(f"tests.testing.broken.{role}")
    file = f"tests/testing/broken/{role}.py"
    nodes = [f"{file}::Test_{check}::{check}" for check in module.BROKEN]
    elsewhere = getattr(module, "TRIED_ELSEWHERE", False)
    sound = [] if elsewhere else [f"{file}::TestSound::{check}" for check in module.BROKEN]
    report = folder / "report.xml"
    options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "--timeout=60"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *nodes, *sound],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[tuple[str, str], set[str]] = {}
    for case in ET.parse(report).iter("testcase"):
        suite = case.attrib["classname"].rpartition(".")[2]
        check = case.attrib["name"].partition("[")[0]
        ended = {child.tag for child in case} & {"failure", "error", "skipped"} or {"passed"}
        found.setdefault((suite, check), set()).update(ended)
    return found


@pytest.mark.broken
@pytest.mark.once
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ROLES)
def test_each_check_finds_its_mistake(role: str, tmp_path: Path) -> None:
    """By failing, not by an error in its fixtures; and the sound component passes it."""
    module = importlib.import_module(f"tests.testing.broken.{role}")
    ended = _results(role, tmp_path)
    missed = {check for check in module.BROKEN if "failure" not in ended[f"Test_{check}", check]}
    assert missed == set()
    faulty = {
        check for (suite, check), how in ended.items() if suite == "TestSound" and how != {"passed"}
    }
    assert faulty == set()


@pytest.mark.parametrize("role", ROLES)
def test_each_check_has_a_mistake(role: str) -> None:
    """None is there that nothing was ever seen to fail."""
    module = importlib.import_module(f"tests.testing.broken.{role}")
    checks = {name for name in dir(module.Base) if name.startswith("test_")}
    assert checks - getattr(module, "SHARED", set()) - set(module.BROKEN) == set()


def test_each_suite_is_tried() -> None:
    """Each test of each suite that authors subclass has a component that it fails for."""
    tried: dict[str, set[str]] = {}
    for role in ROLES:
        module = importlib.import_module(f"tests.testing.broken.{role}")
        for suite in module.Base.__mro__:
            tried.setdefault(suite.__name__, set()).update(module.BROKEN)
    for name in testing.__all__:
        suite = getattr(testing, name)
        if issubclass(suite, Contract):
            checks = {check for check in vars(suite) if check.startswith("test_")}
            assert checks - tried.get(name, set()) == set(), name


class _Example(Contract):
    def test_one(self) -> None:
        assert not self.skips


def test_an_inherited_test_is_not_replaced() -> None:
    """Nor left out without a reason, nor one that is not there."""
    with pytest.raises(TypeError, match="replaces test_one"):
        type("Hiding", (_Example,), {"test_one": None})
    with pytest.raises(TypeError, match="say why 'test_one'"):
        type("Silent", (_Example,), {"skips": {"test_one": " "}})
    with pytest.raises(TypeError, match="there is no test 'test_two'"):
        type("Wrong", (_Example,), {"skips": {"test_two": "it is not there"}})
