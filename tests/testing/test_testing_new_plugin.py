"""``flowyml plugin new`` writes a package that works as it is, and ``check`` says so."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.testing.environments import ROOT, Environment, build_wheel

from flowyml.cli import main
from flowyml.cli.conformance import SUITES
from flowyml.cli.new_plugin import KINDS, NewPlugin
from flowyml.cli.plugins import NEW_ROLES
from flowyml.plugins import ArtifactStore, deprecations, discovery

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ask:
    """Run a command in an empty folder; return its exit code and all it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        code = main(arguments)
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


NEW = {
    "lab": "artifact_store",
    "notes": "experiment_tracker",
    "shelf": "model_registry",
    "oven": "model_deployer",
    "lanes": "orchestrator",
    "report": "serializer",
    "audit": "extension",
}

STACK = """\
plugins:
  artifact_store: { type: lab, folder: kept }
  experiment_tracker: { type: notes, folder: told }
  model_registry: { type: shelf, file: models.db }
  model_deployer: { type: oven, file: served.db }
  orchestrator: { type: lanes, at_once: 2 }
  extensions: [audit]
"""

FLOW = """\
from flowyml import Metrics, Pipeline, step
from flowyml_report.component import Report

@step
def score() -> Metrics:
    return Metrics({"f1": 0.5})

@step
def tell() -> Report:
    return Report("scores", (0.5,))

pipeline = Pipeline("p").add_step(score).add_step(tell)
"""


def test_each_role_has_a_template() -> None:
    """All that have a suite."""
    assert set(NEW.values()) == set(NEW_ROLES) == set(KINDS) == set(SUITES)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, flowyml_wheel: Path) -> Environment:
    """Write a package for each role, and install their wheels where nothing else is."""
    folder = tmp_path_factory.mktemp("packages")
    environment = Environment.make(folder / "environment")
    for name, role in NEW.items():
        built = NewPlugin.named(name, role).write(folder)
        build_wheel(built, folder / "wheels")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checkers = [*groups["dependency-groups"]["lint"], groups["dependency-groups"]["types"][0]]
    wheels = [flowyml_wheel, *(folder / "wheels").iterdir()]
    names = [f"flowyml-{name}" for name in NEW]
    environment.install("flowyml[testing]", *checkers, *names, wheels=wheels)
    return environment


@pytest.mark.installs
@pytest.mark.timeout(400)
def test_new_packages_pass_their_tests_as_written(packages: Environment) -> None:
    """The suite of each role, in one go; a warning would be an error."""
    folder = packages.folder.parent
    tests = [f"flowyml-{name}/tests" for name in NEW]
    ran = packages.run("pytest", "-q", "--import-mode=importlib", "-Werror", *tests, folder=folder)
    assert " passed" in ran.stdout


@pytest.mark.installs
@pytest.mark.once
@pytest.mark.timeout(400)
def test_new_packages_are_clean(packages: Environment) -> None:
    """By the linter, its format, and the strict type checker."""
    folder = packages.folder.parent
    sources = [f"flowyml-{name}" for name in NEW]
    checked = packages.run("ruff", "check", *sources, folder=folder)
    formatted = packages.run("ruff", "format", "--check", *sources, folder=folder)
    typed = folder / "typed"
    typed.mkdir()
    for name in NEW:  # the type checker knows a module name once
        for file in (folder / f"flowyml-{name}").glob("*/test_component.py"):
            (typed / f"test_{name}.py").write_text(file.read_text(encoding="utf-8"))
    packaged = (f"{each}/src" for each in sources)
    read = packages.run("mypy", "--strict", "typed", *packaged, folder=folder)
    assert "All checks passed" in checked.stdout
    assert "would be reformatted" not in formatted.stdout
    assert "Success: no issues found" in read.stdout


@pytest.mark.installs
@pytest.mark.timeout(400)
def test_new_packages_are_found_sound_and_work_together(
    packages: Environment, tmp_path: Path
) -> None:
    """By ``plugin check``, which finds the tests, and in a stack of nothing else."""
    source = packages.folder.parent / "flowyml-report"
    checked = packages.run("flowyml", "plugin", "check", source.name, folder=source)
    assert "SerializerContract" in checked.stdout

    (tmp_path / "flowyml.yaml").write_text(STACK)
    (tmp_path / "flow.py").write_text(FLOW)
    packages.run("flowyml", "run", "flow.py", folder=tmp_path)
    kept = [json.loads(file.read_text()) for file in (tmp_path / "kept").rglob("artifact.json")]
    assert {manifest["serializer"] for manifest in kept} >= {"report"}
    (log,) = (tmp_path / "told").iterdir()
    assert '"f1": 0.5' in log.read_text()
    assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == len(kept) + 1


