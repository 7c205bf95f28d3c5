"""The fields of a component, that is its configuration, as ``flowyml plugin show`` tells them."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final

from flowyml.cli import columns
from flowyml.cli.cells import Column, Object

if TYPE_CHECKING:
    import attrs

__all__ = ["FIELDS", "described_fields"]

QUOTED: Final = re.compile(r"""(['"])(?P<text>[^'"]*)\1""")


def _shown_default(item: Object) -> str:
    return "required" if item["required"] else str(item["default"])


FIELDS: Final = (
    columns.text("field", "name"),
    columns.prose("type", "type"),
    Column("default", _shown_default, is_text=True),
    columns.prose("meaning", "doc"),
)


def described_fields(cls: type) -> list[dict[str, Any]]:
    """Return the fields of a component's class, each as ``-o json`` prints it."""
    import attrs

    meanings: dict[str, str] = {}
    for each in reversed(cls.__mro__):  # a field may be explained by the class that has it first
        meanings |= _meanings(inspect.cleandoc(each.__doc__ or ""))
    return [
        {
            "name": a.name,
            "type": _annotation(a.type),
            "required": a.default is attrs.NOTHING,
            "default": _default(a),
            "secret": not a.repr,
            "doc": meanings.get(a.name),
        }
        for a in attrs.fields(cls)
        if a.init
    ]


def _annotation(annotation: object) -> str:
    """Spell an annotation, which is text already where a module postpones them.

    One that its author put in quotes as well is text in a text.
    """
    if isinstance(annotation, str):
        quoted = QUOTED.fullmatch(annotation)
        return quoted["text"] if quoted else annotation
    return inspect.formatannotation(annotation or Any)


def _default(a: attrs.Attribute[Any]) -> Any:
    import attrs

    if a.default is attrs.NOTHING:
        return None
    return "(computed)" if isinstance(a.default, attrs.Factory) else a.default  # type: ignore[arg-type]


def _meanings(doc: str) -> dict[str, str]:
    """Read the section Attributes of a docstring: the text of each field on one line."""
    _, _, section = doc.partition("Attributes:\n")
    meanings: dict[str, str] = {}
    name = ""
    for written in section.splitlines():
        indent = len(written) - len(written.lstrip())
        if written.strip() and indent == 0:
            break
        if indent == 4:  # noqa: PLR2004  # Google style indents the fields by four
            name, _, text = written.strip().partition(":")
            meanings[name] = text.strip()
        elif name and written.strip():
            meanings[name] += " " + written.strip()
    return meanings
