"""From what a user names to the pipeline that is meant: a file, a module, a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from flowyml.errors import PipelineError
from flowyml.pipelines.loading import Loaded, load_file, load_module, running_in_place
from flowyml.pipelines.pipeline import Pipeline
from flowyml.spelling import hint
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project

if TYPE_CHECKING:
    from flowyml.pipelines.result import RunResult

__all__ = ["find_pipeline", "find_reference", "run_target"]

MOST_FILES: Final = 2000
"""How many files of a project are looked into for a name."""

LARGEST: Final = 1_000_000
"""Bytes of the largest file that is looked into."""

_NAMED: Final = re.compile(r"Pipeline\(\s*(?:name\s*=\s*)?[\"']([^\"'\n]+)[\"']")

_SKIPPED: Final = frozenset({"node_modules", "site-packages", "venv", "__pycache__"})


def find_pipeline(target: str, project: Project) -> Pipeline:
    """Find the pipeline that a target means; nothing of it runs.

    Args:
        target: ``path/to/file.py``, ``file.py:attribute``, ``module:attribute``, ``module``, a name
            of the configuration's ``pipelines:`` table, or the name of a pipeline that is defined
            in a file of the project's folder or of a folder in it.
        project: The project; relative paths start at its folder.

    Raises:
        PipelineError: There is none, there are several, or their file cannot be loaded.
    """
    return _named(target, project) if _is_name(target, project) else _at(target, project)


def find_reference(reference: str, project: Project) -> Pipeline:
    """Find the pipeline that a run wrote down.

    Args:
        reference: What `Pipeline.reference` returned; a path is relative to the project's folder.
        project: The project.

    Raises:
        PipelineError: It is not there any more, or its file cannot be loaded.
    """
    place, attribute = _split(reference)
    file = project.folder / place
    if not place.endswith(".py"):
        return find_pipeline(reference, project)
    return find_pipeline(f"{file}:{attribute}" if attribute else str(file), project)


def run_target(
    target: str, project: Project, parameters: Mapping[str, Any] | None = None
) -> tuple[RunResult, ...]:
    """Find a pipeline and run it on the active stack, once.

    Where the file calls ``run()`` at module level, that is the run, or are the runs.

    Args:
        target: As for `find_pipeline`.
        project: The project.
        parameters: Context values, over those of the pipeline.

    Raises:
        PipelineError: It cannot be found or wired.
    """
    if not _has_attribute(target) and not _is_name(target, project):
        with running_in_place(parameters) as results:
            pipeline = _at(target, project, ran=results)
        if pipeline is None or results:
            return tuple(results)
    else:
        pipeline = find_pipeline(target, project)
    return (pipeline.run(parameters=parameters),)


def _has_attribute(target: str) -> bool:
    return bool(_split(target)[1])


def _split(target: str) -> tuple[str, str]:
    """Part ``place:attribute``; what follows the colon of a Windows drive is no name."""
    place, colon, attribute = target.rpartition(":")
    if colon and attribute.isidentifier():
        return place, attribute
    return target, ""


def _is_name(target: str, project: Project) -> bool:
    """Whether a target is neither a file nor something with an attribute."""
    place, attribute = _split(target)
    return not (attribute or place.endswith(".py") or _path(place, project).is_file())


def _path(place: str, project: Project) -> Path:
    """Return a path from the working directory, or else from the project's folder."""
    path = Path(place).expanduser()
    return path if path.is_file() else project.folder / path


def _at(target: str, project: Project, ran: Sequence[RunResult] = ()) -> Any:
    """Return the pipeline in a file or a module; None where there is none but something ran."""
    place, attribute = _split(target)
    path = _path(place, project)
    is_file = place.endswith(".py") or path.is_file()
    loaded = load_file(path) if is_file else load_module(place, project.folder)
    base = _shown(path, project) if is_file else place
    if attribute:
        return _attribute(loaded, attribute, base)
    if loaded.stopped_at is not None:
        return _remember(loaded.stopped_at, loaded.module, base)
    return None if ran else _only(loaded.module, base)


def _shown(path: Path, project: Project) -> str:
    path, folder = path.resolve(), project.folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _attribute(loaded: Loaded, attribute: str, base: str) -> Pipeline:
    found = getattr(loaded.module, attribute, None)
    if isinstance(found, Pipeline):
        return found.found_at(f"{base}:{attribute}")
    known = _pipelines(loaded.module)
    if found is not None:
        message = f"{attribute!r} in {base} is of the type {type(found).__name__}, not a pipeline"
    elif loaded.stopped_at is not None:
        message = (
            f"{base} defines no {attribute!r} before it calls run(); put that call below "
            "`if __name__ == '__main__':`"
        )
    else:
        message = f"there is no {attribute!r} in {base}{hint(attribute, known)}"
    message += f" (its pipelines: {', '.join(known) or 'none'})"
    raise PipelineError(message)