@pytest.mark.parametrize(
    "name",
    ["Lab", " ", "../lab", "lab store", "1lab", "lab-", "-lab", "flowyml-aws", "true"],
)
def test_what_cannot_be_a_name_is_refused(ask: Ask, tmp_path: Path, name: str) -> None:
    """And nothing is written."""
    code, said = ask("plugin", "new", "--", name)
    assert code == 2
    assert "cannot name a plugin" in said
    assert list(tmp_path.iterdir()) == []


def test_no_package_takes_the_place_of_ours(ask: Ask, tmp_path: Path) -> None:
    """Not for another role either: one that is installed would overwrite the modules of ours."""
    code, said = ask("plugin", "new", "local", "--role", "experiment_tracker")
    assert code == 2
    assert "it would make flowyml-local, which is ours" in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays(ask: Ask, tmp_path: Path) -> None:
    """The error names it."""
    (tmp_path / "flowyml-lab").mkdir()
    code, said = ask("plugin", "new", "flowyml-lab")
    assert code == 2
    assert "flowyml-lab is there already" in said
    assert list((tmp_path / "flowyml-lab").iterdir()) == []


def test_a_type_that_is_taken_is_refused(ask: Ask) -> None:
    """Two packages with one type could not be used together."""
    code, said = ask("plugin", "new", "local")
    assert code == 2
    assert "'local' is installed" in said


Install = Callable[[str, Mapping[str, str], str], None]

