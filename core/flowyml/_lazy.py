"""Public names that are imported when they are first asked for, so that a face costs nothing."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # the same to a type checker as `typing`'s, which takes longer than all else
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = ["attach"]


def attach(face: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for the module ``face``.

    Args:
        face: Name of the module that shows the names.
        homes: The module where each name lives, and the names.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def __getattr__(name: str) -> Any:  # noqa: N807  # it becomes the module's own
        if name not in home_of:
            message = f"module {face!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[face])
        value = getattr(import_module(home_of[name]), name)
        setattr(sys.modules[face], name, value)
        return value

    return __getattr__
