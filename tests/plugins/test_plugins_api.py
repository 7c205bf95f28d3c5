"""The version of the hook contract and the ranges that plugins state."""

from __future__ import annotations

import pytest

from flowyml.plugins.api import API_VERSION, fits


@pytest.mark.parametrize(
    ("version", "range_", "inside"),
    [
        ("1.0", "", True),
        ("1.0", ">=1,<2", True),
        ("1.9", ">=1, < 2", True),
        ("2.0", ">=1,<2", False),
        ("1.0", ">=1.1", False),
        ("1", "==1.0.0", True),
        ("1.10", ">1.9", True),
        ("1.0", "!=1", False),
        ("1.0", "<=1", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, range_: str, inside: bool) -> None:
    """1 is 1.0, and 1.10 comes after 1.9."""
    assert fits(version, range_) is inside


@pytest.mark.parametrize("range_", ["1", "~=1", ">=x", ">=1 <2"])
def test_a_range_that_is_none_is_refused(range_: str) -> None:
    """A typing error in a range must not pass for agreement."""
    with pytest.raises(ValueError, match="is no range of versions"):
        fits(API_VERSION, range_)