def _pipelines(module: ModuleType) -> dict[str, Pipeline]:
    """Return the pipelines of a module; those that it only imports count when it has no other."""
    found: dict[str, Pipeline] = {}
    for name, value in vars(module).items():
        if isinstance(value, Pipeline) and value not in found.values():
            found[name] = value
    own = {name: value for name, value in found.items() if value.is_of(module.__name__)}
    return own or found


def _only(module: ModuleType, base: str) -> Pipeline:
    found = _pipelines(module)
    if len(found) == 1:
        (attribute, pipeline) = next(iter(found.items()))
        return pipeline.found_at(f"{base}:{attribute}")
    if not found:
        message = f"there is no pipeline in {base}; assign one at its top level, "
        raise PipelineError(message + "pipeline = Pipeline('name')")
    listed = "".join(f"\n  {base}:{name}  ({each.name!r})" for name, each in found.items())
    message = f"there are {len(found)} pipelines in {base}; say which one you mean:{listed}"
    raise PipelineError(message)


def _remember(pipeline: Pipeline, module: ModuleType, base: str) -> Pipeline:
    names = (name for name, value in vars(module).items() if value is pipeline)
    attribute = next(names, None)
    return pipeline.found_at(f"{base}:{attribute}" if attribute else base)


def _named(name: str, project: Project) -> Pipeline:
    table = Configuration.read(project).pipelines
    if name in table:
        return _at_entry(name, table[name], project)
    texts = list(_texts(project.folder))
    found = list(_with_name(name, texts, project))
    if len(found) == 1:
        return found[0]
    if found:
        listed = "".join(f"\n  {pipeline.reference(project.folder)}" for pipeline in found)
        message = f"there are {len(found)} pipelines with the name {name!r}; choose one:{listed}"
        raise PipelineError(message)
    if _is_module(name, project):
        pipeline: Pipeline = _at(name, project)
        return pipeline
    raise PipelineError(_unknown(name, table, texts, project))


def _at_entry(name: str, reference: str, project: Project) -> Pipeline:
    if _is_name(reference, project) and not _is_module(reference, project):
        message = (
            f"pipelines: {name} is {reference!r}, which is neither a file nor module:attribute"
        )
        raise PipelineError(message)
    return find_reference(reference, project)


def _is_module(name: str, project: Project) -> bool:
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    top = project.folder / name.partition(".")[0]
    return top.with_suffix(".py").is_file() or top.is_dir() or "." in name


def _texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the Python files of a folder, and of the folders in it, that mention a pipeline."""
    for path in _files(folder):
        try:
            text = path.read_text(encoding="utf-8") if path.stat().st_size <= LARGEST else ""
        except (OSError, UnicodeDecodeError):
            continue
        if "Pipeline(" in text:
            yield path, text


def _files(folder: Path) -> Iterable[Path]:
    folders = [folder]
    folders += sorted(
        inner
        for inner in folder.iterdir()
        if inner.is_dir()
        and not inner.name.startswith(".")
        and inner.name not in _SKIPPED
        and not (inner / "pyvenv.cfg").exists()
    )
    files = [path for each in folders for path in sorted(each.glob("*.py"))]
    return files[:MOST_FILES]


def _with_name(
    name: str, texts: Iterable[tuple[Path, str]], project: Project
) -> Iterator[Pipeline]:
    """Load the files that mention the name as a text; yield their pipelines of that name."""
    for path, text in texts:
        if f'"{name}"' not in text and f"'{name}'" not in text:
            continue
        loaded = load_file(path)
        base = _shown(path, project)
        if loaded.stopped_at is not None and loaded.stopped_at.name == name:
            yield _remember(loaded.stopped_at, loaded.module, base)
            continue
        for attribute, pipeline in _pipelines(loaded.module).items():
            if pipeline.name == name:
                yield pipeline.found_at(f"{base}:{attribute}")


def _unknown(
    name: str, table: Mapping[str, str], texts: Iterable[tuple[Path, str]], project: Project
) -> str:
    known = [*table, *(found for _, text in texts for found in _NAMED.findall(text))]
    listed = ", ".join(dict.fromkeys(known)) or "none"
    return (
        f"nothing is called {name!r}: no file, no module, no entry of `pipelines:` and no pipeline "
        f"in {project.folder} or the folders in it{hint(name, known)} (pipelines there: {listed})"
    )
