"""Which stack is active.

``run(stack=...)`` > innermost `use_stack` > ``--stack`` > ``FLOWYML_STACK`` > ``active_stack`` of
the file > its only stack > ``local``.

What a block chooses is kept in context variables: threads and async tasks do not see each other's
choice. This module is what `from flowyml import use_stack` costs, so it imports the file's reader
only when a stack is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowyml.stacks.project import Project, find_project, working_directory

if TYPE_CHECKING:
    from flowyml.stacks.configuration import Configuration
    from flowyml.stacks.stack import Stack

__all__ = [
    "STACK_VARIABLE",
    "command_line",
    "configuration",
    "current_project",
    "current_stack",
    "from_here",
    "stack_name",
    "use_stack",
]

STACK_VARIABLE: Final = "FLOWYML_STACK"

_chosen: ContextVar[str | None] = ContextVar("flowyml_stack", default=None)
_command: ContextVar[tuple[str | None, Path | None]] = ContextVar(
    "flowyml_command", default=(None, None)
)
_start: ContextVar[Path | None] = ContextVar("flowyml_start", default=None)


@contextmanager
def use_stack(name: str) -> Iterator[None]:
    """Make a stack the active one inside the block; blocks nest.

    It governs what runs inside the block, also a pipeline that was made before it.

    Args:
        name: Name of a stack of ``flowyml.yaml``, or ``local``.

    Raises:
        ConfigurationError: There is no such stack.
    """
    configuration().node(name)
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def command_line(stack: str | None = None, config: Path | None = None) -> Iterator[None]:
    """Hold what ``--stack`` and ``--config`` say while a command runs."""
    token = _command.set((stack, config))
    try:
        yield
    finally:
        _command.reset(token)


@contextmanager
def from_here(folder: Path | None = None) -> Iterator[None]:
    """Let the project stay the one of a folder, also where code in the block goes elsewhere.

    Args:
        folder: The folder; the working directory where it is not given, or what a block around
            this one has chosen.
    """
    token = _start.set(folder or _start.get() or working_directory())
    try:
        yield
    finally:
        _start.reset(token)


def current_project() -> Project:
    """Return the project of the working directory, or of ``--config``."""
    return find_project(_command.get()[1], _start.get())


def configuration() -> Configuration:
    """Return the configuration of the current project, read again only when the file changed.

    Raises:
        ConfigurationError: The file cannot be read or has another shape.
    """
    project = current_project()
    return _configuration(project, _stamp(project.config))


def stack_name(name: str | None = None) -> str:
    """Return the name of the active stack.

    Args:
        name: What ``run(stack=...)`` says; it goes before everything else.

    Raises:
        ConfigurationError: ``active_stack`` names no stack.
    """
    chosen, _ = _choice(name)
    if chosen:
        return chosen
    found = configuration()
    names = found.stack_names
    return found.active_stack or (names[0] if len(names) == 1 else "local")


def current_stack(name: str | None = None) -> Stack:
    """Return the active stack; the same one as long as file and environment are the same.

    Args:
        name: What ``run(stack=...)`` says; it goes before everything else.

    Raises:
        ConfigurationError: There is no such stack, or all that is wrong with it.
        PluginError: A plugin that it names is broken.
    """
    found, chosen = configuration(), stack_name(name)
    node = found.node(chosen, _choice(name)[1])
    return _stack(found, chosen, tuple(found.variables(node).items()))


def _choice(name: str | None) -> tuple[str | None, str | None]:
    """Return the stack that somebody chose, and who; None where the file decides."""
    choices = (
        (name, None),
        (_chosen.get(), None),
        (_command.get()[0], "--stack"),
        (os.environ.get(STACK_VARIABLE), STACK_VARIABLE),
    )
    return next((choice for choice in choices if choice[0]), (None, None))


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        status = path.stat() if path else None
    except OSError:
        return None  # reading it will say why
    return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None


@lru_cache(maxsize=16)
def _configuration(project: Project, _stamp: object) -> Configuration:
    from flowyml.stacks.configuration import Configuration  # noqa: PLC0415

    return Configuration.read(project)


@lru_cache(maxsize=32)
def _stack(found: Configuration, name: str, _environment: object) -> Stack:
    from flowyml.plugins.discovery import installed, warn_of_misfits  # noqa: PLC0415

    built = found.build(name)
    warn_of_misfits(installed())
    return built
