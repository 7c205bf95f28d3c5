"""Which paths and file names a store accepts: those that can never leave their folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["MANIFEST_NAME", "STAGING", "check_names", "fault_of_path", "is_plain"]

MANIFEST_NAME: Final = "artifact.json"
"""The file whose presence makes a folder an artifact."""

STAGING: Final = ".staging"
"""Folder below the root where unfinished work is kept; no artifact lies in it."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_PLAIN = re.compile(r"[\w~-][\w.~-]*(/[\w~-][\w.~-]*)*", re.ASCII)
_LONGEST = 255
_LONGEST_PATH = 900


def fault_of_path(path: str) -> str | None:
    """Say what is wrong with a relative path with ``/``; None for one that is safe everywhere."""
    if _PLAIN.fullmatch(path) and len(path) <= _LONGEST:
        return None
    if not path:
        return "it is empty"
    if found := _FORBIDDEN.search(path):
        return f"it has the character {found[0]!r}"
    try:
        segments = path.encode().split(b"/")
    except UnicodeEncodeError:
        return "it is no valid text"
    if path.startswith("/"):
        return "it is absolute"
    return _fault_of_segments(segments)


def _fault_of_segments(segments: list[bytes]) -> str | None:
    for segment in segments:
        if not segment:
            return "it has an empty segment"
        if segment in {b".", b".."}:
            return f"its segment {segment.decode()!r} leads elsewhere"
        if len(segment) > _LONGEST:
            return f"it has a segment of more than {_LONGEST} bytes"
    if sum(map(len, segments)) + len(segments) > _LONGEST_PATH:
        return f"it is longer than {_LONGEST_PATH} bytes"
    return None


def is_plain(path: str) -> bool:
    """Tell whether a safe path is the same in a URI."""
    return _PLAIN.fullmatch(path) is not None


def check_names(names: Iterable[str]) -> None:
    """Accept the names of all data files of one artifact together.

    Raises:
        ValueError: One leads out of the artifact's folder, is there twice, is also the folder of
            another, or is the manifest's; the message names it.
    """
    seen: set[str] = set()
    folders: set[str] = set()
    for name in names:
        if fault := fault_of_path(name):
            message = f"the file name {name!r} is refused: {fault}"
            raise ValueError(message)
        if name == MANIFEST_NAME or name in seen:
            why = "it is listed twice" if name in seen else "it is the manifest's own"
            message = f"the file name {name!r} is refused: {why}"
            raise ValueError(message)
        seen.add(name)
        while "/" in name and (name := name.rpartition("/")[0]) not in folders:
            folders.add(name)
    for name in seen & folders | folders & {MANIFEST_NAME}:
        message = f"the file name {name!r} is refused: it is a folder as well"
        raise ValueError(message)
