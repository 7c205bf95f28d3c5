"""Runs with ids that no test had before."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

from flowyml.testing.deliveries import Deliveries

__all__ = ["Deliveries", "new_run"]

numbers = itertools.count(1)


def new_run(folder: Path) -> Deliveries:
    """Return a run with an id that no test had before, and its store in a folder."""
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return Deliveries.of(f"run-{next(numbers)}-{mark}", folder / "artifacts")
