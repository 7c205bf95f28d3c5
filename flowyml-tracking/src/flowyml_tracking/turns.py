"""One process of this machine at a time."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowyml.storage.locks import locked
from flowyml_tracking.origin import user

__all__ = ["alone"]


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep every other process of this user out that asks for the same name.

    Now and then also one that asks for another name: there are 256 locks, used again for ever, so
    that the machine's temporary folder does not fill with those of old runs.
    """
    owner, turn = (hashlib.sha256(text.encode()).hexdigest() for text in (user(), name))
    folder = Path(tempfile.gettempdir(), f"flowyml-turns-{owner[:12]}", turn[:2])
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)
    with locked(str(folder)):
        yield
