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
    """Keep every other process of this user out that asks for the same name."""
    digest = hashlib.sha256(f"{user()} {name}".encode()).hexdigest()[:20]
    folder = Path(tempfile.gettempdir(), f"flowyml-{digest}.lock")
    folder.mkdir(mode=0o700, exist_ok=True)
    with locked(str(folder)):
        yield
