"""What the packages of this repository owe to each other."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import EntryPoint, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import flowyml

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("flowyml-*/pyproject.toml"))

# An address that pip or uv would take for an index, or an option that gives one.
INDEX = re.compile(r"https?://\S+/simple\b|index-url\s*[=:]|find-links\s*[=:]", re.IGNORECASE)

each_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)


def project(folder: Path) -> dict[str, Any]:
    """Read the ``[project]`` table of one package."""
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return table


def registrations(folder: Path) -> list[EntryPoint]:
    """Read the entry points one package declares, the command line's scripts among them."""
    declared = project(folder)
    groups = {"console_scripts": declared.get("scripts", {}), **declared.get("entry-points", {})}
    return [
        EntryPoint(name, value, group)
        for group, entries in groups.items()
        for name, value in entries.items()
    ]


def test_the_workspace_has_the_four_plugin_packages() -> None:
    """The design names them, and no other folder calls itself one."""
    names = [plugin.name for plugin in PLUGINS]
    assert names == ["flowyml-aws", "flowyml-azure", "flowyml-gcp", "flowyml-tracking"]


@each_plugin
def test_a_plugin_accepts_the_core_it_stands_beside(plugin: Path) -> None:
    """Its range contains the core's version, and neither an older project's nor the next major."""
    requirements = [Requirement(text) for text in project(plugin)["dependencies"]]
    (core,) = [item.specifier for item in requirements if item.name == "flowyml"]
    assert core == SpecifierSet(">=3.0,<4")
    assert flowyml.__version__ in core


@each_plugin
def test_a_plugin_has_the_common_shape(plugin: Path) -> None:
    """Whoever knows one plugin package finds everything in the next."""
    module = plugin.name.replace("-", "_")
    short = plugin.name.removeprefix("flowyml-")
    for path in ("README.md", f"src/{module}/__init__.py", f"src/{module}/py.typed"):
        assert (plugin / path).is_file(), path
    assert [folder.name for folder in (plugin / "src").iterdir() if folder.suffix == ""] == [module]
    tests = [path.name for path in (plugin / "tests").rglob("test_*.py")]
    assert tests
    assert all(name.startswith(f"test_{short}_") for name in tests), "names tell packages apart"


@each_plugin
def test_a_plugin_supports_the_pythons_that_the_core_supports(plugin: Path) -> None:
    """An extra never narrows where FlowyML runs."""
    ours, theirs = project(ROOT), project(plugin)
    assert theirs["requires-python"] == ours["requires-python"]
    assert pythons(theirs) == pythons(ours)


def pythons(declared: dict[str, Any]) -> list[str]:
    """Pick the Python versions out of the classifiers."""
    return [line for line in declared["classifiers"] if "Python :: 3." in line]


def test_every_extra_names_packages_of_the_workspace() -> None:
    """What an extra asks of a plugin package, that package has, in a version that fits."""
    known = {plugin.name: project(plugin) for plugin in PLUGINS} | {"flowyml": project(ROOT)}
    wanted = [
        Requirement(text)
        for name, texts in project(ROOT)["optional-dependencies"].items()
        if name not in {"testing", "examples"}
        for text in texts
    ]
    for requirement in wanted:
        package = known[requirement.name]
        assert requirement.extras <= package.get("optional-dependencies", {}).keys()
        assert requirement.name == "flowyml" or flowyml.__version__ in requirement.specifier


def test_the_extra_all_brings_every_plugin() -> None:
    """Nobody has to look up which plugin packages there are."""
    extras = project(ROOT)["optional-dependencies"]
    (everything,) = [Requirement(text) for text in extras["all"]]
    brought = {Requirement(text).name for extra in everything.extras for text in extras[extra]}
    assert brought == {plugin.name for plugin in PLUGINS}


@pytest.mark.parametrize("entry_point", registrations(ROOT), ids=lambda entry: entry.value)
def test_what_the_core_registers_can_be_loaded(entry_point: EntryPoint) -> None:
    """Each entry point of the root leads to something that can be called."""
    assert callable(entry_point.load())


def test_no_type_is_registered_twice() -> None:
    """One type of one role belongs to one package."""
    keys = [
        (entry.group, entry.name) for folder in (ROOT, *PLUGINS) for entry in registrations(folder)
    ]
    assert len(keys) == len(set(keys))


@pytest.mark.skipif("NOX_CURRENT_SESSION" not in os.environ, reason="only nox promises this")
def test_the_core_is_tested_without_any_plugin_package() -> None:
    """What passes here passes for a user who installed nothing but ``flowyml``."""
    installed = {name for names in packages_distributions().values() for name in names}
    assert not installed & {plugin.name for plugin in PLUGINS}


def test_no_file_carries_the_address_of_a_package_index() -> None:
    """A checkout installs from wherever its user installs from."""
    found = [str(path.relative_to(ROOT)) for path in kept_files() if INDEX.search(text_of(path))]
    assert found == []


def test_no_lock_file_is_kept() -> None:
    """A lock names the index it was made from, so every machine makes its own."""
    assert [path.name for path in kept_files() if path.suffix == ".lock"] == []


def kept_files() -> list[Path]:
    """List what git tracks or would track, but for this file, which has to spell the pattern."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


def text_of(path: Path) -> str:
    """Read a file as text; bytes that are none cannot hold an address worth finding."""
    return path.read_text(encoding="utf-8", errors="ignore")
