"""A user's file becomes a module, and what its module-level ``pipeline.run()`` does meanwhile.

While ``flowyml run`` loads a file, such a run takes place there and then, once. Whoever loads the
file for another reason (a plan, a list, a worker) only wants to know the pipeline: the file is
stopped at that line.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from flowyml.errors import FlowyMLError, PipelineError
from flowyml.pipelines.failures import trimmed, users_part
from flowyml.serialization.classes import (
    importable_name,
    is_stand_in,
    packaged_name,
    packages_of,
    plain_name,
    stand_in_name,
)

if TYPE_CHECKING:
    from flowyml.pipelines.pipeline import Pipeline
    from flowyml.pipelines.result import RunResult

__all__ = ["Loaded", "Loading", "current_loading", "load_file", "load_module", "running_in_place"]

OTHERS: Final = frozenset({"flowyml", "test"})
"""Taken as well: Python has tests of its own, which its list leaves out."""

OWN_MARK: Final = "__flowyml_file__"
"""Attribute of the modules that are loaded here: the file that they come from."""


class StoppedError(BaseException):
    """Ends the loading of a file at its module-level ``run()``; no ``except Exception`` sees it."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Carry the pipeline that would have run."""
        super().__init__(f"pipeline {pipeline.name!r} is not run while its file is only looked at")
        self.pipeline = pipeline


@define
class Loading:
    """What a module-level ``run()`` means while a file is loaded.

    Attributes:
        in_place: Whether it runs; otherwise it stops the file there.
        parameters: Context values that the command line gave.
        results: The results of the runs, in their order.
    """

    in_place: bool
    parameters: Mapping[str, Any] = field(factory=dict)
    results: list[RunResult] = field(factory=list)


@frozen
class Loaded:
    """A file that was loaded.

    Attributes:
        module: The module it became.
        stopped_at: The pipeline whose module-level ``run()`` ended the loading, if one did.
    """

    module: ModuleType
    stopped_at: Pipeline | None = None


_LOADING: ContextVar[Loading | None] = ContextVar("flowyml_loading", default=None)


def current_loading() -> Loading | None:
    """Return what a ``run()`` means here; None outside of any loading."""
    return _LOADING.get()


@contextmanager
def loading(state: Loading | None) -> Iterator[None]:
    """Give a ``run()`` that is called in the block its meaning."""
    token = _LOADING.set(state)
    try:
        yield
    finally:
        _LOADING.reset(token)


@contextmanager
def running_in_place(parameters: Mapping[str, Any] | None = None) -> Iterator[list[RunResult]]:
    """Let module-level runs of the files that are loaded in the block take place.

    Args:
        parameters: Context values for them, over those of the pipelines.

    Yields:
        The list that their results are added to.
    """
    state = Loading(in_place=True, parameters=dict(parameters or {}))
    with loading(state):
        yield state.results


def load_file(path: Path) -> Loaded:
    """Load a Python file as the module that an import of it would give, and that stays importable.

    A file with relative imports is loaded below its package, any other one under its own name. Its
    folder stays on the module search path, so that what its steps import while they run, and what
    unpickles its classes in another process, finds them.

    Raises:
        PipelineError: There is no such file, or it raised while it was loaded.
    """
    path = path.resolve()
    if not path.is_file():
        message = f"there is no file {path}; give the path of a Python file with a pipeline in it"
        raise PipelineError(message)
    name = _module_name(path)
    _search(path, name)
    spec = util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        message = f"{path} is no Python file; its name should end in .py"
        raise PipelineError(message)
    module = util.module_from_spec(spec)
    setattr(module, OWN_MARK, str(path))
    before = sys.modules.get(name)
    try:
        stopped_at = _execute(str(path), lambda: _run(module, before))
    except BaseException:
        _restore(name, before)
        raise
    return Loaded(sys.modules.get(name, module), stopped_at)


def _run(module: ModuleType, before: ModuleType | None) -> None:
    """Execute a module below its package, unless the package imports it, and so has done that."""
    name = module.__name__
    package, _, own_name = name.rpartition(".")
    if package:
        import_module(package)
        if sys.modules.get(name) is not before:
            return
    sys.modules[name] = module
    if is_stand_in(module):
        from flowyml.serialization.pickles import take_along  # noqa: PLC0415  # few files need it

        take_along(module)
    module.__loader__.exec_module(module)  # type: ignore[union-attr]
    if package:
        setattr(sys.modules[package], own_name, module)


