"""What a component's class tells of its fields, and what it must not tell."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Final

import attrs

from flowyml.plugins.components import Component

__all__ = ["exposed_fields", "unexplained_fields"]

SECRET: Final = re.compile(
    r"(^|_)(token|password|passwd|secret|credentials?|api_key|access_key|private_key|"
    r"connection_string)($|_(key|value)$)"
)
"""Names of fields that hold something which is nobody's business."""


def exposed_fields(cls: type[Component]) -> Sequence[str]:
    """Name the fields that look like secrets and would be shown, for want of ``repr=False``."""
    return [a.name for a in attrs.fields(cls) if a.init and a.repr and SECRET.search(a.name)]


def unexplained_fields(cls: type[Component]) -> Sequence[str]:
    """Name the fields that no section Attributes explains, of the class or of one above it."""
    docs = [inspect.cleandoc(each.__doc__ or "") for each in cls.__mro__]
    section = "\n".join(doc.partition("Attributes:\n")[2] for doc in docs)
    names = [a.name for a in attrs.fields(cls) if a.init and not a.name.startswith("_")]
    return [name for name in names if not re.search(rf"^ +{name}:", section, re.MULTILINE)]
