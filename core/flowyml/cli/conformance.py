"""The suites of `flowyml.testing`, as far as somebody who only has the plugin can run them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname
from xml.etree import ElementTree as ET

import attrs
from attrs import field, frozen

from flowyml.cli.checking import Finding, normal
from flowyml.plugins.discovery import Catalog, Provider

__all__ = ["SUITES", "default_conformance", "tests_of", "their_conformance"]

SUITES: Final[Mapping[str, str]] = {
    "artifact_store": "StoreContract",
    "experiment_tracker": "TrackerContract",
    "model_registry": "RegistryContract",
    "model_deployer": "DeployerContract",
    "orchestrator": "OrchestratorContract",
    "serializer": "SerializerContract",
    "extension": "ExtensionContract",
}
"""The suite of each role; a component of any other role has `ANY`."""

ANY: Final = "ComponentContract"

MISSING: Final = "pytest is not installed; install it with `pip install 'flowyml[testing]'`"

HINT: Final = f"`flowyml.testing.{ANY}` says what each of its tests asks for"

HEAD: Final = """\
import pytest

from flowyml.plugins.discovery import installed
from flowyml.testing import ComponentContract

SKIPS = {
    "test_it_is_ready": "it asks the backend, which may not be there",
    "test_the_doctor_finds_it_well": "it asks the backend, which may not be there",
    "test_importing_it_costs_little": "only its own tests say what it may import",
}
"""

CLASS: Final = Template("""

class $name(ComponentContract):
    skips = SKIPS

    @pytest.fixture
    def new_component(self):
        return installed().component($role, $type)
""")


@frozen
class _Report:
    """What pytest said.

    Attributes:
        code: Its exit code.
        summary: Its last line.
        tests: Of each test: class, suite, name, how it ended and the reason why it was skipped.
    """

    code: int
    summary: str
    tests: Sequence[_Test] = ()

    def of(self, suite: str, cls: str | None = None) -> list[_Test]:
        return [test for test in self.tests if test.suite == suite and cls in {None, test.cls}]


@frozen
class _Test:
    cls: str
    suite: str
    name: str
    ended: str
    reason: str = field(default="", repr=False)


def tests_of(provider: Provider) -> Path | None:
    """Find the tests of a distribution: where it was installed from, else where we are."""
    distribution = provider.entry_point.dist
    origin = distribution.read_text("direct_url.json") if distribution else None
    address = urlsplit(json.loads(origin)["url"] if origin else "")
    folders = [Path(url2pathname(address.path))] if address.scheme == "file" else []
    if _project_name(Path.cwd()) == normal(provider.distribution):
        folders.append(Path.cwd())
    found = (folder / "tests" for folder in folders)
    return next((folder for folder in found if folder.is_dir()), None)


def their_conformance(folder: Path, providers: Sequence[Provider]) -> Iterator[tuple[str, Finding]]:
    """Run the tests of a distribution, and look for the suite of each of its plugins."""
    if find_spec("pytest") is None:
        yield "", Finding("tests", "failed", MISSING)
        return
    report = _run(folder)
    again = f"run `pytest {folder}` and see what fails"
    if report.code:
        yield "", Finding("tests", "failed", report.summary, again)
    else:
        yield "", Finding("tests", "ok", report.summary)
    for provider in providers:
        suite = SUITES.get(provider.role, ANY)
        if tests := report.of(suite):
            yield _subject(provider), _judged(suite, tests, again)
        else:
            message = f"no test in {folder} is of the suite {suite}"
            fix = f"subclass `flowyml.testing.{suite}` there"
            yield _subject(provider), Finding("conformance", "failed", message, fix)


def default_conformance(
    providers: Sequence[Provider], catalog: Catalog, why: str
) -> Iterator[tuple[str, Finding]]:
    """Run what can be asked of a component that needs no configuration, without its backend.

    Args:
        providers: The plugins, found to be sound so far.
        catalog: The installed plugins.
        why: Why their own tests are not run, and what to do about it.
    """
    ready = []
    for provider in (each for each in providers if each.role != "role"):
        if obstacle := _obstacle(provider, catalog):
            message = f"not run: {obstacle}, and {why}"
            yield _subject(provider), Finding("conformance", "skipped", message)
        else:
            ready.append(provider)
    if not ready:
        return
    with tempfile.TemporaryDirectory(prefix="flowyml-check-") as folder:
        classes = [
            CLASS.substitute(name=f"Test{number}", role=repr(each.role), type=repr(each.type))
            for number, each in enumerate(ready)
        ]
        Path(folder, "test_conformance.py").write_text(HEAD + "".join(classes), encoding="utf-8")
        report = _run(Path(folder), "-c", "/dev/null", "--import-mode=importlib")
    for number, provider in enumerate(ready):
        finding = _judged(ANY, report.of(ANY, f"Test{number}"), HINT)
        yield _subject(provider), attrs.evolve(finding, message=f"{finding.message}; {why}")


def _obstacle(provider: Provider, catalog: Catalog) -> str | None:
    """Say why a component cannot be tried by itself."""
    if find_spec("pytest") is None:
        return MISSING
    if provider.role == "serializer":
        return "only its tests know values for a serializer"
    cls = catalog.component(provider.role, provider.type)
    needed = [a.name for a in attrs.fields(cls) if a.init and a.default is attrs.NOTHING]
    return f"it needs a configuration ({', '.join(needed)})" if needed else None


def _judged(suite: str, tests: Sequence[_Test], again: str) -> Finding:
    """Say how the tests of one suite ended; what was left out is told with its reason."""
    failed = [test.name for test in tests if test.ended == "failed"]
    skipped = [f"{test.name}: {test.reason}" for test in tests if test.ended == "skipped"]
    passed = len(tests) - len(failed) - len(skipped)
    message = f"{suite}: {passed} passed"
    if skipped:
        message += f", {len(skipped)} skipped ({'; '.join(skipped)})"
    if failed or not passed:
        message += f", {len(failed)} failed ({', '.join(failed)})"
        return Finding("conformance", "failed", message, again)
    return Finding("conformance", "ok", message)


def _run(folder: Path, *options: str) -> _Report:
    """Run pytest where the tests are at home."""
    with tempfile.TemporaryDirectory(prefix="flowyml-check-") as elsewhere:
        written = Path(elsewhere, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", f"--junitxml={written}"]
        done = subprocess.run(
            [*command, *options, str(folder.absolute())],
            cwd=folder.absolute().parent,
            capture_output=True,
            text=True,
            check=False,
        )
        tests = tuple(map(_test, ET.parse(written).iter("testcase"))) if written.exists() else ()  # noqa: S314  # our own
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    summary = lines[-1].strip("= ") if lines else done.stderr.strip()
    return _Report(done.returncode, summary, tests)


def _test(case: ET.Element) -> _Test:
    """Read one test of a report."""
    suite = case.find("properties/property[@name='suite']")
    skipped = case.find("skipped")
    broken = case.find("failure") is not None or case.find("error") is not None
    return _Test(
        cls=case.get("classname", "").rpartition(".")[2],
        suite="" if suite is None else suite.get("value", ""),
        name=case.get("name", ""),
        ended="failed" if broken else "passed" if skipped is None else "skipped",
        reason="" if skipped is None else skipped.get("message", ""),
    )


def _project_name(folder: Path) -> str | None:
    """Return the name of the project in a folder, if there is one."""
    try:
        told = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return normal(told["project"]["name"])
    except (OSError, ValueError, KeyError):
        return None


def _subject(provider: Provider) -> str:
    return f"{provider.role} {provider.type}"