def load_module(name: str, folder: Path) -> Loaded:
    """Import a module by its name, also from the project's folder.

    Raises:
        PipelineError: It cannot be imported.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if name in sys.modules and name != "__main__":
        return Loaded(sys.modules[name])
    try:
        spec = util.find_spec(name.partition(".")[0])  # a longer name would import its packages
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise PipelineError(_no_module(name, folder))
    if (
        spec.origin
        and spec.has_location
        and "." not in name
        and not spec.submodule_search_locations
    ):
        return load_file(Path(spec.origin))
    modules: list[ModuleType] = []

    def imported() -> None:
        try:
            modules.append(import_module(name))
        except ModuleNotFoundError as cause:
            if not f"{name}.".startswith(f"{cause.name}."):  # it is one that the module imports
                raise
            raise PipelineError(_no_module(name, folder)) from cause

    stopped_at = _execute(name, imported)
    return Loaded(modules[0] if modules else ModuleType(name), stopped_at)


def _no_module(name: str, folder: Path) -> str:
    return f"there is no module {name!r}, neither in {folder} nor installed"


def _search(path: Path, name: str) -> None:
    """Let imports find the file under its name, and its neighbours with and without packages."""
    home = _home(path)
    own, other = (home, path.parent) if name == packaged_name(path) else (path.parent, home)
    if str(own) not in sys.path:
        sys.path.insert(0, str(own))
    if str(other) not in sys.path:  # at the end: types.py in a package hides no other one
        sys.path.append(str(other))


def _home(path: Path) -> Path:
    """Return the folder that a file's outermost package lies in; else the one that it lies in."""
    return path.parents[len(packages_of(path))]


def _module_name(path: Path) -> str:
    """Return the name to import a file by; another one where that means something else."""
    name, plain = importable_name(path), plain_name(path)
    top = name.partition(".")[0]
    if name != plain and not _is_taken(top, _home(path) / top / "__init__.py"):
        return name
    return stand_in_name(plain) if _is_taken(plain, path) else plain


def _is_taken(name: str, path: Path) -> bool:
    """Whether a name means something else than a file: of Python, of FlowyML, or imported."""
    known = sys.modules.get(name)
    foreign = known is not None and not (hasattr(known, OWN_MARK) or _is_file_of(known, path))
    return name in sys.stdlib_module_names or name in OTHERS or foreign


def _is_file_of(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and Path(str(file)).resolve() == path


def _restore(name: str, before: ModuleType | None) -> None:
    sys.modules.pop(name, None)
    if before is not None:
        sys.modules[name] = before


def _execute(place: str, run: Callable[[], None]) -> Pipeline | None:
    """Execute code of the user's; tell what it raised with the line where it happened."""
    outer = current_loading()
    try:
        with loading(outer or Loading(in_place=False)):
            run()
    except StoppedError as stopped:
        return stopped.pipeline
    except (KeyboardInterrupt, FlowyMLError):
        raise
    except SyntaxError as error:
        raise PipelineError(_syntax(error, place)) from error
    except BaseException as error:  # a script may even call sys.exit()
        error.__traceback__ = _in_the_file(error.__traceback__, place)
        text = "".join(traceback.format_exception(error)).rstrip()
        told = f"{trimmed(error)}{_advice(error, place)}"
        message = f"{place} cannot be loaded: it raised {told}\n{text}"
        raise PipelineError(message) from error
    return None


def _advice(error: BaseException, place: str) -> str:
    """Say what makes a relative import work; Python only says why it does not."""
    if not (isinstance(error, ImportError) and "no known parent package" in str(error)):
        return ""
    path = Path(place)
    packages, name = packages_of(path), importable_name(path)
    if not packages:
        return "; put an `__init__.py` into its folder, which makes that a package"
    if name == packaged_name(path) != _module_name(path):
        return f"; rename the folder of its package {packages[0]!r}: another module has that name"
    return f"; import what has relative imports by `from {'.'.join(packages)} import ...`"


def _in_the_file(found: Any, place: str) -> Any:
    """Return a traceback from the first frame in the file itself."""
    start = users_part(found)
    while start is not None and start.tb_frame.f_code.co_filename != place:
        start = start.tb_next
    return start or users_part(found)


def _syntax(error: SyntaxError, place: str) -> str:
    where = f"{error.filename or place}:{error.lineno or 0}:{error.offset or 0}"
    line = (error.text or "").rstrip("\n")
    mark = " " * max((error.offset or 1) - 1, 0) + "^"
    shown = f"\n    {line}\n    {mark}" if line else ""
    return f"{where}: {error.msg}{shown}"
