"""Notes of what a writer is about to do: what a killed one left behind can be told from the rest.

Before a writer puts data files where they cannot be seen yet, or takes away those of an artifact
that is no more, it notes their names in the staging folder; afterwards it removes the note. A note
that stays behind is therefore the list of what may be removed: whatever it names and no committed
manifest does. Nothing else in a bucket is ever touched, be it FlowyML's or not.

The files of an artifact that was replaced are left over on purpose, for those who are reading them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from attrs import frozen

from flowyml.storage.buckets import Bucket
from flowyml.storage.committed import data_names, read_committed
from flowyml.storage.manifests import MOST_BYTES
from flowyml.storage.names import STAGING, fault_of_path

__all__ = ["note", "sweep"]

_SUFFIX = ".json"


@frozen
class _Intent:
    path: str
    names: tuple[str, ...]


def note(bucket: Bucket, path: str, names: Iterable[str]) -> str:
    """Note which objects may be left over, and return the name of the note.

    Whoever has left nothing over deletes the note; else `sweep` does what it says in time.

    Args:
        bucket: Where they lie.
        path: The artifact that they belong to.
        names: The objects.
    """
    name = f"{STAGING}/{secrets.token_hex(8)}{_SUFFIX}"
    bucket.swap(name, json.dumps({"path": path, "names": list(names)}).encode(), None)
    return name


def sweep(bucket: Bucket, before: datetime) -> int:
    """Remove what killed writers left behind; return how many objects there were.

    Args:
        bucket: Where.
        before: Notes that were written later belong to writers that may still live. What they
            name is kept as well.
    """
    notes = [one for one in bucket.find(f"{STAGING}/") if one.name.endswith(_SUFFIX)]
    young = [one.name for one in notes if one.modified >= before]
    kept = {used for name in young for used in _read(bucket, name).names}
    removed = 0
    for one in notes:
        if one.modified < before:
            removed += _remove(bucket, _read(bucket, one.name), kept)
            bucket.delete([one.name])
    return removed


def _read(bucket: Bucket, name: str) -> _Intent:
    """Read a note; a damaged one, or one that names what is not its artifact's, says nothing."""
    try:
        content: Any = json.loads(bucket.read(name, MOST_BYTES).content)
        path, names = str(content["path"]), tuple(map(str, content["names"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return _Intent("", ())
    below = tuple(name for name in names if name.startswith(f"{path}/") and not fault_of_path(name))
    return _Intent(path, below)


def _remove(bucket: Bucket, intent: _Intent, kept: set[str]) -> int:
    if not intent.names:
        return 0
    committed = read_committed(bucket, intent.path)
    used: set[str] = set()
    if committed:
        if committed.manifest is None:
            return 0  # damaged: nobody can tell what belongs to it
        used.update(data_names(intent.path, committed.manifest))
    wanted = set(intent.names) - used - kept
    there = {one.name for one in bucket.find(f"{intent.path}/")}
    bucket.delete(sorted(wanted & there))
    return len(wanted & there)
