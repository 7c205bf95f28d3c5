"""What the tests of the kit share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.testing.environments import ROOT, build_wheel


@pytest.fixture(scope="session")
def flowyml_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of FlowyML, once."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheels"))