SOUND = '''\
from pathlib import Path
from typing import ClassVar
from attrs import define, field
from flowyml.plugins import ArtifactStore, ExperimentTracker, hookimpl

@define(slots=False)
class Thing(ArtifactStore):
    """Keeps.

    Attributes:
        folder: Where.
    """

    flowyml_api: ClassVar[str] = ">=1,<2"
    folder: Path = Path("x")
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a store of a third party from its source."""

    def installed(module: str, entry: str = "checked_plugin:Thing", requires: str = "") -> None:
        info = tmp_path / "site" / "flowyml_checked-1.0.dist-info"
        info.mkdir(parents=True)
        about = "Metadata-Version: 2.1\nName: flowyml-checked\nVersion: 1.0\n"
        (info / "METADATA").write_text(about + requires)
        (info / "entry_points.txt").write_text(f"[flowyml.artifact_store]\nchecked = {entry}\n")
        (tmp_path / "site" / "checked_plugin.py").write_text(module)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
        monkeypatch.delitem(__import__("sys").modules, "checked_plugin", raising=False)
        discovery.installed.cache_clear()

    return installed  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _scan_again() -> object:
    yield
    discovery.installed.cache_clear()


def findings(said: str) -> dict[str, tuple[str, str]]:
    """Return how each check of the plugin ended, and what it says."""
    own = [item for item in json.loads(said) if "checked" in item["plugin"]]
    return {item["check"]: (item["status"], item["message"]) for item in own}


def test_a_sound_plugin_passes(ask: Ask, install: Callable[..., None]) -> None:
    """Each thing that was looked at is named, also what its author alone can run."""
    install(SOUND)
    code, said = ask("plugin", "check", "flowyml_checked", "-o", "json")
    assert code == 0
    found = findings(said)
    assert list(found) == ["discovery", "import", "hooks", "fields", "conformance"]
    status, message = found["conformance"]
    assert status == "ok"
    assert "ComponentContract: 7 passed, 3 skipped (" in message
    assert "no tests of flowyml_checked were found" in message
    assert "`--tests FOLDER`" in message


def test_a_plugin_that_needs_a_configuration_is_not_tried(
    ask: Ask, install: Callable[..., None]
) -> None:
    """That is said, with how to have its tests run; it is no failure of the plugin's."""
    install(SOUND.replace('folder: Path = Path("x")', "folder: Path"))
    code, said = ask("plugin", "check", "flowyml-checked", "-o", "json")
    assert code == 0
    status, message = findings(said)["conformance"]
    assert status == "skipped"
    assert "not run: it needs a configuration (folder), and no tests of" in message


def test_a_component_without_its_own_tests_can_fail(ask: Ask, install: Callable[..., None]) -> None:
    """By what every component has to do."""
    mistake = "    @hookimpl\n    def is_transient(self, error): return 1 / 0\n"
    install(SOUND + mistake)
    code, said = ask("plugin", "check", "-o", "json")
    assert code == 1
    status, message = findings(said)["conformance"]
    assert status == "failed"
    assert "1 failed (test_it_judges_any_error)" in message


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("from attrs", "import no_such_module\nfrom attrs", "no_such_module"),
        ("class Thing", "class Think", "Thing"),
        ("(ArtifactStore)", "(ExperimentTracker)", "role 'experiment_tracker'"),
        (">=1,<2", ">=7", ">=7"),
        ('    flowyml_api: ClassVar[str] = ">=1,<2"\n', "", "could break it unnoticed"),
        ("        folder: Where.\n", "        other: Where.\n", "folder: say what it means"),
        ("    folder: Path", "    token: str = ''\n    folder: Path", "repr=False"),
        (
            '    folder: Path = Path("x")\n',
            '    folder: Path = Path("x")\n    @hookimpl\n    def store_artefact(self): ...\n',
            "store_artefact",
        ),
        (
            '    folder: Path = Path("x")\n',
            '    folder: Path = Path("x")\n    @hookimpl\n    def load_artifact(self, url): ...\n',
            "url",
        ),
        ("from attrs", "def broken(:\nfrom attrs", "invalid syntax"),
    ],
)
def test_a_mistake_is_named(
    ask: Ask, install: Callable[..., None], old: str, new: str, says: str
) -> None:
    """And the command ends with 1."""
    assert old in SOUND
    install(SOUND.replace(old, new))
    code, said = ask("plugin", "check", "flowyml-checked", "-o", "json")
    assert code == 1
    assert says in json.loads(said)[-1]["message"]


def test_a_distribution_that_is_not_installed_is_named(ask: Ask) -> None:
    """With those that are."""
    code, said = ask("plugin", "check", "flowyml-nobody")
    assert code == 2
    assert "flowyml-nobody" in said


SUITE = """\
from flowyml.testing import FolderBackend, StoreContract
from checked_plugin import Thing
import pytest

class TestThing(StoreContract):
    skips = {"test_it_is_ready": "there is nothing to be ready"}

    @pytest.fixture
    def new_store(self, tmp_path):
        return lambda: Thing(folder=tmp_path / "store")

    @pytest.fixture
    def backend(self, tmp_path):
        return FolderBackend(tmp_path / "store")
"""

SHORTER = """\
KEPT = {"test_it_is_ready", "test_it_is_a_component"}

def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if item.name in KEPT]
"""

WORKING = (
    SOUND
    + """\
    def folders(self):
        from flowyml.storage.local_folders import LocalFolders
        return LocalFolders.at(self.folder)
"""
)


@pytest.mark.parametrize("given", [True, False])
def test_its_tests_are_run(
    ask: Ask, tmp_path: Path, install: Callable[..., None], given: bool
) -> None:
    """From the folder that is given, or where the package was installed from."""
    install(WORKING)
    source = tmp_path / "source"
    (source / "tests").mkdir(parents=True)
    (source / "tests" / "test_one.py").write_text(SUITE)
    (source / "tests" / "conftest.py").write_text(SHORTER)
    origin = {"url": source.as_uri(), "dir_info": {"editable": True}}
    if not given:
        (tmp_path / "site" / "flowyml_checked-1.0.dist-info" / "direct_url.json").write_text(
            json.dumps(origin)
        )
    options = ("--tests", str(source / "tests")) if given else ()
    code, said = ask("plugin", "check", "flowyml-checked", *options, "-o", "json")
    assert code == 0, said
    found = findings(said)
    assert found["tests"][0] == "ok"
    status, message = found["conformance"]
    assert status == "ok"
    skipped = "1 skipped (test_it_is_ready: there is nothing to be ready)"
    assert message == f"StoreContract: 1 passed, {skipped}"


def test_tests_without_the_suite_are_not_enough(
    ask: Ask, tmp_path: Path, install: Callable[..., None]
) -> None:
    """Nor ones that fail."""
    install(SOUND)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text("def test_one():\n    assert False\n")
    code, said = ask("plugin", "check", "flowyml-checked", "--tests", "tests", "-o", "json")
    assert code == 1
    found = findings(said)
    assert found["tests"][0] == "failed"
    assert "1 failed" in found["tests"][1]
    assert "is of the suite StoreContract; subclass" in found["conformance"][1]


def test_tests_of_nobody_are_refused(ask: Ask, tmp_path: Path) -> None:
    """They are of one distribution."""
    code, said = ask("plugin", "check", "--tests", str(tmp_path))
    assert code == 2
    assert "name the distribution" in said


def test_what_a_plugin_uses_that_goes_is_told(
    ask: Ask, install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failure yet."""
    going = {"root_uri": deprecations.going("2.0", "override folders")}
    monkeypatch.setattr(ArtifactStore, "deprecated", going)
    install(SOUND + "    def root_uri(self): return 'file:///x'\n")
    code, said = ask("plugin", "check", "flowyml-checked", "-o", "json")
    assert code == 0, said
    message = findings(said)["hooks"][1]
    assert "flowyml-checked 1.0 (checked_plugin:Thing) has 'root_uri' of ArtifactStore" in message
    assert "goes with version 2.0 of the contract; override folders" in message
