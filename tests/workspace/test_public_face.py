"""What users import, and what importing it costs."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flowyml
import flowyml.core
import flowyml.plugins
from flowyml import artifacts

ROOT = Path(__file__).parents[2]

# design: none of these is loaded by `import flowyml`, nor any SDK
HEAVY = {"cattrs", "click", "fsspec", "pluggy", "rich", "ruamel", "sqlite3", "tenacity"}

MOST_MODULES = 130

# `-S` leaves out what every other interpreter has loaded before it begins.
BARE = "import __future__, importlib"


def loaded_by(code: str) -> set[str]:
    """Name the modules that a fresh interpreter has loaded after running some code."""
    report = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import site; site.main()\n{report}"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )
    return set(done.stdout.split())


def test_importing_flowyml_stays_light() -> None:
    """At most 130 modules, and none of the libraries that only some commands need."""
    loaded = loaded_by("import flowyml")
    assert len(loaded) <= MOST_MODULES
    assert {name.partition(".")[0] for name in loaded}.isdisjoint(HEAVY)


def test_importing_flowyml_loads_nothing_but_itself() -> None:
    """Its names are imported when they are first asked for, so that a face costs no time."""
    assert brought_by("import flowyml") == {"flowyml"}


def test_asking_for_the_version_loads_nothing_but_flowyml() -> None:
    """Scripts ask all the time: neither click nor `typing` is imported for it."""
    assert brought_by("from flowyml.cli import main; main(['--version'])") == {"flowyml"}


def brought_by(code: str) -> set[str]:
    """Name the packages that some code loads into an interpreter that has importlib."""
    brought = loaded_by(f"{BARE}; {code}") - loaded_by(BARE)
    return {name.partition(".")[0] for name in brought - {flowyml.__version__}}


def test_what_a_pipeline_file_imports_stays_light() -> None:
    """A file that only defines a pipeline opens no database and loads no SDK."""
    loaded = loaded_by(
        "from flowyml import Pipeline, context, step\n"
        "from flowyml.core import Dataset, Metrics, Model, Parameters\n"
        "@step\ndef one() -> dict: return {}\n"
        "Pipeline('light', context=context(lr=0.1)).add_step(one)"
    )
    heavy = HEAVY - {"pluggy"}
    assert {name.partition(".")[0] for name in loaded}.isdisjoint(heavy)


def test_planning_loads_nothing_that_runs_steps() -> None:
    """`flowyml plan` answers without the ledger, the workplace or a database."""
    loaded = loaded_by("import flowyml.pipelines.planning")
    assert loaded.isdisjoint({"flowyml.pipelines.workplace", "flowyml.routing.ledger", "sqlite3"})


def test_what_a_plugin_author_imports_stays_light() -> None:
    """The markers cost pluggy and nothing else."""
    loaded = loaded_by("from flowyml.plugins import hookimpl")
    assert {name.partition(".")[0] for name in loaded}.isdisjoint(HEAVY - {"pluggy"})


def test_the_promised_names_are_one_and_the_same() -> None:
    """`flowyml.Model` is the class that `flowyml.core` and the stored artifacts know."""
    for name in flowyml.core.__all__:
        assert getattr(flowyml, name) is getattr(flowyml.core, name) is getattr(artifacts, name)
    assert flowyml.use_stack is flowyml.plugins.use_stack


@pytest.mark.parametrize("face", ["flowyml", "flowyml.core", "flowyml.plugins"])
def test_every_public_name_exists(face: str) -> None:
    """`__all__` is sorted, complete and true."""
    module = importlib.import_module(face)
    assert list(module.__all__) == sorted(module.__all__)
    assert all(getattr(module, name, None) is not None for name in module.__all__)


def test_an_unknown_name_is_an_ordinary_error() -> None:
    """A lazy face answers like any other module."""
    with pytest.raises(AttributeError, match="module 'flowyml' has no attribute 'Modle'"):
        _ = flowyml.Modle


def modules_over(most: int) -> list[str]:
    """Name the modules of the packages that are longer than this."""
    folders = (ROOT / "core", ROOT / "plugins", *ROOT.glob("flowyml-*/src"))
    paths = (path for folder in folders for path in folder.rglob("*.py"))
    return [str(path.relative_to(ROOT)) for path in paths if len(read_lines(path)) > most]


def read_lines(path: Path) -> list[str]:
    """Return the lines of a source file."""
    return path.read_text(encoding="utf-8").splitlines()


def test_every_module_is_one_idea() -> None:
    """A module that outgrows 400 lines is split by noun."""
    assert modules_over(400) == []


def test_every_module_says_what_it_is() -> None:
    """The first thing in a module is a sentence about it."""
    folders = (ROOT / "core", ROOT / "plugins", *ROOT.glob("flowyml-*/src"))
    silent = [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in folder.rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []
