"""What stands in a class: functions, classes and values."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final

from flowyml.pipelines.contents import has_content
from flowyml.pipelines.origins import is_installed, is_users_file
from flowyml.pipelines.outside import file_of

__all__ = ["all_held", "held_besides"]

GENERATED: Final = ("<string>", "<attrs generated")
"""Files of methods that a class decorator wrote; the source of the class says all of them."""

WRAPPED: Final = ("__func__", "fget", "fset", "func", "__wrapped__")
"""Where what stands in a class keeps the function that it was made from."""

NOTES: Final = frozenset(
    {
        "__module__",
        "__doc__",
        "__firstlineno__",
        "__slotnames__",
        "__static_attributes__",
        "_abc_impl",
    }
)
"""What Python notes of where a class stands, how it is written, and who asked about it."""


def held_besides(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield what stands in a class that has a source, where that may not tell what it is.

    The source has the expression of what a library made and cannot be written down.

    Looked through is a copy: another step may be at work with the class, and change it.
    """
    for name, value in vars(cls).copy().items():
        functions = _functions(value)
        for function in functions:
            file = file_of(function)
            if is_users_file(file) and not file.startswith(GENERATED):
                yield name, function
        if functions or _is_pythons(name):
            continue
        if not is_installed(_kind(value)) or has_content(value):
            yield name, value


def all_held(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield all that stands in a class, which nothing else tells of."""
    for name, value in vars(cls).copy().items():
        functions = _functions(value)
        for function in functions:
            yield name, function
        is_slot = isinstance(value, GetSetDescriptorType | MemberDescriptorType)
        if not functions and not is_slot and name not in NOTES:
            yield name, value


def _functions(value: Any) -> list[FunctionType]:
    """Return the functions in what a library made of them; the user's objects are not asked."""
    ways = WRAPPED if is_installed(_kind(value)) else ()
    made_from = (value, *(getattr(value, way, None) for way in ways))
    return [inner for inner in made_from if isinstance(inner, FunctionType)]


def _kind(value: Any) -> type:
    return value if isinstance(value, type) else type(value)


def _is_pythons(name: str) -> bool:
    """Whether Python gave a name, or `enum`, whose own begin and end with one ``_``."""
    return name.startswith("_") and name.endswith("_")
