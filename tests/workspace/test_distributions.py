"""What is inside the wheel and the sdist of each package: all of it, and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


class Package(NamedTuple):
    """One distribution: where it is built, what is imported from it and what lies beside that."""

    folder: Path
    modules: tuple[str, ...]
    documents: frozenset[str]
    metadata: frozenset[str]


WHEEL = frozenset({"METADATA", "RECORD", "WHEEL"})
SDIST = frozenset({".gitignore", "PKG-INFO", "README.md", "pyproject.toml"})

CORE = Package(
    ROOT,
    ("core/flowyml", "plugins/flowyml_local"),
    SDIST | {"CHANGELOG.md", "LICENSE"},
    WHEEL | {"entry_points.txt", "licenses/LICENSE"},
)
PLUGINS = [
    Package(
        path.parent,
        (f"src/{path.parent.name.replace('-', '_')}",),
        SDIST,
        WHEEL | {"entry_points.txt"},
    )
    for path in sorted(ROOT.glob("flowyml-*/pyproject.toml"))
]

each_package = pytest.mark.parametrize(
    "package", [CORE, *PLUGINS], ids=["flowyml", *(plugin.folder.name for plugin in PLUGINS)]
)


def build(target: str, folder: Path, destination: Path) -> Path:
    """Build one distribution with the backend itself, which needs no network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(destination)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (built,) = destination.iterdir()
    return built


def unpacked(sdist: Path, destination: Path) -> Path:
    """Unpack an sdist and return the one folder in it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(destination, filter="data")
    (folder,) = destination.iterdir()
    return folder


def files(folder: Path, below: Path) -> set[str]:
    """Name the files of a folder, but for what Python caches there."""
    return {
        path.relative_to(below).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def sources(package: Package, *, keep_roof: bool) -> set[str]:
    """Name the files of the import packages, with or without the folder above each."""
    folders = [package.folder / module for module in package.modules]
    return {
        name
        for folder in folders
        for name in files(folder, package.folder if keep_roof else folder.parent)
    }


def wheel_names(wheel: Path) -> tuple[set[str], set[str]]:
    """Name what is in a wheel: its modules, and its metadata without the folder's name."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = {name for name in names if ".dist-info/" in name}
    return names - about, {name.partition("/")[2] for name in about}


@each_package
def test_a_wheel_holds_its_modules_and_nothing_else(package: Package, tmp_path: Path) -> None:
    """Every file of the import packages is there, and no test, example or neighbour."""
    modules, metadata = wheel_names(build("wheel", package.folder, tmp_path))
    assert modules == sources(package, keep_roof=False)
    assert metadata == package.metadata


@each_package
def test_an_sdist_holds_what_a_build_needs_and_nothing_else(
    package: Package, tmp_path: Path
) -> None:
    """The wheel built from it is the wheel built from the checkout."""
    sdist = unpacked(build("sdist", package.folder, tmp_path / "sdist"), tmp_path / "source")
    assert files(sdist, sdist) == sources(package, keep_roof=True) | package.documents
    from_sdist = build("wheel", sdist, tmp_path / "from-sdist")
    from_checkout = build("wheel", package.folder, tmp_path / "from-checkout")
    assert wheel_names(from_sdist) == wheel_names(from_checkout)
