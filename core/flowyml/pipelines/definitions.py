"""What a class or a compiled module is, as the file says that it was loaded from.

The bytecode of a class does not tell of all its fields. A file says it only as long as it is the
one that was loaded: what was saved while the process ran may be another.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from attrs import frozen

from flowyml.pipelines import BEGUN

__all__ = ["Definition", "UnknownSourceError", "definition_of", "file_digest"]


class UnknownSourceError(Exception):
    """The result of a step depends on something whose content is not known."""


@frozen
class Definition:
    """How a class is written, in all places where an ``if`` decides between several.

    Attributes:
        source: A digest of it, without comments and layout.
        looked_up: The names in it: of bases and decorators, annotations, defaults and values.
        attributes: The names that it takes as an attribute of anything.
    """

    source: str
    looked_up: Collection[str]
    attributes: Collection[str]


def definition_of(cls: type) -> Definition | None:
    """Return how a class is written; None where its file has no such class, as a call made it.

    Raises:
        UnknownSourceError: The file was saved after the process had begun.
    """
    try:
        file = inspect.getfile(cls)
    except (OSError, TypeError):  # the class is of no file
        return None
    return _definition(file, _saved(file), cls.__qualname__.replace(".<locals>", ""))


def file_digest(file: str) -> str:
    """Return the digest of a file that was loaded.

    Raises:
        UnknownSourceError: It was saved after the process had begun.
    """
    return _file_digest(file, _saved(file))


def _saved(file: str) -> int | None:
    """Return when a file was saved; None for a notebook's cell, which is not on the disk."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    if found.st_mtime > BEGUN:
        message = f"{file} was saved while this process ran, so it may not be what was loaded"
        raise UnknownSourceError(message)
    return found.st_mtime_ns


@lru_cache(maxsize=128)
def _file_digest(file: str, _saved: int | None) -> str:
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@lru_cache(maxsize=4096)
def _definition(file: str, saved: int | None, name: str) -> Definition | None:
    try:
        written = _classes(file, saved)[name]
        source = "".join(map(ast.dump, written))
    except (KeyError, SyntaxError, RecursionError):
        return None
    nodes = [node for each in written for node in ast.walk(each)]
    return Definition(
        hashlib.sha256(source.encode()).hexdigest(),
        dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name)),
        dict.fromkeys(node.attr for node in nodes if isinstance(node, ast.Attribute)),
    )


@lru_cache(maxsize=128)
def _classes(file: str, _saved: int | None) -> Mapping[str, Sequence[ast.ClassDef]]:
    """Return the classes of a file by qualified name; it is read once, however many are asked."""
    linecache.checkcache(file)
    found: dict[str, list[ast.ClassDef]] = {}
    for name, cls in _below(ast.parse("".join(linecache.getlines(file))), ""):
        found.setdefault(name, []).append(cls)
    return found


def _below(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = prefix + child.name
            if isinstance(child, ast.ClassDef):
                yield name, child
            yield from _below(child, f"{name}.")
        elif isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _below(child, prefix)
