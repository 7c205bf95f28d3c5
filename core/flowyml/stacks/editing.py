"""Changing the file: one value in it, and not one other character."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Final

from flowyml.errors import ConfigurationError, Location, Problem
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.document import parse_mapping
from flowyml.stacks.nodes import MappingNode, ScalarNode, plain_value
from flowyml.stacks.project import Project
from flowyml.stacks.text import read_text, shown_path

__all__ = ["set_active_stack"]

KEY: Final = "active_stack"

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_BOM: Final = b"\xef\xbb\xbf"


def set_active_stack(project: Project, name: str) -> None:
    """Make a stack the one that is active where nobody says otherwise.

    The file is replaced as a whole or not at all.

    Args:
        project: The project whose file is changed.
        name: Name of one of its stacks, or ``local``.

    Raises:
        ConfigurationError: There is no file, no such stack, or no way to write it.
    """
    if project.config is None:
        message = "there is no flowyml.yaml to set the stack in; `flowyml init` writes one"
        raise ConfigurationError(message)
    Configuration.read(project).node(name)
    shown = shown_path(project.config)
    text = read_text(project.config, shown)
    root = parse_mapping(text, shown)
    changed = _with_active(text, root, name)
    if not _only_that_changed(changed, root, name):
        entry = root.entry(KEY)
        place = entry.key.location if entry else Location(shown)
        message = f"{KEY} cannot be changed here without changing something else"
        raise ConfigurationError(Problem(message, place, f"write `{KEY}: {name}` by hand"))
    _replace(project.config, changed, shown)


def _with_active(text: str, root: MappingNode, name: str) -> str:
    written = name if _is_plain(name) else _quoted(name)
    entry = root.entry(KEY)
    if entry is not None:
        start, end = entry.value.span
        if start == end:  # nothing is written there yet
            start = end = text.index(":", entry.key.span[1]) + 1
            written = f" {written}"
        elif text[start] == '"':  # the file may be JSON
            written = _quoted(name)
        return f"{text[:start]}{written}{text[end:]}"
    if root.flow:
        is_json = any(text[entry.key.span[0]] == '"' for entry in root)
        pair = f'"{KEY}": {_quoted(name)}' if is_json else f"{KEY}: {written}"
        brace = root.span[1] - 1
        inside = text[:brace].rstrip()
        comma = "" if inside.endswith((",", "{")) else ","
        return f"{inside}{comma} {pair}{text[len(inside) :]}"
    end = root.span[1]
    newline = "\r\n" if "\r\n" in text else "\n"
    before = "" if text[:end].endswith("\n") else newline
    return f"{text[:end]}{before}{KEY}: {written}{newline}{text[end:]}"


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _is_plain(name: str) -> bool:
    return bool(_PLAIN_NAME.fullmatch(name)) and isinstance(plain_value(name), str)


def _only_that_changed(text: str, root: MappingNode, name: str) -> bool:
    """Read what is about to be written: an anchor may hold the old value, an alias use it."""
    try:
        changed = parse_mapping(text, "")
    except ConfigurationError:
        return False
    value = changed.get(KEY)
    others = [entry for entry in changed if entry.key.text != KEY]
    same = others == [entry for entry in root if entry.key.text != KEY]
    return same and isinstance(value, ScalarNode) and value.text == name


def _replace(path: Path, text: str, shown: str) -> None:
    target = path.resolve()  # a symbolic link stays one
    staged: str | None = None
    try:
        bom = _BOM if target.read_bytes().startswith(_BOM) else b""
        handle, staged = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(bom + text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        Path(staged).chmod(target.stat().st_mode & 0o7777)
        Path(staged).replace(target)
        staged = None
    except OSError as cause:
        message = f"the file cannot be written: {cause.strerror}; nothing was changed"
        raise ConfigurationError(Problem(message, Location(shown))) from cause
    finally:
        if staged is not None:
            Path(staged).unlink(missing_ok=True)
