"""Whose code it is."""

from __future__ import annotations

import sysconfig
import warnings
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from tests.pipelines.conftest import Digest, WriteFile

import flowyml
from flowyml.pipelines.notices import plain_warnings
from flowyml.pipelines.origins import is_users_file

OURS = str(Path(flowyml.__file__).parent)


@pytest.mark.parametrize("folder", [OURS, sysconfig.get_path("stdlib")])
def test_a_folder_whose_name_begins_like_ours_is_the_users(folder: str) -> None:
    """A project may stand beside what is installed."""
    assert not is_users_file(f"{folder}/flow.py")
    assert is_users_file(f"{folder}_x/flow.py")


def test_a_warning_of_a_project_beside_ours_keeps_its_place() -> None:
    """Only what our own source says is told in a line."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as kept, plain_warnings(told.append):
        warnings.simplefilter("always")
        for folder in (OURS, f"{OURS}_x"):
            warnings.warn_explicit("mind", UserWarning, f"{folder}/flow.py", 1)
    assert told == ["Warning: mind"]
    assert [warning.filename for warning in kept] == [f"{OURS}_x/flow.py"]


def test_a_compiled_module_of_the_project_counts_as_its_file(
    digest: Digest, write_file: WriteFile
) -> None:
    """What it does stands nowhere else."""
    name = f"fast{EXTENSION_SUFFIXES[0]}"
    flow = f"""
        import sys
        from types import ModuleType

        fast = sys.modules["fast"] = ModuleType("fast")  # as if it had been compiled
        fast.__file__ = {str(write_file(name, "one"))!r}
        Fast = type("Fast", (), {{"__module__": "fast"}})

        @step
        def work(): return %s
    """
    for used in ("fast", "Fast"):
        before = digest(flow % used, {name: "one"})
        assert digest(flow % used, {name: "two"}) != before
        assert digest(flow % used, {name: "one"}) == before
