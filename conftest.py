"""The order in which files of tests begin."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no processor waits for one at the end.

    What takes long has a time limit of its own. A file counts as the limits of its tests
    together, where a test without one counts as a second.
    """
    longest: Counter[Path] = Counter()
    for item in items:
        limit = item.get_closest_marker("timeout")
        longest[item.path] += limit.args[0] if limit else 1
    items.sort(key=lambda item: -longest[item.path])
