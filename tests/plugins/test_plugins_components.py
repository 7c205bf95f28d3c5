"""What a component is without overriding anything."""

from __future__ import annotations

import pytest
from attrs import define

from flowyml.plugins import ArtifactStore, Component


@define(slots=False)
class Bare(Component):
    role = "bare"


@define(slots=False)
class HookStore(ArtifactStore):
    """A store that has nothing to do with fsspec."""


def test_a_component_is_complete_and_well_unless_it_says_otherwise() -> None:
    """Nothing is taken from the others, nothing is checked, nothing is found."""
    bare = Bare()
    assert bare.beside([HookStore()]) is bare
    bare.preflight()
    assert bare.diagnose() == ()


def test_a_store_without_a_filesystem_says_what_to_override() -> None:
    """Whoever writes a store reads its name and the two ways."""
    with pytest.raises(NotImplementedError, match="HookStore overrides neither folders"):
        HookStore().root_uri()
