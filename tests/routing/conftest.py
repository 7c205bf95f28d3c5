"""What the tests of routing share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.routing.routing_samples import Workshop, a_run

from flowyml.metadata.store import MetadataStore


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[MetadataStore]:
    """Give a metadata store with one run."""
    with MetadataStore.open(tmp_path / ".flowyml" / "metadata.db") as store:
        a_run(store)
        yield store


@pytest.fixture
def shop(tmp_path: Path, metadata: MetadataStore) -> Workshop:
    """Give a workshop with a local store and nothing else."""
    return Workshop(tmp_path, metadata)
