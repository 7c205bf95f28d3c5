"""The two markers of the hook contract."""

from __future__ import annotations

from typing import Final

import pluggy

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT: Final = "flowyml"

hookspec: Final = pluggy.HookspecMarker(PROJECT)
"""Marks a method as the specification of a hook."""

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a method of a component or an extension as the implementation of a hook."""
