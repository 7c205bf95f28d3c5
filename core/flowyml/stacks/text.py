"""The file's bytes as text, its name as errors show it, and what may be shown on a screen."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from flowyml.errors import ConfigurationError, Location, Problem

__all__ = ["check_is_text", "printable", "read_text", "shown_path"]

LONGEST: Final = 200_000


def check_is_text(name: str) -> None:
    """Refuse a name whose bytes are no letters here: it could be neither recorded nor found again.

    Raises:
        ConfigurationError: It is one.
    """
    try:
        name.encode()
    except UnicodeEncodeError as cause:
        encoding = sys.getfilesystemencoding()
        hint = "rename it: not all of its bytes are UTF-8"
        if encoding != "utf-8":
            hint = f"set PYTHONUTF8=1, or LC_ALL=C.UTF-8: the locale knows {encoding} alone"
        problem = Problem(f"{name!r} has bytes that are no letters here", hint=hint)
        raise ConfigurationError(problem) from cause


def printable(text: str) -> str:
    """Write control characters as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def shown_path(path: Path) -> str:
    """Return a path as short as it is clear: relative, where it is below the working directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative


def read_text(path: Path, shown: str) -> str:
    """Return the text of a file, its line ends as they are.

    Raises:
        ConfigurationError: It cannot be read, is too long, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except IsADirectoryError as cause:
        message = "this is a folder, not a file"
        raise ConfigurationError(Problem(message, Location(shown))) from cause
    except OSError as cause:
        message = f"the file cannot be read: {cause.strerror}"
        raise ConfigurationError(Problem(message, Location(shown))) from cause
    if len(content) > LONGEST:
        message = f"the file has {len(content)} bytes; a configuration has at most {LONGEST}"
        raise ConfigurationError(Problem(message, Location(shown)))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = content.count(b"\n", 0, cause.start) + 1
        message = f"the file is not UTF-8: byte {content[cause.start]:#04x}"
        raise ConfigurationError(Problem(message, Location(shown, line))) from cause
