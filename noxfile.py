"""The project's commands.

``nox`` alone is what "the tests" means: tests, lint, types and contracts on the Python it runs on.
``nox --list`` shows the rest; ``nox -s tests -P 3.13`` runs the tests on another Python.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"

PROJECT = nox.project.load_toml("pyproject.toml")
PLUGINS = sorted(path.parent.name for path in Path().glob("flowyml-*/pyproject.toml"))
INSTALLS = {
    "plain": (".",),
    "editable": ("-e", "."),
    "wheel": ("dist/flowyml-*.whl",),
    "sdist": ("dist/flowyml-*.tar.gz",),
}
ROOM = 8 * 2**30
"""Bytes of memory that have to be free where tests keep their files there: they take 2 GiB."""

PIPELINE = """\
from flowyml import Pipeline, step

@step
def answer() -> dict[str, int]:
    return {"answer": 42}

pipeline = Pipeline("smoke")
pipeline.add_step(answer)
"""


def group(*names: str) -> tuple[str, ...]:
    """Return the requirements of dependency groups, for every installer alike."""
    return nox.project.dependency_groups(PROJECT, *names)


def built(pattern: str) -> str:
    """Return the one file that ``nox -s build`` left under this pattern."""
    (path,) = Path().glob(pattern)
    return str(path)


def with_extras(package: str) -> str:
    """Name a package with all of its extras: the tests of a backend need its client."""
    extras = nox.project.load_toml(f"{package}/pyproject.toml")["project"].get(
        "optional-dependencies", {}
    )
    return f"{package}[{','.join(extras)}]" if extras else package


def test_requirements(package: str) -> tuple[str, ...]:
    """Return what the tests of one package need besides the package, its servers included."""
    own = nox.project.load_toml(f"{package}/pyproject.toml").get("dependency-groups", {})
    servers = () if package == "." or "test" not in own else own["test"]
    beside = (f"./{one}" if one.partition("[")[0] in PLUGINS else one for one in servers)
    return (*group("test"), *beside)


def install_for_tests(session: nox.Session, *requirements: str) -> None:
    """Install packages, and compile them only where Python may write no bytecode of its own.

    Where it may, it compiles what is imported, a third of all that lies there. Where it may not, as
    in many containers, each of the hundreds of processes that the tests start would compile anew.
    """
    if not sys.dont_write_bytecode:
        session.install("--no-compile", *requirements)
        return
    session.install(*requirements, env={"UV_COMPILE_BYTECODE": "1"})  # pip does so unasked
    sources = ("core", "plugins", *(f"{plugin}/src" for plugin in PLUGINS))
    session.run("python", "-m", "compileall", "-q", *sources, silent=True)


@contextmanager
def files_in_memory() -> Iterator[dict[str, str]]:
    """Give the variable that lets tests keep their files in memory, where there is plenty.

    A fifth of their time is waiting for the disk, which has to hold each ledger and each artifact.
    """
    memory = Path("/dev/shm")  # noqa: S108  # what is made in it is a folder of its own
    if memory.is_dir() and shutil.disk_usage(memory).free >= ROOM:
        with tempfile.TemporaryDirectory(dir=memory, ignore_cleanup_errors=True) as folder:
            yield {"TMPDIR": folder}
    else:
        yield {}


def install_workspace(session: nox.Session) -> None:
    """Install all packages editable; the plugins without their SDKs, which no check needs."""
    session.install("-e", ".[testing,examples]")
    session.install("--no-deps", *(word for plugin in PLUGINS for word in ("-e", plugin)))


@nox.session
@nox.parametrize("package", [nox.param(".", id="core"), *(nox.param(p, id=p) for p in PLUGINS)])
def tests(session: nox.Session, package: str) -> None:
    """Run one package's tests where only it and the core are installed."""
    plugin = () if package == "." else ("-e", with_extras(package))
    install_for_tests(session, "-e", ".[testing,examples]", *plugin, *test_requirements(package))
    folders = [f"{package}/tests"] if plugin else []
    # Whole files go to one worker: their servers start once. conftest.py says which begin.
    spread = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
    words = (*spread, *folders, *session.posargs)
    with files_in_memory() as variables:
        session.run("pytest", "-c", "pyproject.toml", *words, env=variables)


@nox.session(default=False, venv_backend="venv")
def formats(session: nox.Session) -> None:
    """Run the tests of every serializer where every library is installed that has one."""
    install_for_tests(session, "-e", ".[testing,examples]", *group("test", "formats"))
    session.run("pytest", "tests/serialization", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style and the format of every file."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of every package, its tests and the examples."""
    install_workspace(session)
    session.install("nox", *group("types", "test"))
    session.run("mypy", *session.posargs)
    for plugin in PLUGINS:  # each has a conftest.py, and one check knows a module name once
        session.run("mypy", plugin, *session.posargs)


@nox.session
def contracts(session: nox.Session) -> None:
    """Check which room may import from which."""
    install_workspace(session)
    session.install(*group("contracts"))
    # The cache misses an import that was written before the module it names.
    session.run("lint-imports", "--no-cache", "--no-logo", *session.posargs)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Say which lines the core's tests leave out."""
    session.install("-e", ".[testing,examples]", *group("test"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a link to nowhere fails."""
    session.install(*group("docs"))
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # the theme advertises its successor
    session.run("mkdocs", "build", "--strict", *session.posargs, env=quiet)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure the budgets and write their page; ``-- --check`` fails where one is missed."""
    plugins = (word for plugin in PLUGINS for word in ("-e", with_extras(plugin)))
    session.install("-e", ".[testing,examples]", *plugins)
    session.install(
        *group("test"), *(word for plugin in PLUGINS for word in test_requirements(plugin))
    )
    session.run("python", "-m", "benchmarks", "--write", "docs/performance.md", *session.posargs)


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build every package into dist/, then try each way to install the core."""
    session.install("build[uv]")
    shutil.rmtree("dist", ignore_errors=True)
    for package in (".", *PLUGINS):
        session.run("python", "-m", "build", "--installer", "uv", "--outdir", "dist", package)
    for way in INSTALLS:
        session.notify(f"install({way})")


@nox.session(default=False, venv_backend="venv")
@nox.parametrize("way", [nox.param(way, id=way) for way in INSTALLS])
def install(session: nox.Session, way: str) -> None:
    """Install the core as a user would, with the pip of an empty environment, and run it."""
    session.install(*(built(word) if "*" in word else word for word in INSTALLS[way]))
    with tempfile.TemporaryDirectory() as folder, session.chdir(folder):
        Path("pipeline.py").write_text(PIPELINE)
        session.run("flowyml", "--version")
        session.run("flowyml", "run", "pipeline.py")


@nox.session(default=False, venv_backend="venv")
def install_aws(session: nox.Session) -> None:
    """Show how long the pip of an empty environment needs for the AWS extra: 40 seconds at most."""
    started = time.monotonic()
    session.install(".", "./flowyml-aws")
    session.log(f"pip needed {time.monotonic() - started:.0f} s for the core and flowyml-aws")
    session.run("flowyml", "plugin", "show", "s3")
